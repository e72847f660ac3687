"""The options of the faults on packets, checked before anything starts, and the links they mean.

Bounds come from what can be measured afterwards, within some seconds and beside a target's own
traffic: a loss of one packet in ten thousand would be a claim, not a fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from seatrial.errors import UsageError
from seatrial.fault import SIZES, Action, PlannedFault, Shape
from seatrial.verdict import Json

Direction = Literal["to", "from", "both"]
Link: TypeAlias = tuple[str, str]

#: The least share of packets, in percent, of which a few thousand probes show enough.
PERCENT_MIN = 0.6
CORRELATION_MAX = 95.0
LATENCY_MS = (1.0, 10_000.0)
#: Rates that can be filled and counted beside a trial's load.
BITS_PER_S = (64_000, 50_000_000)
#: A packet of a full MTU with its Ethernet header, which a bucket must be able to hold.
BUFFER_BYTES_MIN = 1514
#: A bucket holds no more than so many seconds of its rate (else it is never seen empty).
BUFFER_S_MAX = 2.0

_SHAPE = TypeAdapter(Shape)

_Percent = Annotated[float, Field(gt=0, le=100, strict=True)]
_Correlation = Annotated[float, Field(ge=0, le=CORRELATION_MAX, strict=True)]
_Latency = Annotated[float, Field(ge=LATENCY_MS[0], le=LATENCY_MS[1], strict=True)]
_Bits = Annotated[int, Field(ge=BITS_PER_S[0], le=BITS_PER_S[1], multiple_of=8, strict=True)]


class Where(BaseModel):
    """What all of them share. `direction` is seen from the victims: `to` the peers, `from` them,
    or `both`. `peers`: a size, a role, or names; `all` are all other nodes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    direction: Direction = "to"
    peers: str | Annotated[tuple[str, ...], Field(min_length=1)] = "all"


class Delay(Where):
    """Each packet comes later, by `latency_ms` ± up to `jitter_ms` (uniform)."""

    latency_ms: _Latency = 50.0
    jitter_ms: Annotated[float, Field(ge=0, strict=True)] = 0.0
    correlation: _Correlation = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.jitter_ms > self.latency_ms:
            raise ValueError(
                f"jitter_ms {self.jitter_ms:g} is more than latency_ms {self.latency_ms:g}: "
                "no packet arrives before it is sent"
            )
        return self


class Share(Where):
    """A share of the packets is lost, doubled or damaged."""

    percent: _Percent = 20.0
    correlation: _Correlation = 0.0

    @model_validator(mode="after")
    def _shows(self) -> Self:
        _insist_on_enough(self.percent, self.correlation)
        return self


class Reorder(Where):
    """Packets are held back by `latency_ms`; one in `gap` at most passes them, with `percent`."""

    percent: _Percent = 25.0
    correlation: _Correlation = 0.0
    gap: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    latency_ms: Annotated[float, Field(ge=5, le=LATENCY_MS[1], strict=True)] = 20.0

    @model_validator(mode="after")
    def _shows(self) -> Self:
        if self.percent == 100 and self.gap == 1:
            raise ValueError("percent 100 with gap 1 lets every packet pass: none is overtaken")
        if self.gap > 1:
            _insist_on_enough(100 / (self.gap - 1 + 100 / self.percent), self.correlation)
        else:
            _insist_on_enough(self.percent * (1 - self.percent / 100), self.correlation)
        return self


class Rate(Where):
    """The link carries so many bits a second; what does not fit waits (1000 packets at most)."""

    bits_per_s: _Bits = 1_000_000


class Bandwidth(Where):
    """A token bucket: `buffer_bytes` at once, then `bits_per_s`; `limit_bytes` may wait."""

    bits_per_s: _Bits = 1_000_000
    limit_bytes: Annotated[int, Field(ge=2 * BUFFER_BYTES_MIN, lt=2**31, strict=True)] = 100_000
    buffer_bytes: Annotated[int, Field(ge=BUFFER_BYTES_MIN, lt=2**31, strict=True)] = 10_000

    @model_validator(mode="after")
    def _empties(self) -> Self:
        most = int(self.bits_per_s / 8 * BUFFER_S_MAX)
        if self.buffer_bytes > most:
            raise ValueError(
                f"buffer_bytes {self.buffer_bytes} is more than {BUFFER_S_MAX:g} s of "
                f"{self.bits_per_s} bit/s ({most} bytes)"
            )
        return self


