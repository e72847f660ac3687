"""What steps leave for each other: a room each, under `steps/` of the trial's folder.

A room becomes one artifact of a workflow. Every JSON file in it names its format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from seatrial.clock import identity
from seatrial.errors import BadData, NoInput
from seatrial.op import Type
from seatrial.trial import TrialFolder, write_text
from seatrial.verdict import Json


class Record(BaseModel):
    """Base of all files in a room."""

    model_config = ConfigDict(frozen=True, extra="forbid")


R = TypeVar("R", bound=BaseModel)


class StepRecord(Record):
    """`step.json`: how a step went. `sentence` is also in the file `message`."""

    format: Literal["seatrial/step/1"] = "seatrial/step/1"
    step: str
    room: str
    status: Literal["running", "done", "invalid", "unproven", "failed"]
    exit_code: int
    sentence: str
    started: str
    seconds: float = 0.0
    clock: str = ""


class VersionsRecord(Record):
    """`versions.json` of `preflight`."""

    format: Literal["seatrial/versions/1"] = "seatrial/versions/1"
    versions: Mapping[str, str]


class LoadClock(Record):
    """The clock that the axis is: which one, and its reading at the axis' zero."""

    identity: str
    zero_ns: int

    def is_mine(self) -> bool:
        """Whether this process's clock is the same one."""
        return bool(self.identity) and self.identity == identity()


class LoadRecord(Record):
    """`load.json` of `workload`: how the load ended, and what the final reads must know.

    `versions` and `host` are of where it ran. `memory` is the workload's own; `stopped` says why
    the load ended early, if it did.
    """

    format: Literal["seatrial/load/1"] = "seatrial/load/1"
    clock: LoadClock
    versions: Mapping[str, str]
    host: Mapping[str, Json]
    next_process: int
    memory: Mapping[str, Json]
    healed: bool
    stopped: str = ""
    late: tuple[str, ...] = ()


class SteadyRecord(Record):
    """`steady.json`: one stretch judged while the trial goes on; early news."""

    format: Literal["seatrial/steady/1"] = "seatrial/steady/1"
    stretch: str
    verdict: str
    readings: Mapping[str, Json]


class EventRecord(Record):
    """An op of the nemesis. `own_ns` is on the step's clock; `at_ns` within `bound_ns` on the axis.

    `bound_ns` is None where the clocks could not be compared; `at_ns` is then a guess.
    """

    type: Type
    f: str
    value: Mapping[str, Json]
    own_ns: int
    at_ns: int
    bound_ns: int | None
    error: str | None = None


class EventsRecord(Record):
    """`events.json` of a fault."""

    format: Literal["seatrial/events/1"] = "seatrial/events/1"
    events: tuple[EventRecord, ...]


class AuditRecord(Record):
    """`audit.json`, `heal.json`, `quiesce.json`, `teardown.json`: what was found at that moment.

    `leaks` may be mended by the time of the next look; of what is `unhealed` nobody will ever know:
    it was removed by force, and can be looked at no more.
    """

    format: Literal["seatrial/audit/1"] = "seatrial/audit/1"
    leaks: tuple[str, ...] = ()
    unhealed: tuple[str, ...] = ()
    unplanned: tuple[str, ...] = ()


class Rooms:
    """The rooms of one trial."""

    def __init__(self, root: Path) -> None:
        self.folder = TrialFolder(root.absolute())
        self.steps = self.folder.root / "steps"

    def room(self, name: str) -> Path:
        """A step's room; it need not exist."""
        return self.steps / name

    def names(self) -> tuple[str, ...]:
        """Rooms that are there."""
        if not self.steps.is_dir():
            return ()
        return tuple(sorted(path.name for path in self.steps.iterdir() if path.is_dir()))

    def write(self, room: str, file: str, record: BaseModel) -> None:
        """Write a file whole or not at all; raises `CannotCreate`."""
        write_text(self.room(room) / file, record.model_dump_json(indent=2) + "\n")

    def find(self, room: str, file: str, model: type[R]) -> R | None:
        """A file of a room, None if it is not there; raises `BadData`."""
        path = self.room(room) / file
        try:
            return model.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise BadData(f"{path} is not what this version writes: {error}") from error

    def read(self, room: str, file: str, model: type[R]) -> R:
        """A file of a room; raises `NoInput` if it is not there."""
        found = self.find(room, file, model)
        if found is None:
            raise NoInput(
                f"{self.room(room) / file} is not there\n\nhint: `seatrial step {room}` writes it"
            )
        return found

    def records(self) -> Sequence[StepRecord]:
        """All that steps say of themselves, in order of their beginning."""
        found = [self.find(name, "step.json", StepRecord) for name in self.names()]
        return sorted((one for one in found if one is not None), key=lambda one: one.started)
