"""DNSChaos: names resolve to nothing, or to anything. Needs Chaos Mesh's own DNS server."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from seatrial.faults.chaos.containers import ContainerAction
from seatrial.faults.chaos.units import At, Text, listed


def _star_at_the_end(pattern: str) -> str:
    if "*" in pattern[:-1]:
        raise ValueError("'*' may only stand at the end; '?' may stand anywhere")
    return pattern


Pattern = Annotated[Text, AfterValidator(_star_at_the_end)]


class DnsAction(ContainerAction):
    """What DNSChaos actions share: which names."""

    kind: ClassVar[str] = "DNSChaos"

    patterns: Annotated[tuple[Pattern, ...], At("patterns", listed)] = Field(
        default=(), description="which names, `?` and a last `*` as wildcards; none: all"
    )


class Error(DnsAction):
    """Names resolve to nothing."""

    action: ClassVar[str] = "error"
    summary: ClassVar[str] = "make names resolve to an error"


class Random(DnsAction):
    """Names resolve to anything."""

    action: ClassVar[str] = "random"
    summary: ClassVar[str] = "make names resolve to random addresses"


ACTIONS = (Error, Random)
