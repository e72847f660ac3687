"""Network of a machine: what happens to packets that leave by one of its devices."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.machine.action import MachineAction
from seatrial.faults.chaos.units import (
    At,
    BitsPerSecond,
    Correlation,
    Count,
    Jitter,
    Milliseconds,
    Percent,
    Port,
    Positive,
    Text,
    bytes_per_s,
    decimal,
    milliseconds,
    seconds,
    text,
    whole_seconds,
)

Protocol = Literal["tcp", "udp", "icmp", "all"]


class DeviceAction(MachineAction):
    """An action on one network device."""

    device: Annotated[Text, At(".device")] = Field(description="`eth0`")


class PeerAction(DeviceAction):
    """An action on traffic with some peers."""

    ip_address: Annotated[Text | None, At(".ip-address")] = Field(
        default=None, description="of which peer; none: all"
    )
    hostname: Annotated[Text | None, At(".hostname")] = Field(
        default=None, description="of which peer; none: all"
    )


class PacketAction(PeerAction):
    """An action on some packets."""

    ip_protocol: Annotated[Protocol | None, At(".ip-protocol")] = None
    source_port: Annotated[Text | None, At(".source-port")] = Field(
        default=None, description="ports with commas, ranges with a colon; with tcp or udp"
    )
    egress_port: Annotated[Text | None, At(".egress-port")] = Field(
        default=None, description="ports of the peer, written alike; with tcp or udp"
    )
    correlation: Annotated[Correlation, At(".correlation", decimal)] = Field(
        default=0, description="percent by which a packet's fate follows the one before"
    )

    @model_validator(mode="after")
    def _ports_need_a_protocol(self) -> Self:
        ports = self.source_port or self.egress_port
        if ports and self.ip_protocol not in ("tcp", "udp"):
            raise UsageError(
                f"{self.title()}: ports {ports!r} with ip_protocol {self.ip_protocol!r}\n\n"
                "hint: ip_protocol must be 'tcp' or 'udp' when ports are given"
            )
        return self


class NetworkCorrupt(PacketAction):
    """Packets are damaged."""

    action: ClassVar[str] = "network-corrupt"
    section: ClassVar[str] = "network-corrupt"
    summary: ClassVar[str] = "flip a bit in a share of a machine's packets"

    percent: Annotated[Percent, At(".percent", decimal)]


class NetworkDuplicate(PacketAction):
    """Packets come twice."""

    action: ClassVar[str] = "network-duplicate"
    section: ClassVar[str] = "network-duplicate"
    summary: ClassVar[str] = "send a share of a machine's packets twice"

    percent: Annotated[Percent, At(".percent", decimal)]


class NetworkLoss(PacketAction):
    """Packets are lost."""

    action: ClassVar[str] = "network-loss"
    section: ClassVar[str] = "network-loss"
    summary: ClassVar[str] = "lose a share of a machine's packets"

    percent: Annotated[Percent, At(".percent", decimal)]


def _flags_need_tcp(action: NetworkDelay | NetworkPartition) -> None:
    if action.accept_tcp_flags is not None and action.ip_protocol != "tcp":
        raise UsageError(
            f"{action.title()}: accept_tcp_flags (was {action.accept_tcp_flags!r}) with "
            f"ip_protocol {action.ip_protocol!r}\n\nhint: ip_protocol must be 'tcp'"
        )


class NetworkDelay(PacketAction):
    """Packets come later."""

    action: ClassVar[str] = "network-delay"
    section: ClassVar[str] = "network-delay"
    summary: ClassVar[str] = "hold a machine's packets back for a time"

    latency_ms: Annotated[Milliseconds, At(".latency", milliseconds)]
    jitter_ms: Annotated[Jitter, At(".jitter", milliseconds)] = 0
    accept_tcp_flags: Annotated[Text | None, At(".accept-tcp-flags")] = Field(
        default=None, description="`SYN,ACK SYN,ACK`: other packets are dropped"
    )

    @model_validator(mode="after")
    def _flags_fit(self) -> Self:
        _flags_need_tcp(self)
        return self


class NetworkPartition(PeerAction):
    """Packets are dropped."""

    action: ClassVar[str] = "network-partition"
    section: ClassVar[str] = "network-partition"
    summary: ClassVar[str] = "drop all packets between a machine and a peer"

    direction: Annotated[Literal["to", "from"], At(".direction")] = Field(
        default="to", description="packets `to` the peer, or `from` it"
    )
    ip_protocol: Annotated[Protocol | None, At(".ip-protocol")] = None
    accept_tcp_flags: Annotated[Text | None, At(".accept-tcp-flags")] = Field(
        default=None, description="`SYN,ACK SYN,ACK`: these packets pass"
    )

    @model_validator(mode="after")
    def _peer_is_named(self) -> Self:
        _flags_need_tcp(self)
        if self.ip_address is None and self.hostname is None:
            raise UsageError(
                f"{self.title()}: no peer\n\nhint: give ip_address or hostname, chaosd needs one"
            )
        return self


class NetworkBandwidth(PeerAction):
    """Packets share a token bucket."""

    action: ClassVar[str] = "network-bandwidth"
    section: ClassVar[str] = "network-bandwidth"
    summary: ClassVar[str] = "let a machine's packets through a token bucket"

    bits_per_s: Annotated[BitsPerSecond, At(".rate", bytes_per_s)]
    limit_bytes: Annotated[Count, At(".limit")] = 20_971_520
    buffer_bytes: Annotated[Count, At(".buffer")] = 10_000
    peak_bytes_per_s: Annotated[Positive | None, At(".peakrate")] = None
    peak_burst_bytes: Annotated[Count | None, At(".minburst")] = None

    @model_validator(mode="after")
    def _peak_is_whole(self) -> Self:
        if (self.peak_bytes_per_s is None) != (self.peak_burst_bytes is None):
            raise UsageError(
                f"{self.title()}: peak_bytes_per_s (was {self.peak_bytes_per_s}) and "
                f"peak_burst_bytes (was {self.peak_burst_bytes}) belong together\n\n"
                "hint: give both or none"
            )
        return self


class NetworkDns(MachineAction):
    """Names resolve to something else."""

    action: ClassVar[str] = "network-dns"
    section: ClassVar[str] = "network-dns"
    summary: ClassVar[str] = "change how a machine resolves names"

    server: Annotated[Text | None, At(".dns-server")] = Field(
        default=None, description="another name server"
    )
    domain_name: Annotated[Text | None, At(".dns-domain-name")] = Field(
        default=None, description="this name gets the address in `ip`"
    )
    ip: Annotated[Text | None, At(".dns-ip")] = Field(default=None, description="with domain_name")

    @model_validator(mode="after")
    def _name_has_an_address(self) -> Self:
        if (self.domain_name is None) != (self.ip is None):
            raise UsageError(
                f"{self.title()}: domain_name (was {self.domain_name!r}) and ip (was "
                f"{self.ip!r}) belong together\n\nhint: give both or none"
            )
        if self.domain_name is None and self.server is None:
            raise UsageError(
                f"{self.title()}: nothing to change\n\nhint: give server, or domain_name and ip"
            )
        return self


class NetworkFlood(MachineAction):
    """Traffic is made (iperf)."""

    action: ClassVar[str] = "network-flood"
    section: ClassVar[str] = "network-flood"
    summary: ClassVar[str] = "make traffic from a machine to a peer"
    duration_at: ClassVar[At | None] = At("network-flood.duration", whole_seconds)

    ip_address: Annotated[Text, At(".ip-address")]
    port: Annotated[Port, At(".port", text)]
    bits_per_s: Annotated[BitsPerSecond, At(".rate", bytes_per_s)]
    parallel: Annotated[Count, At(".parallel")] = Field(
        default=1, description="how many clients at once"
    )


class NetworkDown(DeviceAction):
    """A device is down."""

    action: ClassVar[str] = "network-down"
    section: ClassVar[str] = "network-down"
    summary: ClassVar[str] = "take a machine's network device down"
    duration_at: ClassVar[At | None] = At("network-down.duration", seconds)


ACTIONS = (
    NetworkCorrupt,
    NetworkDuplicate,
    NetworkLoss,
    NetworkDelay,
    NetworkPartition,
    NetworkBandwidth,
    NetworkDns,
    NetworkFlood,
    NetworkDown,
)
