"""Files and names in memory and on a scratch folder, with what a loss of power would leave of them.

The model is that of a disk behind a page cache, as LazyFS plays it (Ramos and others, "LazyFS:
a FUSE file system to find crash-consistency bugs", 2024; here with names as well as data):

- A write is in the cache. It reaches the disk with `fsync` (or `fdatasync`) of its file. Losing
  power takes every block back to what it held at the last `fsync` of its file, and the file's size
  with it. `truncate` and `fallocate` count as writes.
- A name (a file created, renamed, linked, removed; a directory likewise) is in the cache too. With
  `metadata` `journalled`, any `fsync` of any file or directory brings all names to the disk: a
  journal is written in order (ext4, xfs). With `strict`, only `fsync` of the directory does, which
  is all that POSIX promises.
- Nothing reaches the disk by itself, however long it waits. Modes, owners and times are not taken
  back.

Undo instead of redo: a block's old content is kept when it is first overwritten after an `fsync`,
and an `fsync` only forgets. Cost: O(blocks touched) a write, O(names changed) an `fsync`.
Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import time
from collections.abc import Iterator
from typing import Literal

BLOCK = 4096
ROOT = 1
#: Files of the root whose names begin so are the probes': their `fsync` brings themselves and their
#: names to the disk and nothing else, so that probing never saves what the node did not sync.
APART = b".seatrial-"
#: How much is read at once to keep old content.
_CHUNK = 1 << 20
_ZERO = bytes(BLOCK)
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 0x1, 0x2, 0x10

Metadata = Literal["journalled", "strict"]

_LIBC = ctypes.CDLL(None, use_errno=True)


class Inode:
    """A file, a directory or a symbolic link. `entries` is None save for a directory.

    `apart` marks a probe's file. `undo` maps blocks to what the disk holds of them, `disk_size` is
    the size that it knows; `changed` maps names to what the disk holds for them. `links` and
    `disk_links` count names.
    """

    __slots__ = (
        "apart",
        "atime",
        "changed",
        "ctime",
        "disk_links",
        "disk_size",
        "entries",
        "fd",
        "gid",
        "links",
        "lookups",
        "mode",
        "mtime",
        "number",
        "size",
        "target",
        "uid",
        "undo",
    )

    def __init__(self, number: int, mode: int, uid: int, gid: int) -> None:
        self.number, self.mode, self.uid, self.gid = number, mode, uid, gid
        self.size = self.disk_size = 0
        self.links = self.disk_links = self.lookups = 0
        self.atime = self.mtime = self.ctime = time.time_ns()
        self.target = b""
        self.apart = False
        self.fd = -1
        self.undo: dict[int, bytes] = {}
        self.changed: dict[bytes, int | None] = {}
        self.entries: dict[bytes, int] | None = {} if stat.S_ISDIR(mode) else None

    @property
    def names(self) -> dict[bytes, int]:
        """The entries of a directory; raises ENOTDIR for anything else."""
        if self.entries is None:
            raise _error(errno.ENOTDIR)
        return self.entries


class Store:
    """The file system of one node; `folder` (empty, on a tmpfs) holds the files' contents."""

    def __init__(self, folder: str, metadata: Metadata = "journalled") -> None:
        self._folder, self._metadata = folder, metadata
        root = Inode(ROOT, stat.S_IFDIR | 0o700, os.getuid(), os.getgid())
        root.links = root.disk_links = root.lookups = 1
        self.inodes: dict[int, Inode] = {ROOT: root}
        self._next = ROOT + 1
        self._dirty_names: set[int] = set()
        self._dirty_data: set[int] = set()

    # ── names ────────────────────────────────────────────────────────────────────────────────

    def inode(self, number: int) -> Inode:
        """The inode of a number; raises ESTALE if it is gone."""
        found = self.inodes.get(number)
        if found is None:
            raise _error(errno.ESTALE)
        return found

    def child(self, parent: int, name: bytes) -> Inode:
        """What a directory holds under a name; raises ENOENT."""
        number = self.inode(parent).names.get(name)
        if number is None:
            raise _error(errno.ENOENT)
        return self.inodes[number]

    def make(self, parent: int, name: bytes, mode: int, uid: int, gid: int) -> Inode:
        """A new file, directory or link under a name; raises EEXIST, ENAMETOOLONG."""
        if len(name) > 255:
            raise _error(errno.ENAMETOOLONG)
        if name in self.inode(parent).names:
            raise _error(errno.EEXIST)
        made = Inode(self._next, mode, uid, gid)
        made.apart = parent == ROOT and name.startswith(APART)
        self._next += 1
        self.inodes[made.number] = made
        self._point(parent, name, made.number)
        return made

    def link(self, number: int, parent: int, name: bytes) -> Inode:
        """One more name for a file; raises EEXIST, EPERM for a directory."""
        found = self.inode(number)
        if found.entries is not None:
            raise _error(errno.EPERM)
        if name in self.inode(parent).names:
            raise _error(errno.EEXIST)
        self._point(parent, name, number)
        return found

    def unlink(self, parent: int, name: bytes) -> None:
        """Remove a file's name; raises EISDIR for a directory."""
        if self.child(parent, name).entries is not None:
            raise _error(errno.EISDIR)
        self._point(parent, name, None)

    def rmdir(self, parent: int, name: bytes) -> None:
        """Remove an empty directory; raises ENOTEMPTY, ENOTDIR."""
        if self.child(parent, name).names:
            raise _error(errno.ENOTEMPTY)
        self._point(parent, name, None)

    def rename(self, parent: int, name: bytes, to: int, new: bytes, *, replace: bool) -> None:
        """Move a name, over another one if `replace`; raises as rename(2)."""
        moved = self.child(parent, name)
        there = self.inode(to).names.get(new)
        if there == moved.number:
            return
        if there is not None:
            old = self.inodes[there]
            if not replace:
                raise _error(errno.EEXIST)
            if (old.entries is None) != (moved.entries is None):
                raise _error(errno.EISDIR if old.entries is not None else errno.ENOTDIR)
            if old.entries:
                raise _error(errno.ENOTEMPTY)
        self._point(to, new, moved.number)
        self._point(parent, name, None)

    def _point(self, parent: int, name: bytes, number: int | None) -> None:
        """Let a name mean an inode, or nothing, in the cache."""
        folder = self.inode(parent)
        names = folder.names
        before = names.get(name)
        folder.changed.setdefault(name, before)
        self._dirty_names.add(parent)
        if number is None:
            del names[name]
        else:
            names[name] = number
            self.inodes[number].links += 1
        folder.mtime = folder.ctime = time.time_ns()
        if before is not None:
            self.inodes[before].links -= 1
            self._bury(self.inodes[before])

    def forget(self, number: int, count: int) -> None:
        """The kernel gave back `count` of its references."""
        found = self.inodes.get(number)
        if found is not None:
            found.lookups = max(0, found.lookups - count)
            self._bury(found)

    def _bury(self, inode: Inode) -> None:
        """Free what has no name in the cache, none on the disk, and no reference."""
        if inode.links > 0 or inode.disk_links > 0 or inode.lookups > 0:
            return
        if inode.number not in self.inodes:
            return
        if inode.fd >= 0:
            os.close(inode.fd)
            os.unlink(self._path(inode))
        self._dirty_data.discard(inode.number)
        self._dirty_names.discard(inode.number)
        del self.inodes[inode.number]
        for before in inode.changed.values():  # names that it had on the disk go with it
            if before is not None and before in self.inodes:
                self.inodes[before].disk_links -= 1
                self._bury(self.inodes[before])

    # ── contents ─────────────────────────────────────────────────────────────────────────────

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes, fewer at the end of the file."""
        inode = self.inode(number)
        size = min(size, inode.size - offset)
        return os.pread(self._open(inode), size, offset) if size > 0 else b""

    def write(self, number: int, offset: int, data: bytes | memoryview) -> int:
        """Write into the cache; returns how much; raises ENOSPC."""
        inode = self.inode(number)
        fd = self._open(inode)
        self._keep(inode, offset, offset + len(data))
        written = os.pwrite(fd, data, offset)
        inode.size = max(inode.size, offset + written)
        inode.mtime = inode.ctime = time.time_ns()
        return written

    def truncate(self, number: int, size: int) -> None:
        """Cut a file, or let it grow by zeros, in the cache."""
        inode = self.inode(number)
        fd = self._open(inode)
        if size < inode.size:
            self._keep(inode, size, inode.size)
        self._dirty_data.add(number)
        os.ftruncate(fd, size)
        inode.size = size
        inode.mtime = inode.ctime = time.time_ns()

    def allocate(self, number: int, mode: int, offset: int, length: int) -> None:
        """fallocate(2): reserve, punch holes, or zero a range; raises EOPNOTSUPP for the rest."""
        if mode & ~(_KEEP_SIZE | _PUNCH_HOLE | _ZERO_RANGE):
            raise _error(errno.EOPNOTSUPP)
        inode = self.inode(number)
        fd = self._open(inode)
        if mode & (_PUNCH_HOLE | _ZERO_RANGE):
            self._keep(inode, offset, offset + length)
        self._dirty_data.add(number)
        off_t = ctypes.c_int64
        if _LIBC.fallocate64(fd, ctypes.c_int(mode), off_t(offset), off_t(length)) != 0:
            raise _error(ctypes.get_errno())
        if not mode & _KEEP_SIZE:
            inode.size = max(inode.size, offset + length)

    def _keep(self, inode: Inode, begin: int, end: int) -> None:
        """Keep what the disk holds of the blocks in [begin, end), where not kept already."""
        self._dirty_data.add(inode.number)
        end = min(end, inode.disk_size)
        first, last = begin // BLOCK, -(-end // BLOCK)
        step = _CHUNK // BLOCK
        for low in range(first, last, step):
            high = min(low + step, last)
            wanted = [block for block in range(low, high) if block not in inode.undo]
            if not wanted:
                continue
            data = os.pread(inode.fd, (high - low) * BLOCK, low * BLOCK)
            for block in wanted:
                piece = data[(block - low) * BLOCK : (block - low + 1) * BLOCK]
                inode.undo[block] = _ZERO if piece == _ZERO else piece

    def _open(self, inode: Inode) -> int:
        if inode.fd < 0:
            if not stat.S_ISREG(inode.mode):
                raise _error(errno.EISDIR if inode.entries is not None else errno.EINVAL)
            inode.fd = os.open(self._path(inode), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return inode.fd

    def _path(self, inode: Inode) -> str:
        return f"{self._folder}/{inode.number}"

    # ── the disk ─────────────────────────────────────────────────────────────────────────────

    def sync(self, number: int) -> None:
        """fsync(2) of a file or a directory: its part of the cache reaches the disk."""
        inode = self.inode(number)
        if inode.entries is None:
            inode.undo.clear()
            inode.disk_size = inode.size
            self._dirty_data.discard(number)
        if inode.apart:
            root = self.inodes[ROOT]
            for name in [n for n in root.changed if root.names.get(n) == number]:
                self._write_name(root, name)
        elif self._metadata == "journalled":
            for folder in tuple(self._dirty_names):
                if folder in self.inodes:  # one before it may have freed it
                    self._write_names(self.inodes[folder])
        elif inode.entries is not None:
            self._write_names(inode)

    def _write_names(self, folder: Inode) -> None:
        for name in tuple(folder.changed):
            self._write_name(folder, name)
        self._dirty_names.discard(folder.number)

    def _write_name(self, folder: Inode, name: bytes) -> None:
        before, now = folder.changed.pop(name), folder.names.get(name)
        if now is not None:
            self.inodes[now].disk_links += 1
        if before is not None:
            self.inodes[before].disk_links -= 1
            self._bury(self.inodes[before])

    def unsynced(self) -> dict[str, int]:
        """What a loss of power would take now: blocks or sizes of files, and names."""
        files = [self.inodes[number] for number in self._dirty_data]
        return {
            "files": sum(1 for f in files if f.undo or f.size != f.disk_size),
            "blocks": sum(len(f.undo) for f in files),
            "bytes_appended": sum(max(0, f.size - f.disk_size) for f in files),
            "names": sum(len(self.inodes[folder].changed) for folder in self._dirty_names),
        }

    def lose_power(self) -> dict[str, int]:
        """Take everything back to what the disk holds; returns what was lost."""
        lost = self.unsynced()
        for number in tuple(self._dirty_names):
            folder = self.inodes[number]
            for name, before in folder.changed.items():
                if before is None:
                    folder.names.pop(name, None)
                else:
                    folder.names[name] = before
            folder.changed.clear()
        self._dirty_names.clear()
        for number in tuple(self._dirty_data):
            self._take_back(self.inodes[number])
        self._dirty_data.clear()
        self._count_links()
        return lost

    def _take_back(self, inode: Inode) -> None:
        fd = self._open(inode)
        os.ftruncate(fd, inode.disk_size)
        for block, content in inode.undo.items():
            start = block * BLOCK
            os.pwrite(fd, content[: max(0, inode.disk_size - start)], start)
        inode.undo.clear()
        inode.size = inode.disk_size

    def _count_links(self) -> None:
        """Count names anew, from the root; free what has none."""
        for inode in self.inodes.values():
            inode.links = inode.disk_links = 0
        self.inodes[ROOT].links = self.inodes[ROOT].disk_links = 1
        for folder in self._folders():
            for number in folder.names.values():
                self.inodes[number].links += 1
                self.inodes[number].disk_links += 1
        for inode in tuple(self.inodes.values()):
            if inode.links == 0 and inode.entries is not None:
                inode.entries.clear()
            self._bury(inode)

    def _folders(self) -> Iterator[Inode]:
        """The directories that can be reached from the root."""
        waiting = [self.inodes[ROOT]]
        while waiting:
            folder = waiting.pop()
            yield folder
            inside = [self.inodes[number] for number in folder.names.values()]
            waiting += [inode for inode in inside if inode.entries is not None]

    def close(self) -> None:
        """Give back all open files."""
        for inode in self.inodes.values():
            if inode.fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(inode.fd)
                inode.fd = -1


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
