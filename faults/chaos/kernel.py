"""KernelChaos: the kernel's own requests fail (BPF, `CONFIG_BPF_KPROBE_OVERRIDE`).

All of a node suffers, not one pod: use it on a machine of its own.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from seatrial.faults.chaos.containers import ContainerAction
from seatrial.faults.chaos.data import Data
from seatrial.faults.chaos.units import At, Count, Text, Texts, WholePercent, listed
from seatrial.verdict import Json

FailType = Literal["slab", "page", "bio"]


class Frame(Data):
    """One function of a chain of calls, and when it counts."""

    function: Text
    parameters: Text | None = None
    predicate: Text | None = None

    def to_json(self) -> dict[str, Json]:
        """As in the CRD."""
        out: dict[str, Json] = {"funcname": self.function}
        if self.parameters is not None:
            out["parameters"] = self.parameters
        if self.predicate is not None:
            out["predicate"] = self.predicate
        return out


def _number(value: FailType) -> Json:
    return ("slab", "page", "bio").index(value)


def _frames(value: tuple[Frame, ...]) -> Json:
    return [frame.to_json() for frame in value]


class FailRequest(ContainerAction):
    """Memory or block requests of the kernel fail."""

    kind: ClassVar[str] = "KernelChaos"
    action: ClassVar[str] = ""
    called: ClassVar[str] = "fail"
    summary: ClassVar[str] = "make requests inside the kernel fail"
    section: ClassVar[str] = "failKernRequest"

    fails: Annotated[FailType, At(".failtype", _number)] = Field(
        description="slab: should_failslab; page: should_fail_alloc_page; bio: should_fail_bio"
    )
    call_chain: Annotated[tuple[Frame, ...], At(".callchain", _frames)] = Field(
        default=(), description="functions (function, parameters, predicate); none: any"
    )
    headers: Annotated[Texts, At(".headers", listed)] = Field(
        default=(), description="kernel headers that the predicates need"
    )
    percent: Annotated[WholePercent, At(".probability")] = Field(
        default=100, description="share of the requests"
    )
    times_max: Annotated[Count | None, At(".times")] = Field(
        default=None, description="how often, at most"
    )


ACTIONS = (FailRequest,)
