"""SIGKILL of the tool at random moments during faults: nothing of the trial stays on the host.

    python -m tests.campaigns.kill_the_tool [--kills 50] [--first-seed 1] [--store DIR]

Each round starts `seatrial run` with a random plan's kinds of faults, waits until the stretch of
faults has begun, kills the tool after a random time, and then looks for what is left: processes
of the trial, namespaces that they were in, mounts, interfaces. `seatrial reap` then clears the
folder, after which there is no scratch and no record that says `running`. Prints a line a round
and a summary; exit status 0 if nothing was left each time.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from seatrial.engine.lab.inventory import mounts
from seatrial.runner import audit, lever, reaping
from seatrial.trial import TrialFolder, TrialRecord
from tests.campaigns.random_plans import possible_kinds
from tests.lab.host import interfaces, own_spaces, spaces

#: How long a trial may take until its faults begin, and what is killed to be gone.
BEGIN_TIMEOUT_S = 120.0
GONE_TIMEOUT_S = 30.0
#: The stretch of faults of a trial of 16 s, in which the kill falls.
FAULTS_S = 9.0
_POLL_S = 0.05


def one_kill(seed: int, store: Path) -> tuple[str, list[str]]:
    """One round; what was going on when the tool was killed, and what was left."""
    rng = random.Random(f"seatrial kill {seed}")
    kinds = rng.sample(possible_kinds(), 3)
    command = [sys.executable, "-c", "import sys; from seatrial.cli import main; sys.exit(main())"]
    options = ["--faults", ",".join(kinds), "--time-limit", "16s", "--rate", "200"]
    before = interfaces()
    tool = subprocess.Popen(
        [*command, "run", "etcd-register", "--seed", str(seed), "--store", str(store), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        root = _until_faults(tool)
        time.sleep(rng.uniform(0.0, FAULTS_S))
        made = _namespaces(root)
        acting = ", ".join(path.stem for path in sorted((root / "evidence").glob("*.json")))
    finally:
        os.kill(tool.pid, signal.SIGKILL)
        tool.wait()
        if tool.stderr is not None:
            tool.stderr.close()
    left = _left(root, made)
    left += [f"interface {name}" for name in interfaces() - before]
    left += _after_reap(root, store)
    return f"{','.join(kinds)}; begun: {acting or 'none'}", left


def _until_faults(tool: subprocess.Popen[str]) -> Path:
    """The trial's folder, once its stretch of faults has begun."""
    assert tool.stderr is not None
    root, deadline = None, time.monotonic() + BEGIN_TIMEOUT_S
    for line in tool.stderr:
        if line.startswith("trial "):
            root = Path(line.split(maxsplit=1)[1].strip())
        if line.startswith("workload") and root is not None:
            return root
        if time.monotonic() > deadline:
            break
    raise SystemExit(f"the faults never began (status {tool.poll()})")


def _processes(root: Path) -> list[int]:
    return [pid for pid, trial in audit.marked() if trial == root]


def _namespaces(root: Path) -> set[str]:
    """Namespaces that the trial's processes are in and this one is not."""
    found: set[str] = set()
    for pid in _processes(root):
        for task in Path(f"/proc/{pid}/task").glob("*/ns/*"):
            try:
                found.add(os.readlink(task))
            except OSError:
                continue
    return {name for name in found - own_spaces() if name.startswith(("net:", "mnt:", "pid:"))}


def _lives(root: Path, made: set[str]) -> bool:
    return bool(_processes(root) or made & spaces() or lever.lives(root))


def _left(root: Path, made: set[str]) -> list[str]:
    """What is still there when the kernel has had its time."""
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while _lives(root, made) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    left = [f"process {pid}" for pid in _processes(root)]
    left += [f"namespace {name}" for name in made & spaces()]
    left += [f"mount {where}" for where, _ in mounts() if Path(where).is_relative_to(root)]
    if not made:
        left.append("no namespace was seen before the kill: nothing is proved")
    return left


def _after_reap(root: Path, store: Path) -> list[str]:
    left = [remain.sentence for remain in reaping.reap([store]) if not remain.cleared]
    folder = TrialFolder(root)
    if folder.data.exists():
        left.append(f"scratch {folder.data}")
    record = TrialRecord.model_validate_json(folder.record.read_text(encoding="utf-8"))
    if record.status == "running":
        left.append("a record that says running")
    if lever.lives(root):
        left.append("a lock")
    return left


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--store", type=Path, default=Path("trials") / "kills")
    chosen = parser.parse_args()
    dirty, began = 0, time.monotonic()
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.kills):
        what, left = one_kill(seed, chosen.store)
        dirty += bool(left)
        print(f"{seed:5} {'left: ' + '; '.join(left) if left else 'clean'}  ({what})", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{chosen.kills} kills in {minutes:.1f} min: {dirty} left something behind")
    return 1 if dirty else 0


if __name__ == "__main__":
    sys.exit(main())
