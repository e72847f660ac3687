"""How several runs of pytest ended, as one: `python -m tests.tally FILE.xml…` (JUnit's format)."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree


def tally(texts: list[str]) -> tuple[Counter[str], list[str]]:
    """Tests by how they ended, and the skipped ones with their reasons."""
    found: Counter[str] = Counter()
    skipped = []
    for text in texts:
        for case in ElementTree.fromstring(text).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                found["failed"] += 1
            elif (left_out := case.find("skipped")) is not None:
                found["skipped"] += 1
                skipped.append(f"skipped: {name}: {left_out.get('message')}")
            else:
                found["passed"] += 1
    return found, skipped


if __name__ == "__main__":
    ended, reasons = tally([Path(name).read_text(encoding="utf-8") for name in sys.argv[1:]])
    print(*reasons, sep="\n", end="\n" if reasons else "")
    print(f"{ended['passed']} passed, {ended['failed']} failed, {ended['skipped']} skipped")
