"""A walk that is to be killed: says when the load runs, with short leases and little patience."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from seatrial.workflows.settings import Settings
from seatrial.workflows.trial import trial
from tests.steps.plans import short_plan
from tests.steps.walker import Walk

_SHORT = ("--wait", "3s", "--lease", "6s")


def main() -> int:
    """`python -m tests.steps.killed FOLDER`."""
    root = Path(sys.argv[1])
    workflow = trial(short_plan(), Settings())
    nodes = ("provision", "workload", "steady-before", "steady-during", "fault-1-kill-leader")
    more = {name: _SHORT for name in nodes}
    environment = {**os.environ, "SEATRIAL_LAB": str(root / "lab")}
    walk = Walk(workflow, root / "walk", environment, more)
    threading.Thread(target=_say_when_loaded, args=(root,), daemon=True).start()
    walk.run()
    return 0


def _say_when_loaded(root: Path) -> None:
    history = root / "walk" / "pods" / "workload" / "steps" / "workload" / "history.arrow"
    while not history.exists() or history.stat().st_size < 20_000:
        time.sleep(0.02)
    print("load", flush=True)


if __name__ == "__main__":
    sys.exit(main())
