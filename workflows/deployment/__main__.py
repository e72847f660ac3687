"""`python -m seatrial.workflows.deployment DIR`: write the generated files below DIR."""

from __future__ import annotations

import sys
from pathlib import Path

from seatrial.trial import write_text
from seatrial.workflows.deployment import files
from seatrial.workflows.settings import Settings

if __name__ == "__main__":
    root = Path(sys.argv[1])
    for path, text in files(Settings()).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_text(root / path, text)
        print(root / path)
