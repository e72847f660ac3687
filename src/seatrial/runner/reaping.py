"""Clearing what a crash of the tool left: processes, scratch folders, stale entries, records.

Only what belongs to a trial is looked at, and a trial that lives is never touched: its lock is held
(`seatrial.runner.lever`). Trials of other users are left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial.engine.lab.inventory import mounts
from seatrial.runner import audit, lever
from seatrial.runner.store import trials
from seatrial.trial import TrialFolder, TrialRecord, write_text

#: How long the kernel may take to end a process.
KILL_TIMEOUT_S = 10.0
_POLL_S = 0.02
REAPED = "the tool was killed in the middle of the trial; cleared by `seatrial reap`"


@dataclass(frozen=True, slots=True)
class Remain:
    """Something left behind: what, which, and whether it is gone now."""

    kind: str
    name: str
    cleared: bool

    @property
    def sentence(self) -> str:
        """It in words."""
        return f"{self.kind} {self.name}"


def reap(stores: Iterable[Path], *, dry: bool = False) -> tuple[Remain, ...]:
    """Clear what dead trials left, or (`dry`) only say what there is. O(processes + trials)."""
    found = [*_processes(dry)]
    folders = {one.trial for one in lever.listed()}
    folders |= {trial.folder.root.absolute() for store in stores for trial in trials(store)}
    for root in sorted(folders):
        if root.is_dir() and not lever.lives(root):
            found += _folder(TrialFolder(root), dry)
    return (*found, *_entries(dry))


def _processes(dry: bool) -> Iterator[Remain]:
    """Processes of trials that no longer live. The lock is looked at once more before each kill.

    The trial's folder is looked up as the process sees it: in a container of its own it has another
    place here, or none, and then nobody can say that it is dead.
    """
    for pid, trial in audit.marked():
        if pid == os.getpid() or not _is_dead(pid, trial):
            continue
        name = f"{pid} of {trial.name}"
        if dry:
            yield Remain("process", name, False)
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            handle = os.pidfd_open(pid)
            try:
                if (pid, trial) in audit.marked_as(pid) and _is_dead(pid, trial):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
        yield Remain("process", name, _gone(pid))


def _is_dead(pid: int, trial: Path) -> bool:
    """Whether the trial's folder can be seen and nobody holds its lock."""
    seen = Path(f"/proc/{pid}/root") / trial.relative_to("/") if trial.is_absolute() else trial
    with contextlib.suppress(OSError):
        return seen.is_dir() and not lever.lives(seen) and not lever.lives(trial)
    return False


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while audit.marked_as(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _folder(folder: TrialFolder, dry: bool) -> Iterator[Remain]:
    """Scratch of a dead trial, its lock, mounts over it, and a record that says it runs."""
    for where, _ in mounts():
        if Path(where).is_relative_to(folder.root):
            yield Remain("mount", f"{where} (mend: umount {where})", False)
    scratch = [folder.data, *folder.root.rglob("*.part")]
    for path in (path for path in scratch if path.exists()):
        if not dry:
            audit.clear_scratch(folder)
        yield Remain("scratch", str(path), not path.exists())
    lock = folder.root / lever.LOCK
    if lock.exists():
        if not dry:
            with contextlib.suppress(OSError):
                lock.unlink()
        yield Remain("lock", str(lock), not lock.exists())
    record = _record(folder)
    stepped = (folder.root / lever.STEPS).exists()  # the next step may be yet to come
    if record is not None and record.status == "running" and not stepped:
        if not dry:
            ended = record.model_copy(update={"status": "interrupted", "reason": REAPED})
            write_text(folder.record, ended.model_dump_json(indent=2) + "\n")
        yield Remain("record", f"{folder.record} said running", not dry)


def _record(folder: TrialFolder) -> TrialRecord | None:
    with contextlib.suppress(OSError, ValueError):
        return TrialRecord.model_validate_json(folder.record.read_text(encoding="utf-8"))
    return None


def _entries(dry: bool) -> Iterator[Remain]:
    """Entries of the list of running trials whose trial is dead."""
    for one in lever.listed():
        if not lever.lives(one.trial):
            if not dry:
                with contextlib.suppress(OSError):
                    one.entry.unlink(missing_ok=True)
            yield Remain("entry", str(one.entry), not one.entry.exists())
