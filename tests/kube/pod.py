"""The container of a pod: a root that nobody can write to, and the user of the image.

`python -m tests.kube.pod SPEC COMMAND…` becomes the command in a mount namespace of its own.
All of this machine is there, read-only; `/tmp` and what SPEC (JSON) names are the pod's own, and
the process is user 10001 without a capability. Only inside of a sandbox.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from seatrial.engine.lab import syscalls
from seatrial.workflows.pods import USER

MS_BIND = 0x1000
_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE, _RDONLY = -100, 0x8000, 1
DEVICES = ("null", "zero", "full", "random", "urandom")
#: Of the root: made by the pod, or a file system of the kernel's.
OWN = ("dev", "proc", "sys", "tmp", "trial")


def bind(source: Path, target: Path) -> None:
    """One more name of a folder or file."""
    syscalls.mount(str(source), str(target), "", MS_BIND | syscalls.MS_REC)


def read_only(path: Path) -> None:
    """A mount and all below it."""
    attributes = (ctypes.c_uint64 * 4)(_RDONLY, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_long(_MOUNT_SETATTR), _AT_FDCWD, os.fsencode(path), _AT_RECURSIVE)
    if libc.syscall(*words, ctypes.byref(attributes), ctypes.c_size_t(32)) != 0:
        raise OSError(ctypes.get_errno(), f"mount_setattr {path}")


def build(root: Path, own: dict[str, str]) -> None:
    """The pod's root at `root`; `own` maps paths in it to files and folders of this machine."""
    syscalls.mount("pod", str(root), "tmpfs", syscalls.MS_NOSUID, "mode=0755")
    for entry in Path("/").iterdir():
        target = root / entry.name
        if entry.is_symlink():
            target.symlink_to(os.readlink(entry))
        elif entry.is_dir() and entry.name not in OWN:
            target.mkdir()
            bind(entry, target)
    for name in OWN:
        (root / name).mkdir(exist_ok=True)
    for name in DEVICES:
        (root / "dev" / name).touch()
        bind(Path("/dev") / name, root / "dev" / name)
    (root / "dev" / "shm").mkdir()
    for path, source in own.items():
        target = root / path.lstrip("/")
        if Path(source).is_dir():
            target.mkdir(exist_ok=True)
        elif not target.exists():
            target.touch()
    read_only(root)
    syscalls.mount("shm", str(root / "dev/shm"), "tmpfs", syscalls.MS_NOSUID, "size=64m,mode=1777")
    bind(Path("/proc"), root / "proc")
    for path, source in own.items():
        bind(Path(source), root / path.lstrip("/"))
    for code in hidden():
        target = root / str(code).lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        bind(code, target)
        read_only(target)


def hidden() -> list[Path]:
    """What the code stands in, where a folder of the pod's own covers it: a clone below /tmp."""
    places = {Path(__file__).resolve().parents[2], Path(sys.prefix), Path(sys.base_prefix)}
    return sorted(place for place in places if place.parts[1] in OWN)


def enter(root: Path) -> None:
    """Make it the only root that there is."""
    os.chdir(root)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.pivot_root(b".", b".") != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    syscalls.unmount(".")
    os.chdir("/")


def become(user: int) -> None:
    """That user, who is this process's user outside and has no capability left after `exec`."""
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {uid} 1"),
        ("gid_map", f"{user} {gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


def main() -> NoReturn:
    """Become the command."""
    spec, argv = json.loads(sys.argv[1]), sys.argv[2:]
    syscalls.die_with_parent()
    syscalls.unshare(syscalls.CLONE_NEWNS)
    build(Path(spec["root"]), spec["own"])
    enter(Path(spec["root"]))
    become(USER)
    syscalls.die_with_parent()
    os.chdir("/trial")
    os.execvpe(argv[0], argv, spec["environment"])


if __name__ == "__main__":
    main()
