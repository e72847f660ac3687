"""Disks and files of a machine. What is done to files is undone when the experiment ends."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.machine.action import MachineAction
from seatrial.faults.chaos.units import At, Count, Path, Text, in_m

Processes = Annotated[int, Field(ge=1, le=255, strict=True)]


class DiskPayload(MachineAction):
    """A lot is read or written."""

    size_mib: Annotated[Count, At(".size", in_m)]
    path: Annotated[Path | None, At(".path")] = Field(
        default=None, description="a file; none: a temporary one"
    )
    processes: Annotated[Processes, At(".payload-process-num")] = 1


class DiskReadPayload(DiskPayload):
    """A lot is read."""

    action: ClassVar[str] = "disk-read-payload"
    section: ClassVar[str] = "disk-read-payload"
    summary: ClassVar[str] = "read a lot from a machine's disk"


class DiskWritePayload(DiskPayload):
    """A lot is written."""

    action: ClassVar[str] = "disk-write-payload"
    section: ClassVar[str] = "disk-write-payload"
    summary: ClassVar[str] = "write a lot to a machine's disk"


class DiskFill(MachineAction):
    """Space is taken."""

    action: ClassVar[str] = "disk-fill"
    section: ClassVar[str] = "disk-fill"
    summary: ClassVar[str] = "take space on a machine's disk"

    size_mib: Annotated[Count, At(".size", in_m)]
    path: Annotated[Path | None, At(".path")] = Field(
        default=None, description="a file; none: a temporary one"
    )
    by_fallocate: Annotated[bool, At(".fill-by-fallocate")] = Field(
        default=True, description="at once, without writing"
    )


class FileOrFolder(MachineAction):
    """A file or a folder, by its path."""

    file: Annotated[Path | None, At(".file-name")] = Field(
        default=None, description="this or folder"
    )
    folder: Annotated[Path | None, At(".dir-name")] = Field(
        default=None, description="this or file"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.file is None) == (self.folder is None):
            raise UsageError(
                f"{self.title()}: file (was {self.file!r}) or folder (was {self.folder!r})\n\n"
                "hint: give one of the two"
            )
        return self


class FileCreate(FileOrFolder):
    """A file or folder appears."""

    action: ClassVar[str] = "file-create"
    section: ClassVar[str] = "file-create"
    summary: ClassVar[str] = "make a file or folder"


class FileDelete(FileOrFolder):
    """A file or folder goes away."""

    action: ClassVar[str] = "file-delete"
    section: ClassVar[str] = "file-delete"
    summary: ClassVar[str] = "remove a file or folder"


class FileModify(MachineAction):
    """A file's permissions change."""

    action: ClassVar[str] = "file-modify"
    section: ClassVar[str] = "file-modify"
    summary: ClassVar[str] = "change a file's permissions"

    file: Annotated[Path, At(".file-name")]
    permissions: Annotated[Annotated[int, Field(ge=1, le=777, strict=True)], At(".privilege")] = (
        Field(description="three octal digits written as a decimal number: 600 is rw-------")
    )

    @model_validator(mode="after")
    def _digits_are_octal(self) -> Self:
        if set(str(self.permissions)) & {"8", "9"}:
            raise UsageError(
                f"{self.title()}: permissions (was {self.permissions}) has a digit that is not "
                "octal\n\nhint: write them as for chmod: 600, 644, 755"
            )
        return self


class FileRename(MachineAction):
    """A file has another name."""

    action: ClassVar[str] = "file-rename"
    section: ClassVar[str] = "file-rename"
    summary: ClassVar[str] = "rename a file"

    source: Annotated[Path, At(".source-file")]
    destination: Annotated[Path, At(".dest-file")]


class FileAppend(MachineAction):
    """A file has more at its end."""

    action: ClassVar[str] = "file-append"
    section: ClassVar[str] = "file-append"
    summary: ClassVar[str] = "append to a file"

    file: Annotated[Path, At(".file-name")]
    data: Annotated[Text, At(".data")]
    times: Annotated[Count, At(".count")] = 1


class FileReplace(MachineAction):
    """A file says something else."""

    action: ClassVar[str] = "file-replace"
    section: ClassVar[str] = "file-replace"
    summary: ClassVar[str] = "replace text in a file"

    file: Annotated[Path, At(".file-name")]
    old: Annotated[Text, At(".origin-string")]
    new: Annotated[Text, At(".dest-string")]
    line: Annotated[Count | None, At(".line")] = Field(
        default=None, description="in which line; none: in all"
    )


ACTIONS = (
    DiskReadPayload,
    DiskWritePayload,
    DiskFill,
    FileCreate,
    FileModify,
    FileDelete,
    FileRename,
    FileAppend,
    FileReplace,
)
