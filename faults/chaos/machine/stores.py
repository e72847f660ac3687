"""Redis and Kafka servers that a machine can reach."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.action import put
from seatrial.faults.chaos.machine.action import MachineAction
from seatrial.faults.chaos.units import (
    At,
    Count,
    Path,
    Port,
    Positive,
    Text,
    WholePercent,
    as_percent,
    seconds,
    text,
)
from seatrial.verdict import Json


class RedisAction(MachineAction):
    """An action on one Redis server."""

    address: Annotated[Text, At(".addr")] = Field(description="`host:port`")
    password: Annotated[str | None, At(".password")] = None


class RedisExpiration(RedisAction):
    """Keys expire."""

    action: ClassVar[str] = "redis-expiration"
    section: ClassVar[str] = "redis-expiration"
    summary: ClassVar[str] = "let keys of Redis expire"

    key: Annotated[Text | None, At(".key")] = Field(default=None, description="none: all")
    expire_after_s: Annotated[
        Annotated[float, Field(ge=0.001, le=31_536_000, strict=True)], At(".expiration", seconds)
    ]
    option: Annotated[Literal["XX", "NX", "GT", "LT"] | None, At(".option")] = Field(
        default=None,
        description="of Redis's EXPIRE; the webhook that was read refuses the valid ones",
    )


class RedisPenetration(RedisAction):
    """Keys that are not there are asked for."""

    action: ClassVar[str] = "redis-penetration"
    section: ClassVar[str] = "redis-penetration"
    summary: ClassVar[str] = "ask Redis for keys that are not there"

    requests: Annotated[Count, At(".requestNum")]


class RedisCacheLimit(RedisAction):
    """The cache is smaller."""

    action: ClassVar[str] = "redis-cacheLimit"
    section: ClassVar[str] = "redis-cacheLimit"
    summary: ClassVar[str] = "make Redis's cache smaller"

    size_bytes: Annotated[Positive | None, At(".cacheSize", text)] = Field(
        default=None, description="this or percent"
    )
    percent: Annotated[WholePercent | None, At(".percent", as_percent)] = Field(
        default=None, description="of what it was; this or size_bytes"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.size_bytes is None) == (self.percent is None):
            raise UsageError(
                f"{self.title()}: size_bytes (was {self.size_bytes}) or percent "
                f"(was {self.percent})\n\nhint: give one of the two"
            )
        return self

    def spec(self) -> dict[str, Json]:
        """As in the CRD: with a percentage the webhook wants the size to be the text `0`."""
        out = super().spec()
        if self.percent is not None:
            put(out, "redis-cacheLimit.cacheSize", "0")
        return out


class SentinelAction(RedisAction):
    """An action on a Redis Sentinel."""

    flush_config: Annotated[bool, At(".flushConfig")] = True
    redis_path: Annotated[bool, At(".redisPath")] = Field(
        default=False, description="a switch in the CRD, though it is described as a path"
    )


class RedisRestart(SentinelAction):
    """A Sentinel is restarted."""

    action: ClassVar[str] = "redis-restart"
    section: ClassVar[str] = "redis-restart"
    summary: ClassVar[str] = "restart a Redis Sentinel"

    configuration: Annotated[Path, At(".conf")]


class RedisStop(SentinelAction):
    """A Sentinel is stopped."""

    action: ClassVar[str] = "redis-stop"
    section: ClassVar[str] = "redis-stop"
    summary: ClassVar[str] = "stop a Redis Sentinel"

    configuration: Annotated[Path | None, At(".conf")] = None


class KafkaTopic(MachineAction):
    """An action on one topic."""

    topic: Annotated[Text, At(".topic")]


class KafkaClient(KafkaTopic):
    """An action through a connection."""

    host: Annotated[Text, At(".host")]
    port: Annotated[Port, At(".port")]
    user: Annotated[Text | None, At(".username")] = None
    password: Annotated[str | None, At(".password")] = None
    message_bytes: Annotated[Count, At(".messageSize")] = 4096


class KafkaFill(KafkaClient):
    """The broker's disk fills."""

    action: ClassVar[str] = "kafka-fill"
    section: ClassVar[str] = "kafka-fill"
    summary: ClassVar[str] = "fill a Kafka broker's disk"

    total_bytes: Annotated[Positive, At(".maxBytes")]
    reload_command: Annotated[Text, At(".reloadCommand")] = Field(
        description="makes the broker read its configuration again"
    )


class KafkaFlood(KafkaClient):
    """The broker has a lot to do."""

    action: ClassVar[str] = "kafka-flood"
    section: ClassVar[str] = "kafka-flood"
    summary: ClassVar[str] = "flood a Kafka broker with messages"

    threads: Annotated[Count, At(".threads")]


class KafkaIo(KafkaTopic):
    """A topic's files cannot be read or written."""

    action: ClassVar[str] = "kafka-io"
    section: ClassVar[str] = "kafka-io"
    summary: ClassVar[str] = "make a topic's files unreadable or unwritable"

    configuration: Annotated[Path, At(".configFile")] = Field(
        description="the broker's server.properties"
    )
    unreadable: Annotated[bool, At(".nonReadable")] = False
    unwritable: Annotated[bool, At(".nonWritable")] = False

    @model_validator(mode="after")
    def _something_fails(self) -> Self:
        if not self.unreadable and not self.unwritable:
            raise UsageError(
                f"{self.title()}: neither unreadable nor unwritable\n\nhint: set one, or both"
            )
        return self


ACTIONS = (
    RedisExpiration,
    RedisPenetration,
    RedisCacheLimit,
    RedisRestart,
    RedisStop,
    KafkaFill,
    KafkaFlood,
    KafkaIo,
)
