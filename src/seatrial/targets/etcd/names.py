"""What the load calls its keys: all of them below one name, so that they are nobody else's."""

from __future__ import annotations

from typing import Final

#: Before every key that a trial writes.
OWN: Final = "seatrial/"
#: The first key behind all of those ("0" is the byte after "/").
OWN_END: Final = "seatrial0"
