"""The board of a trial in the lab: in the holder's memory, gone with it."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.engine.site import Notice
from seatrial.errors import UsageError
from seatrial.verdict import Json

#: A board holds so many notices.
NOTICES_MAX = 4096


class MemoryBoard:
    """`seatrial.engine.site.Board` in this process."""

    def __init__(self) -> None:
        self._notices: dict[str, Notice] = {}

    async def post(
        self, name: str, document: Mapping[str, Json], *, version: int | None = None
    ) -> bool:
        """Put a notice up, if the one before has the version."""
        before = self._notices[name].version if name in self._notices else 0
        if version is not None and version != before:
            return False
        if before == 0 and len(self._notices) >= NOTICES_MAX:
            raise UsageError(f"the board is full: {NOTICES_MAX} notices")
        self._notices[name] = Notice(version=before + 1, document=document)
        return True

    async def read(self, name: str) -> Notice | None:
        """The notice of that name."""
        return self._notices.get(name)

    async def read_all(self) -> Mapping[str, Notice]:
        """All notices."""
        return dict(self._notices)
