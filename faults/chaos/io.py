"""IOChaos: file system calls on a mounted volume are slow, fail, lie or err.

The volume must be a mount point of the container. Wrong data (`mistake`) is kept to reads and
writes: of other calls Chaos Mesh promises nothing.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.containers import ContainerAction
from seatrial.faults.chaos.units import (
    At,
    Id,
    Int64,
    Milliseconds,
    Path,
    Positive,
    WholePercent,
    listed,
    milliseconds,
    timespec,
)

Method = Literal[
    "lookup", "forget", "getattr", "setattr", "readlink", "mknod", "mkdir", "unlink", "rmdir",
    "symlink", "rename", "link", "open", "read", "write", "flush", "release", "fsync", "opendir",
    "readdir", "releasedir", "fsyncdir", "statfs", "setxattr", "getxattr", "listxattr",
    "removexattr", "access", "create", "getlk", "setlk", "bmap",
]  # fmt: skip
FileType = Literal[
    "namedPipe", "charDevice", "blockDevice", "directory", "regularFile", "symlink", "socket"
]
Errno = Annotated[int, Field(ge=1, le=133, strict=True)]
"""An error number of Linux (EPERM 1 … EHWPOISON 133)."""


class IoAction(ContainerAction):
    """What IOChaos actions share: which volume, files, and how many of the calls."""

    kind: ClassVar[str] = "IOChaos"

    volume_path: Annotated[Path, At("volumePath")] = Field(
        description="where the volume is mounted in the container"
    )
    path: Annotated[Path | None, At("path")] = Field(
        default=None, description="glob of the files, inside the volume; none given: all"
    )
    percent: Annotated[WholePercent, At("percent")] = Field(
        default=100, description="share of the calls"
    )

    @model_validator(mode="after")
    def _path_is_inside(self) -> Self:
        if self.path is not None and not PurePosixPath(self.path).is_relative_to(self.volume_path):
            raise UsageError(
                f"{self.title()}: path {self.path!r} is outside of the volume "
                f"{self.volume_path!r}, no file would match\n\n"
                f"hint: begin it with {self.volume_path.rstrip('/')}/"
            )
        return self


class SomeCalls(IoAction):
    """An action on some or all kinds of file system calls."""

    methods: Annotated[tuple[Method, ...], At("methods", listed)] = Field(
        default=(), description="which calls; none named: all"
    )


class Latency(SomeCalls):
    """Calls take longer."""

    action: ClassVar[str] = "latency"
    summary: ClassVar[str] = "make file system calls take longer"

    latency_ms: Annotated[Milliseconds, At("delay", milliseconds)] = Field(
        description="how much longer"
    )


class Fault(SomeCalls):
    """Calls fail."""

    action: ClassVar[str] = "fault"
    summary: ClassVar[str] = "make file system calls fail"

    errno: Annotated[Errno, At("errno")] = Field(description="with which error: 5 EIO, 28 ENOSPC")


class AttrOverride(SomeCalls):
    """Files look different from what they are."""

    action: ClassVar[str] = "attrOverride"
    summary: ClassVar[str] = "make files look different from what they are"
    section: ClassVar[str] = "attr"

    ino: Annotated[Int64 | None, At(".ino")] = Field(default=None, description="inode number")
    size_bytes: Annotated[Int64 | None, At(".size")] = None
    blocks: Annotated[Int64 | None, At(".blocks")] = Field(
        default=None, description="512-byte blocks taken"
    )
    accessed_ns: Annotated[Int64 | None, At(".atime", timespec)] = Field(
        default=None, description="last access, since 1970"
    )
    modified_ns: Annotated[Int64 | None, At(".mtime", timespec)] = Field(
        default=None, description="last change of the content, since 1970"
    )
    changed_ns: Annotated[Int64 | None, At(".ctime", timespec)] = Field(
        default=None, description="last change of the inode, since 1970"
    )
    file_type: Annotated[FileType | None, At(".kind")] = None
    permissions: Annotated[
        Annotated[int, Field(ge=0, le=0o7777, strict=True)] | None, At(".perm")
    ] = Field(default=None, description="permission bits, as a number (0o600 is 384)")
    links: Annotated[Id | None, At(".nlink")] = Field(default=None, description="hard links")
    uid: Annotated[Id | None, At(".uid")] = Field(default=None, description="owner")
    gid: Annotated[Id | None, At(".gid")] = Field(default=None, description="group")
    device: Annotated[Id | None, At(".rdev")] = Field(default=None, description="device number")

    @model_validator(mode="after")
    def _something_differs(self) -> Self:
        own = [name for name in AttrOverride.model_fields if name not in SomeCalls.model_fields]
        if all(getattr(self, name) is None for name in own):
            raise UsageError(
                f"{self.title()}: no attribute to override\n\nhint: give one of {', '.join(own)}"
            )
        return self


class Mistake(IoAction):
    """What is read or written is wrong."""

    action: ClassVar[str] = "mistake"
    summary: ClassVar[str] = "put wrong bytes into what is read or written"
    section: ClassVar[str] = "mistake"

    methods: Annotated[
        Annotated[tuple[Literal["read", "write"], ...], Field(min_length=1)], At("methods", listed)
    ] = Field(default=("read", "write"), description="which calls")
    filling: Annotated[Literal["zero", "random"], At(".filling")] = Field(
        description="what the wrong bytes are"
    )
    occurrences_max: Annotated[Positive, At(".maxOccurrences")] = Field(
        description="wrong pieces in one call, at most"
    )
    length_max_bytes: Annotated[Positive, At(".maxLength")] = Field(
        description="length of a wrong piece, at most"
    )


ACTIONS = (Latency, Fault, AttrOverride, Mistake)
