"""The safety lever, and which trials run: two things that every process of this user can see.

The lever is a file in the user's state folder (`$XDG_STATE_HOME/seatrial`, else
`~/.local/state/seatrial`). While it is there no fault begins, and a trial that runs heals what it
broke and ends `unknown`. A file needs no server, outlives the tool, and is seen from inside a
sandbox; it is written whole or not at all.

A trial that runs holds a lock on the file `lock` in its folder, and so do the processes of its
sandbox. The kernel frees it when the last of them is gone, however they ended, so that the lock
alone says whether a trial lives.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import getpass
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from seatrial.engine.lab import keeper
from seatrial.errors import CannotCreate, Unavailable
from seatrial.trial import write_text

#: In the environment of every process of a trial: its folder.
TRIAL_VARIABLE = "SEATRIAL_TRIAL"
LOCK = "lock"
#: In the folder of a trial that is carried out step by step: what its steps keep.
STEPS = "steps"


class Pull(BaseModel):
    """Who pulled the lever, when and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: str = "seatrial/lever/1"
    at: str
    by: str
    reason: str = ""

    @property
    def sentence(self) -> str:
        """It in words."""
        why = f": {self.reason}" if self.reason else ""
        return f"the safety lever was pulled by {self.by} at {self.at}{why}"


@dataclass(frozen=True, slots=True)
class Running:
    """An entry of the list of trials that run. `pid` is the tool's."""

    entry: Path
    trial: Path
    pid: int
    case: str


def state_folder() -> Path:
    """Where this user's programs keep state (XDG Base Directory Specification)."""
    given = os.environ.get("XDG_STATE_HOME")
    home = Path(given) if given and Path(given).is_absolute() else Path.home() / ".local" / "state"
    return home / "seatrial"


def lever_file() -> Path:
    """The lever."""
    return state_folder() / "stop"


def pulled() -> Pull | None:
    """The lever's pull, None while it is not pulled; a file that does not parse counts as one."""
    path = lever_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        return Pull(at="?", by="?", reason=f"{path} cannot be read ({error.strerror})")
    try:
        return Pull.model_validate_json(text)
    except ValueError:
        return Pull(at="?", by="somebody", reason=f"{path} exists")


def pull(reason: str) -> Pull:
    """Pull the lever; a pull that is there already stays. Raises `CannotCreate`."""
    before = pulled()
    if before is not None:
        return before
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    made = Pull(at=now, by=_user(), reason=reason)
    write_text(lever_file(), made.model_dump_json(indent=2) + "\n")
    return made


def lift() -> Pull | None:
    """Lift the lever; the pull that was lifted, None if it was not pulled."""
    before = pulled()
    try:
        lever_file().unlink(missing_ok=True)
    except OSError as error:
        raise CannotCreate(
            f"the safety lever cannot be lifted: {error.strerror}: {lever_file()}"
            "\n\nhint: remove that file"
        ) from error
    return before


def forbidden() -> str:
    """Why no fault may begin, "" while the lever is not pulled."""
    seen = pulled()
    return "" if seen is None else seen.sentence


def forbid_if_pulled() -> None:
    """Raise `Unavailable` while the lever is pulled."""
    seen = pulled()
    if seen is not None:
        raise Unavailable(
            f"no fault may begin: {seen.sentence}\n\nhint: seatrial stop --lift, or --faults none"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


# ── which trials run ─────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def running(trial: Path, case: str) -> Iterator[int]:
    """Hold the trial's lock and list it as running meanwhile; the lock's file descriptor.

    Give the descriptor to the sandbox, so that the trial lives as long as any of its processes.
    """
    lock = trial / LOCK
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    entry = state_folder() / "running" / f"{os.getpid()}-{trial.name}.json"
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        document = {"pid": os.getpid(), "trial": str(trial), "case": case}
        with contextlib.suppress(CannotCreate):  # a read-only home: `stop` then cannot wait for it
            write_text(entry, json.dumps(document) + "\n")
        yield fd
    finally:
        with contextlib.suppress(OSError):
            entry.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
        os.close(fd)


def lives(trial: Path) -> bool:
    """Whether some process of the trial in this folder lives, or a lab that its steps left."""
    if keeper.alive(trial / STEPS / "provision"):
        return True
    try:
        fd = os.open(trial / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # another user's: not ours to touch
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def listed() -> tuple[Running, ...]:
    """All entries of the list, those of the dead too."""
    found = []
    folder = state_folder() / "running"
    for entry in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads(entry.read_text(encoding="utf-8"))
            trial, pid = Path(str(document["trial"])), int(document["pid"])
            found.append(Running(entry, trial, pid, str(document.get("case", ""))))
    return tuple(found)
