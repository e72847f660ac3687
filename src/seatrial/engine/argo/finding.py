"""What a look at a cluster found, and what it looks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.engine.argo.api import Api
from seatrial.engine.argo.rights import Right

Status = Literal["ok", "limited", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what follows from it, and the mend ("" if all is well)."""

    name: str
    status: Status
    meaning: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where trials are to run, and which service accounts must have which rights there."""

    namespace: str
    accounts: Mapping[str, Sequence[Right]]


Look = Callable[[Api, Wanted], Awaitable[Finding]]
DEPLOY = "kubectl apply -k deploy/"
