"""Where trials are kept: one folder a trial under the store, and a link `latest`."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial import __version__
from seatrial.errors import CannotCreate
from seatrial.trial import RampOutcome, TrialFolder, TrialRecord, write_text
from seatrial.verdict import Json

DEFAULT_STORE = Path("trials")
#: How many trials of one case, seed and second can be told apart.
SAME_SECOND_MAX = 1000
#: A trial that starts with less room than this could not write its history.
FREE_BYTES_MIN = 64 << 20


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """One line of `seatrial list trials`."""

    name: str
    folder: TrialFolder
    record: TrialRecord | None


def create(store: Path, case: str, seed: int, now: datetime.datetime) -> TrialFolder:
    """A new, empty trial folder; raises `CannotCreate` with the reason and the mend."""
    stem = f"{now:%Y%m%dT%H%M%S}-{case}-{seed}"
    try:
        store.mkdir(parents=True, exist_ok=True)
        for number in range(SAME_SECOND_MAX):
            folder = TrialFolder((store / (stem if number == 0 else f"{stem}-{number}")).absolute())
            try:
                folder.root.mkdir()
            except FileExistsError:
                if not folder.root.is_dir():
                    raise
                continue
            for room in (folder.evidence, folder.logs, folder.metrics):
                room.mkdir()
            _check_room(store)
            _link_latest(store, folder.root)
            return folder
    except OSError as error:
        raise CannotCreate(
            f"cannot make a trial folder in {store}: {error.strerror or error}\n\n"
            "hint: another --store DIR that you may write to"
        ) from error
    raise CannotCreate(f"{store} already has {SAME_SECOND_MAX} trials called {stem}")


def _check_room(store: Path) -> None:
    free = os.statvfs(store)
    if free.f_bavail * free.f_frsize < FREE_BYTES_MIN:
        raise CannotCreate(
            f"{store} has {(free.f_bavail * free.f_frsize) >> 20} MiB left; "
            f"a trial needs at least {FREE_BYTES_MIN >> 20} MiB\n\n"
            "hint: free some space, or another --store"
        )


def _link_latest(store: Path, root: Path) -> None:
    """Point `latest` at the newest trial; a store that knows no links does without."""
    part = store / f".latest-{os.getpid()}"
    with contextlib.suppress(OSError):
        part.symlink_to(root.name)
        part.replace(store / "latest")


def write_record(
    folder: TrialFolder,
    status: str,
    started: datetime.datetime,
    *,
    reason: str = "",
    versions: Mapping[str, str] | None = None,
    nodes: Mapping[str, Mapping[str, Json]] | None = None,
    leaks: tuple[str, ...] = (),
    unplanned: tuple[str, ...] = (),
    ramps: tuple[RampOutcome, ...] = (),
) -> None:
    """Write `trial.json`."""
    record = TrialRecord.model_validate(
        {
            "trial": folder.root.name,
            "status": status,
            "started": started.isoformat(timespec="seconds"),
            "reason": reason,
            "versions": {**own_versions(), **(versions or {})},
            "host": host(),
            "nodes": nodes or {},
            "leaks": leaks,
            "unplanned": unplanned,
            "ramps": ramps,
        }
    )
    write_text(folder.record, record.model_dump_json(indent=2) + "\n")


def own_versions() -> dict[str, str]:
    """Versions of the tool and of what it runs on."""
    return {
        "seatrial": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def host() -> dict[str, Json]:
    """The machine, as far as it bears on speed."""
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_mib": (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) >> 20,
    }


def trials(store: Path) -> Iterator[StoredTrial]:
    """All trials in a store, newest first; a folder that does not parse has no record."""
    if not store.is_dir():
        return
    for root in sorted(store.iterdir(), reverse=True):
        if root.is_symlink() or not (root / "plan.json").is_file():
            continue
        folder = TrialFolder(root)
        record = None
        with contextlib.suppress(OSError, ValueError):
            record = TrialRecord.model_validate_json(folder.record.read_text(encoding="utf-8"))
        yield StoredTrial(root.name, folder, record)
