"""What a trial left behind, each with its mend: the last thing that is looked at.

Inside the sandbox the lab compares itself with what it was before the faults; here the host is
looked at once the sandbox has ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from seatrial.engine.lab.inventory import mounts
from seatrial.engine.lab.network import BRIDGE
from seatrial.runner.lever import TRIAL_VARIABLE
from seatrial.trial import TrialFolder

#: An environment longer than this is not looked through.
_ENVIRONMENT_BYTES_MAX = 1 << 20


def in_the_lab(leaks: Iterable[str], isolation: str) -> tuple[str, ...]:
    """Leaks of a lab with their mend."""
    gone = "nothing to do on the host: it ended with the trial's namespaces"
    mend = gone if isolation == "namespace" else "seatrial reap"
    return tuple(f"{leak} (mend: {mend})" for leak in leaks)


def left_on_host(folder: TrialFolder) -> tuple[str, ...]:
    """What is left on the host of a trial whose sandbox has ended; its scratch is cleared."""
    found = [
        f"mount at {where} (mend: umount {where})"
        for where, _ in mounts()
        if Path(where).is_relative_to(folder.root)
    ]
    for pid, trial in marked():
        if trial == folder.root and pid != os.getpid():
            found.append(f"process {pid} (mend: kill -9 {pid}, or seatrial reap)")
    if (Path("/sys/class/net") / BRIDGE).exists():
        found.append(f"interface {BRIDGE} (mend: ip link delete {BRIDGE})")
    if not found:
        clear_scratch(folder)
    if folder.data.exists():
        found.append(f"folder {folder.data} (mend: rm -r {folder.data}, or seatrial reap)")
    return tuple(found)


def clear_scratch(folder: TrialFolder) -> None:
    """Remove what lay in the trial's folder only while it ran, as far as that is possible."""
    shutil.rmtree(folder.data, ignore_errors=True)
    for part in folder.root.rglob("*.part"):
        with contextlib.suppress(OSError):
            part.unlink()


def marked() -> Iterator[tuple[int, Path]]:
    """Processes of this user that belong to a trial, with its folder. O(processes)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield from marked_as(int(entry.name))


def marked_as(pid: int) -> tuple[tuple[int, Path], ...]:
    """The process with its trial's folder; empty if it belongs to none, or is no more."""
    mark = f"{TRIAL_VARIABLE}=".encode()
    entry = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError), (entry / "environ").open("rb") as file:
        if entry.stat().st_uid == os.getuid():
            for variable in file.read(_ENVIRONMENT_BYTES_MAX).split(b"\0"):
                if variable.startswith(mark):
                    return ((pid, Path(os.fsdecode(variable.removeprefix(mark)))),)
    return ()
