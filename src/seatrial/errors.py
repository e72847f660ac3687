"""Every error that seatrial raises on purpose.

One root, `SeatrialError`, so that the command line can tell what a person can mend from what is
our own bug. A message says what is wrong, shows the value, and says what to do instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeatrialError(Exception):
    """Root of all errors raised on purpose; `exit_code` is the process's exit status.

    The codes follow BSD's sysexits: 64 used wrongly, 65 bad data, 66 no input, 69 unavailable,
    70 our own fault, 73 cannot create, 74 input/output.
    """

    exit_code = 70


class UsageError(SeatrialError):
    """The command or a value in it is wrong."""

    exit_code = 64


class BadData(SeatrialError):
    """A file does not hold what it should; the message names file and line."""

    exit_code = 65


class NoInput(SeatrialError):
    """A file or folder that should be read is not there or not readable."""

    exit_code = 66


class Unavailable(SeatrialError):
    """This machine or cluster cannot do what is asked; the message says how to mend it."""

    exit_code = 69


class Absent(Unavailable):
    """There is no cluster to act on: none was made, or it is gone."""


class CannotCreate(SeatrialError):
    """An output cannot be written: no permission, no space, a file in the way."""

    exit_code = 73


class Interrupted(SeatrialError):
    """A person stopped it; the message says what is kept."""

    exit_code = 130


class UnknownName(UsageError):
    """A name that is not in its catalogue; suggests the nearest ones."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
        super().__init__(f"{what} {name!r} is not in the catalogue\n\nhint: {hint}")
