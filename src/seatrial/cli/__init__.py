"""The command line. Names and meanings are a contract (`docs/reference/command-line.md`).

Exit status everywhere: 0 valid, 1 invalid, 2 unknown, 64 and up: used wrongly or could not start.
Data goes to standard output, progress and errors to standard error.
"""

from __future__ import annotations

from seatrial.cli.main import main

__all__ = ["main"]
