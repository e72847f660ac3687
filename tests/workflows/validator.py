"""The CRDs, where they are at hand: a program that validates objects, `PROGRAM FILE…`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

VALIDATOR = os.environ.get("SEATRIAL_CRD_VALIDATOR", "")


def refused(folder: Path, *documents: dict[str, Any]) -> str:
    """What the CRDs have against the objects, or "" if all are valid."""
    paths = []
    for number, document in enumerate(documents):
        paths.append(folder / f"{number}.yaml")
        paths[-1].write_text(json.dumps(document))
    run = subprocess.run(
        [*VALIDATOR.split(), *map(str, paths)], capture_output=True, text=True, check=False
    )
    valid = sum(line.startswith("VALID") for line in run.stdout.splitlines())
    return "" if run.returncode == 0 and valid == len(documents) else run.stdout + run.stderr
