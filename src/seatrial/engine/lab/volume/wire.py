"""The kernel's FUSE protocol (7.31 and later) for a `Store`: requests in, replies out.

Structures as in linux/fuse.h, little of them: what a database needs of a file system. Locks,
extended attributes, copies inside the kernel and temporary files are left to the kernel's own ways
(ENOSYS tells it so). The kernel may keep nothing but pages of open files: entries and attributes
are valid for no time, so that a loss of power is seen at once. Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from typing import Final

from seatrial.engine.lab.volume.store import ROOT, Inode, Store

#: The most that one write carries; a request is no longer than this and its headers.
WRITE_MAX: Final = 128 * 1024
REQUEST_MAX: Final = WRITE_MAX + 4096

_MAJOR, _MINOR_MIN = 7, 31
_BIG_WRITES = 1 << 5
_ASYNC_READ = 1 << 0
_PARALLEL_DIROPS = 1 << 18

IN_HEADER: Final = struct.Struct("<IIQQIIIHH")
OUT_HEADER: Final = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("<QQQQII")
_ATTR_OUT = struct.Struct("<QII")
_OPEN_OUT = struct.Struct("<QII")
_INIT_IN = struct.Struct("<IIII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
_READ = struct.Struct("<QQI")
_WRITE = struct.Struct("<QQIIQII")
_STATFS = struct.Struct("<QQQQQIIII24x")
_FALLOCATE = struct.Struct("<QQQII")
_DIRENT = struct.Struct("<QQII")

#: Opcode → what rules of faults call it. What is not here is never delayed and never fails.
NAMES: Final = {
    4: "write",
    8: "create",
    9: "create",
    10: "remove",
    11: "remove",
    12: "rename",
    13: "create",
    15: "read",
    16: "write",
    20: "fsync",
    30: "fsync",
    35: "create",
    43: "write",
    45: "rename",
}
_WRITE_OPCODE = 16
FORGET, INIT, INTERRUPT, DESTROY, BATCH_FORGET = 2, 26, 36, 38, 42
_FATTR_MODE, _FATTR_UID, _FATTR_GID, _FATTR_SIZE = 1, 2, 4, 8
_FATTR_ATIME, _FATTR_MTIME = 16, 32
_RENAME_NOREPLACE = 1


class Wire:
    """Carries out requests on a store. `carry_out` raises OSError for the kernel to hand on."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._listings: dict[int, list[tuple[bytes, int]]] = {}
        self._next_listing = 1
        self._do: dict[int, Callable[[int, memoryview, int, int], bytes]] = {
            1: self._lookup,
            3: self._getattr,
            4: self._setattr,
            5: self._readlink,
            6: self._symlink,
            8: self._mknod,
            9: self._mkdir,
            10: self._unlink,
            11: self._rmdir,
            12: self._rename,
            13: self._link,
            14: self._open,
            15: self._read,
            16: self._write,
            17: self._statfs,
            18: self._release,
            20: self._fsync,
            INIT: self._init,
            27: self._opendir,
            28: self._readdir,
            29: self._releasedir,
            30: self._fsync,
            35: self._create,
            43: self._fallocate,
            45: self._rename2,
        }

    def carry_out(self, opcode: int, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        """The reply's body; raises OSError with the number that the caller is to see."""
        do = self._do.get(opcode)
        if do is None:
            raise OSError(errno.ENOSYS, "not done here")
        return do(node, body, uid, gid)

    def forget(self, opcode: int, node: int, body: memoryview) -> None:
        """FORGET or BATCH_FORGET: the kernel gives references back; there is no reply."""
        if opcode == FORGET:
            self._store.forget(node, struct.unpack_from("<Q", body)[0])
            return
        (count,) = struct.unpack_from("<I", body)
        for index in range(count):
            number, times = struct.unpack_from("<QQ", body, 8 + 16 * index)
            self._store.forget(number, times)

    # ── the handshake ────────────────────────────────────────────────────────────────────────

    def _init(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        major, minor, readahead, flags = _INIT_IN.unpack_from(body)
        if major != _MAJOR or minor < _MINOR_MIN:
            raise OSError(errno.EPROTO, f"the kernel speaks FUSE {major}.{minor}")
        wanted = flags & (_BIG_WRITES | _ASYNC_READ | _PARALLEL_DIROPS)
        return _INIT_OUT.pack(_MAJOR, _MINOR_MIN, readahead, wanted, 64, 48, WRITE_MAX, 1, 0, 0, 0)

    # ── names ────────────────────────────────────────────────────────────────────────────────

    def _lookup(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        return self._entry(self._store.child(node, _name(body)))

    def _mknod(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        mode, _, umask = struct.unpack_from("<III", body)
        return self._entry(
            self._store.make(node, _name(body[16:]), mode & ~(umask & 0o777), uid, gid)
        )

    def _mkdir(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        mode, umask = struct.unpack_from("<II", body)
        mode = stat.S_IFDIR | (mode & ~umask & 0o7777)
        return self._entry(self._store.make(node, _name(body[8:]), mode, uid, gid))

    def _symlink(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        name, _, rest = bytes(body).partition(b"\0")
        made = self._store.make(node, name, stat.S_IFLNK | 0o777, uid, gid)
        made.target = rest.rstrip(b"\0")
        return self._entry(made)

    def _readlink(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        return self._store.inode(node).target

    def _unlink(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        self._store.unlink(node, _name(body))
        return b""

    def _rmdir(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        self._store.rmdir(node, _name(body))
        return b""

    def _rename(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        (to,) = struct.unpack_from("<Q", body)
        return self._move(node, to, body[8:], 0)

    def _rename2(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        to, flags = struct.unpack_from("<QI", body)
        return self._move(node, to, body[16:], flags)

    def _move(self, node: int, to: int, names: memoryview, flags: int) -> bytes:
        if flags & ~_RENAME_NOREPLACE:
            raise OSError(errno.EINVAL, "no such kind of rename here")
        name, new = bytes(names).split(b"\0")[:2]
        self._store.rename(node, name, to, new, replace=not flags)
        return b""

    def _link(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        (number,) = struct.unpack_from("<Q", body)
        return self._entry(self._store.link(number, node, _name(body[8:])))

    def _create(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        flags, mode, umask = struct.unpack_from("<III", body)
        mode = stat.S_IFREG | (mode & ~umask & 0o7777)
        made = self._store.make(node, _name(body[16:]), mode, uid, gid)
        return self._entry(made) + _OPEN_OUT.pack(_handle(flags), 0, 0)

    def _entry(self, inode: Inode) -> bytes:
        inode.lookups += 1
        return _ENTRY.pack(inode.number, 0, 0, 0, 0, 0) + _attributes(inode)

    # ── attributes ───────────────────────────────────────────────────────────────────────────

    def _getattr(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        return _ATTR_OUT.pack(0, 0, 0) + _attributes(self._store.inode(node))

    def _setattr(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        (
            valid,
            _,
            _,
            size,
            _,
            atime,
            mtime,
            _,
            atime_ns,
            mtime_ns,
            _,
            mode,
            _,
            to_uid,
            to_gid,
            _,
        ) = _SETATTR.unpack_from(body)
        inode = self._store.inode(node)
        if valid & _FATTR_SIZE:
            self._store.truncate(node, size)
        if valid & _FATTR_MODE:
            inode.mode = stat.S_IFMT(inode.mode) | (mode & 0o7777)
        inode.uid = to_uid if valid & _FATTR_UID else inode.uid
        inode.gid = to_gid if valid & _FATTR_GID else inode.gid
        inode.atime = atime * 10**9 + atime_ns if valid & _FATTR_ATIME else inode.atime
        inode.mtime = mtime * 10**9 + mtime_ns if valid & _FATTR_MTIME else inode.mtime
        return _ATTR_OUT.pack(0, 0, 0) + _attributes(inode)

    def _statfs(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        there = os.statvfs(self._folder)
        return _STATFS.pack(
            there.f_blocks,
            there.f_bfree,
            there.f_bavail,
            there.f_files,
            there.f_ffree,
            there.f_bsize,
            255,
            there.f_frsize,
            0,
        )

    # ── contents ─────────────────────────────────────────────────────────────────────────────

    def _open(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        (flags,) = struct.unpack_from("<I", body)
        self._store.inode(node)
        return _OPEN_OUT.pack(_handle(flags), 0, 0)

    def _release(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        return b""

    def _read(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        _, offset, size = _READ.unpack_from(body)
        return self._store.read(node, offset, size)

    def _write(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        handle, offset, size, _, _, _, _ = _WRITE.unpack_from(body)
        written = self._store.write(node, offset, body[_WRITE.size : _WRITE.size + size])
        if handle:
            self._store.sync(node)
        return struct.pack("<II", written, 0)

    def _fsync(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        self._store.sync(node)
        return b""

    def _fallocate(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        _, offset, length, mode, _ = _FALLOCATE.unpack_from(body)
        self._store.allocate(node, mode, offset, length)
        return b""

    # ── directories ──────────────────────────────────────────────────────────────────────────

    def _opendir(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        """Keep the listing as it is now: it is read in pieces while names come and go."""
        inside = sorted(self._store.inode(node).names.items())
        handle, self._next_listing = self._next_listing, self._next_listing + 1
        self._listings[handle] = [(b".", node), (b"..", ROOT), *inside]
        return _OPEN_OUT.pack(handle, 0, 0)

    def _readdir(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        handle, offset, size = _READ.unpack_from(body)
        out = b""
        for index, (name, number) in enumerate(self._listings.get(handle, ())[offset:], offset + 1):
            inode = self._store.inodes.get(number)
            kind = 0 if inode is None else stat.S_IFMT(inode.mode) >> 12
            piece = _DIRENT.pack(number, index, len(name), kind) + name
            piece += bytes(-len(piece) % 8)
            if len(out) + len(piece) > size:
                break
            out += piece
        return out

    def _releasedir(self, node: int, body: memoryview, uid: int, gid: int) -> bytes:
        self._listings.pop(struct.unpack_from("<Q", body)[0], None)
        return b""


def reaches_the_disk(opcode: int, body: memoryview) -> bool:
    """Whether a request is an `fsync`, or a write that is one as well (O_DSYNC)."""
    if opcode == _WRITE_OPCODE:
        return int.from_bytes(body[:8], "little") != 0
    return NAMES.get(opcode) == "fsync"


def _name(body: memoryview) -> bytes:
    return bytes(body).partition(b"\0")[0]


def _handle(flags: int) -> int:
    """1 for a file whose every write is to reach the disk before it returns, else 0."""
    return 1 if flags & os.O_DSYNC else 0


def _attributes(inode: Inode) -> bytes:
    def halves(time_ns: int) -> tuple[int, int]:
        return divmod(time_ns, 10**9)

    (atime, atime_ns), (mtime, mtime_ns), (ctime, ctime_ns) = map(
        halves, (inode.atime, inode.mtime, inode.ctime)
    )
    size = len(inode.target) if stat.S_ISLNK(inode.mode) else inode.size
    return _ATTR.pack(
        inode.number,
        size,
        -(-size // 512),
        atime,
        mtime,
        ctime,
        atime_ns,
        mtime_ns,
        ctime_ns,
        inode.mode,
        2 if inode.entries is not None else max(inode.links, 0),
        inode.uid,
        inode.gid,
        0,
        4096,
        0,
    )