OPTIONS: Mapping[Action, type[Where]] = {
    "delay": Delay,
    "loss": Share,
    "duplicate": Share,
    "corrupt": Share,
    "reorder": Reorder,
    "rate": Rate,
    "bandwidth": Bandwidth,
}


def read(action: Action, options: Mapping[str, Json]) -> Where:
    """The options of a kind; raises `UsageError` that names the option and its value."""
    try:
        return OPTIONS[action].model_validate(options)
    except ValidationError as error:
        raise UsageError(f"{action}: {_one_line(error, OPTIONS[action])}") from None


def shape(action: Action, options: Where) -> Shape:
    """What the engine is to do."""
    return _SHAPE.validate_python({"action": action, **values(options)})


def values(options: Where) -> dict[str, float | int]:
    """The options without direction and peers."""
    return options.model_dump(exclude={"direction", "peers"})


def problem(options: Where, nodes: Sequence[str], *, live: bool) -> str:
    """Why the peers cannot be, as far as that can be said before a trial; "" if nothing is wrong.

    A word that is neither a size nor a node is taken for a role of the target, which only a
    world that is `live` can look up.
    """
    if len(nodes) < 2:
        return f"there is no link with {len(nodes)} node(s)"
    if isinstance(options.peers, str):
        if live or options.peers in (*SIZES, *nodes):
            return ""
        return (
            f"peers {options.peers!r}: Chaos Mesh selects pods, and who plays a role is known at "
            f"the moment only\n\nhint: a size ({', '.join(SIZES)}) or names of nodes"
        )
    unknown = [name for name in options.peers if name not in nodes]
    if unknown:
        return (
            f"peers {', '.join(unknown)}: no such node\n\nhint: nodes are {', '.join(nodes)}; "
            "sizes and roles are words, not lists"
        )
    return ""


def by_size(
    options: Where, fault: PlannedFault, nodes: Sequence[str], victims: Sequence[str]
) -> tuple[str, ...] | None:
    """The peers where they are names or a size; None for a role. The plan's `pick` draws them."""
    if not isinstance(options.peers, str):
        return tuple(options.peers)
    others = [node for node in nodes if node not in victims] or [*nodes]
    if options.peers == "all":
        return tuple(nodes)
    if options.peers in nodes:
        return (options.peers,)
    if options.peers not in SIZES:
        return None
    count = {"one": 1, "minority": (len(nodes) - 1) // 2, "majority": len(nodes) // 2 + 1}
    first = int(fault.pick * len(others))
    return tuple((others[first:] + others[:first])[: count[options.peers]])


def links(direction: Direction, victims: Sequence[str], peers: Sequence[str]) -> frozenset[Link]:
    """The directions (source, destination) that are meant. O(victims · peers)."""
    out = {(victim, peer) for victim in victims for peer in peers if victim != peer}
    back = {(peer, victim) for victim, peer in out}
    return frozenset(out if direction == "to" else back if direction == "from" else out | back)


def _insist_on_enough(percent: float, correlation: float) -> None:
    fresh = percent * (1 - correlation / 100)
    if fresh < PERCENT_MIN:
        raise ValueError(
            f"it changes too rarely to be measured: {fresh:.2g} % of the packets begin a run of "
            f"packets that are met, and at least {PERCENT_MIN:g} % must (raise percent, lower "
            "correlation or gap)"
        )


def _one_line(error: ValidationError, model: type[Where]) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    known = f"\n\nhint: options are {', '.join(model.model_fields)}"
    if first["type"] == "value_error":
        return f"{first['msg'].removeprefix('Value error, ')}{known}"
    return f"option {where!r}: {first['msg']} (was {first['input']!r}){known}"
