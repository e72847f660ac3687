"""The trial's board on a cluster: one ConfigMap, owned by the Workflow, a key a notice.

A write replaces the version that was read; if somebody else was faster (409) it reads again.
Reading is asked of the API server at most every `FRESH_S`, however often a step looks.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping

from pydantic import BaseModel

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, Object
from seatrial.engine.argo.run import Run
from seatrial.engine.site import Notice
from seatrial.errors import Unavailable
from seatrial.verdict import Json

#: How old what a step reads may be. Moments of faults do not depend on it: they come by the line.
FRESH_S = 0.5
#: So often a write is tried against others that write as well.
WRITES_MAX = 50


class _Stored(BaseModel):
    """A notice as the ConfigMap has it; `writer` tells one attempt to write from all others."""

    version: int
    document: Mapping[str, Json]
    writer: str


class ConfigMapBoard:
    """`seatrial.engine.site.Board`."""

    def __init__(self, api: Api, run: Run) -> None:
        self._api, self._run = api, run
        self._maps = paths.config_maps(run.namespace)
        self._name = run.object_name("board")
        self._seen: Mapping[str, Notice] = {}
        self._seen_at = float("-inf")
        self._turn = asyncio.Lock()

    async def post(
        self, name: str, document: Mapping[str, Json], *, version: int | None = None
    ) -> bool:
        """Put a notice up; False if `version` is not the one before's."""
        writer = uuid.uuid4().hex
        for _ in range(WRITES_MAX):
            found = await self._api.find(f"{self._maps}/{self._name}")
            before = _stored(found).get(name)
            if before is not None and before.writer == writer:
                return True  # it was written, and the answer was lost on the way
            last = 0 if before is None else before.version
            if version is not None and version != last:
                self._remember(found)  # who was refused reads what is there, not what was
                return False
            text = _Stored(version=last + 1, document=document, writer=writer).model_dump_json()
            try:
                self._remember(await self._write(found, name, text))
            except ApiError as error:
                if error.status in (404, 409):
                    continue
                raise
            return True
        raise Unavailable(f"the board refused {name} {WRITES_MAX} times")

    async def remove(self) -> None:
        """Take the board away; what is gone already is fine."""
        await self._api.delete(f"{self._maps}/{self._name}")

    async def read(self, name: str) -> Notice | None:
        """The notice of that name."""
        return (await self.read_all()).get(name)

    async def read_all(self) -> Mapping[str, Notice]:
        """All notices, not older than `FRESH_S`."""
        async with self._turn:
            if time.monotonic() - self._seen_at > FRESH_S:
                self._remember(await self._api.find(f"{self._maps}/{self._name}"))
            return self._seen

    def _remember(self, found: Object | None) -> None:
        self._seen, self._seen_at = _notices(found), time.monotonic()

    async def _write(self, found: Object | None, name: str, text: str) -> Object:
        if found is None:
            body: dict[str, Json] = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": self._name},
                "data": {name: text},
            }
            return await self._api.create(self._maps, self._run.owned(body))
        data = {**(found.get("data") or {}), name: text}
        return await self._api.replace(f"{self._maps}/{self._name}", {**found, "data": data})


def _stored(found: Object | None) -> Mapping[str, _Stored]:
    data = (found or {}).get("data") or {}
    return {name: _Stored.model_validate_json(text) for name, text in data.items()}


def _notices(found: Object | None) -> Mapping[str, Notice]:
    return {
        name: Notice(version=one.version, document=one.document)
        for name, one in _stored(found).items()
    }
