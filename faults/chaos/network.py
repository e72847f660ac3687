"""NetworkChaos: what happens to packets between pods.

Traps of Chaos Mesh 2.8 that are rules here: the CRD knows no action `rate` and no action `reorder`
(a rate is `netem` with `rate`, a reordering is `delay` with `delay.reorder`); `from` and `both`
need a `target`; netem actions reach `externalTargets` in the direction `to` only; `bps` are bytes.
A selected pod on the host's network is refused by the controller.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.action import Action, put
from seatrial.faults.chaos.selector import Victims
from seatrial.faults.chaos.units import (
    At,
    BitsPerSecond,
    Correlation,
    Count,
    Jitter,
    Milliseconds,
    Percent,
    Text,
    Texts,
    bytes_per_s,
    decimal,
    listed,
    milliseconds,
)
from seatrial.verdict import Json

Direction = Literal["to", "from", "both"]


def _victims(value: Victims) -> Json:
    return value.to_json()


class NetworkAction(Action):
    """What all actions on packets share: between whom, in which direction, on which device."""

    kind: ClassVar[str] = "NetworkChaos"

    direction: Annotated[Direction, At("direction")] = Field(
        default="to", description="packets from the victims `to` the target, `from` it, or `both`"
    )
    target: Annotated[Victims | None, At("target", _victims)] = Field(
        default=None, description="the other side; nobody named: everybody"
    )
    external_targets: Annotated[Texts, At("externalTargets", listed)] = Field(
        default=(), description="addresses, networks or names outside of the cluster"
    )
    device: Annotated[Text | None, At("device")] = Field(
        default=None, description="the victims' network device; none named: eth0"
    )
    target_device: Annotated[Text | None, At("targetDevice")] = Field(
        default=None, description="the target's network device; none named: eth0"
    )

    @model_validator(mode="after")
    def _sides_fit(self) -> Self:
        outside = bool(self.external_targets)
        wrong = hint = ""
        if self.direction != "to" and self.target is None and not outside:
            wrong = f"direction {self.direction!r} needs a target"
            hint = "name the other side in 'target', or use direction 'to'"
        elif self.direction != "to" and self.target is None and self.action != "partition":
            wrong = f"direction {self.direction!r} needs a target, external_targets are no such"
            hint = "only a partition reaches external_targets in every direction"
        elif self.direction != "to" and outside and self.action != "partition":
            wrong = f"external_targets cannot be used with direction {self.direction!r}"
            hint = "use direction 'to'; only a partition reaches them in every direction"
        elif self.target_device is not None and self.target is None:
            wrong = f"target_device {self.target_device!r} needs a target"
            hint = "name the other side in 'target', or use 'device'"
        if wrong:
            raise UsageError(f"{self.title()}: {wrong}\n\nhint: {hint}")
        return self


class Partition(NetworkAction):
    """Packets are dropped."""

    action: ClassVar[str] = "partition"
    summary: ClassVar[str] = "drop every packet between the two sides"


class Delay(NetworkAction):
    """Packets come later."""

    action: ClassVar[str] = "delay"
    summary: ClassVar[str] = "hold packets back for a time"

    latency_ms: Annotated[Milliseconds, At("delay.latency", milliseconds)] = Field(
        description="how long each packet is held back"
    )
    jitter_ms: Annotated[Jitter, At("delay.jitter", milliseconds)] = Field(
        default=0, description="the delay varies by up to so much"
    )
    correlation: Annotated[Correlation, At("delay.correlation", decimal)] = Field(
        default=0, description="percent by which a packet's delay follows the one before"
    )


class Loss(NetworkAction):
    """Packets are lost."""

    action: ClassVar[str] = "loss"
    summary: ClassVar[str] = "lose a share of the packets"

    percent: Annotated[Percent, At("loss.loss", decimal)] = Field(description="share of packets")
    correlation: Annotated[Correlation, At("loss.correlation", decimal)] = Field(
        default=0, description="percent by which a packet's fate follows the one before"
    )


class Duplicate(NetworkAction):
    """Packets come twice."""

    action: ClassVar[str] = "duplicate"
    summary: ClassVar[str] = "send a share of the packets twice"

    percent: Annotated[Percent, At("duplicate.duplicate", decimal)] = Field(
        description="share of packets"
    )
    correlation: Annotated[Correlation, At("duplicate.correlation", decimal)] = Field(
        default=0, description="percent by which a packet's fate follows the one before"
    )


class Corrupt(NetworkAction):
    """Packets are damaged."""

    action: ClassVar[str] = "corrupt"
    summary: ClassVar[str] = "flip a bit in a share of the packets"

    percent: Annotated[Percent, At("corrupt.corrupt", decimal)] = Field(
        description="share of packets"
    )
    correlation: Annotated[Correlation, At("corrupt.correlation", decimal)] = Field(
        default=0, description="percent by which a packet's fate follows the one before"
    )


class Reorder(NetworkAction):
    """Packets overtake each other: a share goes at once, the others are held back (tc-netem)."""

    action: ClassVar[str] = "delay"
    called: ClassVar[str] = "reorder"
    summary: ClassVar[str] = "let a share of the packets overtake the others, which are held back"

    latency_ms: Annotated[Milliseconds, At("delay.latency", milliseconds)] = Field(
        description="how long the overtaken packets are held back"
    )
    percent: Annotated[Percent, At("delay.reorder.reorder", decimal)] = Field(
        description="share of packets that go at once"
    )
    correlation: Annotated[Correlation, At("delay.reorder.correlation", decimal)] = Field(
        default=0, description="percent by which a packet's fate follows the one before"
    )
    gap: Annotated[Count, At("delay.reorder.gap")] = Field(
        default=1, description="only every so manieth packet may go at once"
    )


class Bandwidth(NetworkAction):
    """Packets share a token bucket (tc-tbf)."""

    action: ClassVar[str] = "bandwidth"
    summary: ClassVar[str] = "let packets through a token bucket of a rate, a size and a queue"

    bits_per_s: Annotated[BitsPerSecond, At("bandwidth.rate", bytes_per_s)] = Field(
        description="rate at which the bucket is filled"
    )
    limit_bytes: Annotated[Count, At("bandwidth.limit")] = Field(
        default=20_971_520, description="how much may wait for tokens; what comes then is dropped"
    )
    buffer_bytes: Annotated[Count, At("bandwidth.buffer")] = Field(
        default=10_000, description="size of the bucket: what may go at once"
    )
    peak_bytes_per_s: Annotated[
        Annotated[int, Field(ge=1, lt=2**63, strict=True)] | None, At("bandwidth.peakrate")
    ] = Field(
        default=None, description="rate at which the bucket may be emptied; with peak_burst_bytes"
    )
    peak_burst_bytes: Annotated[Count | None, At("bandwidth.minburst")] = Field(
        default=None,
        description="size of the peak's bucket, at least one packet; with peak_bytes_per_s",
    )

    @model_validator(mode="after")
    def _peak_is_whole(self) -> Self:
        if (self.peak_bytes_per_s is None) != (self.peak_burst_bytes is None):
            raise UsageError(
                f"{self.title()}: peak_bytes_per_s (was {self.peak_bytes_per_s}) and "
                f"peak_burst_bytes (was {self.peak_burst_bytes}) belong together, Chaos Mesh "
                "ignores one alone\n\nhint: give both or none"
            )
        return self


class Rate(NetworkAction):
    """Packets go no faster than a rate (tc-netem's `rate`)."""

    action: ClassVar[str] = "netem"
    called: ClassVar[str] = "rate"
    summary: ClassVar[str] = "send no faster than a rate, with an endless queue"

    bits_per_s: Annotated[BitsPerSecond, At("rate.rate", bytes_per_s)] = Field(
        description="rate at which packets go"
    )


class Netem(NetworkAction):
    """Several of delay, reordering, loss, duplication, corruption and a rate at once."""

    action: ClassVar[str] = "netem"
    summary: ClassVar[str] = "several of delay, reorder, loss, duplicate, corrupt, rate at once"

    latency_ms: Annotated[Milliseconds | None, At("delay.latency", milliseconds)] = Field(
        default=None, description="how long each packet is held back"
    )
    jitter_ms: Annotated[Jitter | None, At("delay.jitter", milliseconds)] = Field(
        default=None, description="the delay varies by up to so much"
    )
    delay_correlation: Annotated[Correlation | None, At("delay.correlation", decimal)] = Field(
        default=None, description="percent by which a packet's delay follows the one before"
    )
    reorder_percent: Annotated[Percent | None, At("delay.reorder.reorder", decimal)] = Field(
        default=None, description="share of packets that go at once; with latency_ms"
    )
    reorder_correlation: Annotated[Correlation | None, At("delay.reorder.correlation", decimal)] = (
        None
    )
    reorder_gap: Annotated[Count | None, At("delay.reorder.gap")] = Field(
        default=None, description="only every so manieth packet may go at once"
    )
    loss_percent: Annotated[Percent | None, At("loss.loss", decimal)] = None
    loss_correlation: Annotated[Correlation | None, At("loss.correlation", decimal)] = None
    duplicate_percent: Annotated[Percent | None, At("duplicate.duplicate", decimal)] = None
    duplicate_correlation: Annotated[Correlation | None, At("duplicate.correlation", decimal)] = (
        None
    )
    corrupt_percent: Annotated[Percent | None, At("corrupt.corrupt", decimal)] = None
    corrupt_correlation: Annotated[Correlation | None, At("corrupt.correlation", decimal)] = None
    bits_per_s: Annotated[BitsPerSecond | None, At("rate.rate", bytes_per_s)] = Field(
        default=None, description="rate at which packets go"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for name, needed in _NEEDS.items():
            if getattr(self, name) is not None and getattr(self, needed) is None:
                raise UsageError(
                    f"{self.title()}: {name} (was {getattr(self, name)}) needs {needed}\n\n"
                    f"hint: give {needed} as well, or leave {name} out"
                )
        if all(getattr(self, name) is None for name in _PARTS):
            raise UsageError(
                f"{self.title()}: nothing to do\n\nhint: give one or more of {', '.join(_PARTS)}"
            )
        return self

    def spec(self) -> dict[str, Json]:
        """As in the CRD, where a reordering says its gap."""
        out = super().spec()
        if self.reorder_percent is not None and self.reorder_gap is None:
            put(out, "delay.reorder.gap", 1)
        return out


_PARTS = ("latency_ms", "loss_percent", "duplicate_percent", "corrupt_percent", "bits_per_s")
_NEEDS = {
    "jitter_ms": "latency_ms",
    "delay_correlation": "latency_ms",
    "reorder_percent": "latency_ms",
    "reorder_correlation": "reorder_percent",
    "reorder_gap": "reorder_percent",
    "loss_correlation": "loss_percent",
    "duplicate_correlation": "duplicate_percent",
    "corrupt_correlation": "corrupt_percent",
}
ACTIONS = (Partition, Delay, Loss, Duplicate, Corrupt, Reorder, Bandwidth, Rate, Netem)
