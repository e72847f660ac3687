"""Asking a placement driver (PD) of TiDB who leads, who is a member, and which stores are up.

The HTTP API under `/pd/api/v1` (tikv/pd, `server/api/router.go`): `leader`, `members`, `health`
and `stores`. Any member answers; one that does not lead passes the question on, so the first
answer counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from pydantic import BaseModel, ConfigDict, ValidationError

from seatrial.errors import Unavailable

M = TypeVar("M", bound=BaseModel)

PREFIX = "/pd/api/v1"
#: How long one member may take to answer.
ASK_S = 2.0
#: What `state_name` says of a store that serves.
UP = "Up"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Member(_Answer):
    """A member of PD; `client_urls` are where it answers."""

    name: str
    member_id: int
    client_urls: tuple[str, ...] = ()


class Members(_Answer):
    """All members, and who leads them (none during an election)."""

    members: tuple[Member, ...]
    leader: Member | None = None


class Health(_Answer):
    """Whether a member answers its peers."""

    name: str
    health: bool = False


class _StoreMeta(_Answer):
    id: int
    address: str
    version: str = ""
    state_name: str = ""


class _StoreStatus(_Answer):
    leader_count: int = 0


class _Store(_Answer):
    store: _StoreMeta
    status: _StoreStatus = _StoreStatus()


class _Stores(_Answer):
    stores: tuple[_Store, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """A TiKV: where it is, whether it is up, and of how many regions it is the leader."""

    host: str
    state: str
    leaders: int
    version: str


class Pd:
    """The placement driver behind these URLs; each call raises `Unavailable` if none answers."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)

    async def members(self) -> Members:
        """All members and the leader."""
        return await self._ask("members", Members)

    async def leader(self) -> Member:
        """Who leads."""
        return await self._ask("leader", Member)

    async def healthy(self) -> tuple[str, ...]:
        """Names of the members that answer their peers."""
        found = await self._get("health")
        if not isinstance(found, list):
            raise Unavailable(f"PD's health is no list: {str(found)[:80]}")
        return tuple(one.name for one in map(_health, found) if one.health)

    async def stores(self) -> tuple[Store, ...]:
        """All stores of TiKV that PD knows."""
        found = (await self._ask("stores", _Stores)).stores
        return tuple(
            Store(
                host=one.store.address.rpartition(":")[0],
                state=one.store.state_name,
                leaders=one.status.leader_count,
                version=one.store.version,
            )
            for one in found
        )

    async def _ask(self, what: str, model: type[M]) -> M:
        found = await self._get(what)
        try:
            return model.model_validate(found)
        except ValidationError as error:
            raise Unavailable(f"PD's answer to {what!r} is of another shape: {error}") from None

    async def _get(self, what: str) -> Any:
        """The first answer of any member, asked one after the other."""
        told = []
        for url in self.urls:
            try:
                return await asyncio.to_thread(_fetch, f"{url}{PREFIX}/{what}")
            except (requests.RequestException, ValueError) as error:
                told.append(f"{url}: {type(error).__name__}")
        raise Unavailable(f"no PD answers: {'; '.join(told) or 'none is known'}")


def _fetch(url: str) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, timeout=ASK_S)
        answer.raise_for_status()
        return answer.json()


def _health(found: object) -> Health:
    try:
        return Health.model_validate(found)
    except ValidationError as error:
        raise Unavailable(f"PD's health is of another shape: {error}") from None
