"""Numbers with their units, and how Chaos Mesh wants them written.

A field's name ends in its unit (`latency_ms`, `limit_bytes`); its type says the bounds; its
`At` says where it stands in the object's `spec` and by which of these functions it is written.
Chaos Mesh takes most numbers as text: Go durations (`time.ParseDuration`), percents
(`strconv.ParseFloat`) and rates whose `bps` means bytes per second.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from seatrial.verdict import Json


def as_is(value: Json) -> Json:
    """The value itself."""
    return value


def text(value: Json) -> Json:
    """A number as text, for fields that are strings in the CRD."""
    return str(value)


def decimal(value: float) -> Json:
    """A number as text without an exponent: `20`, `0.5`."""
    written = f"{value:.6f}".rstrip("0").rstrip(".")
    return written or "0"


def milliseconds(value: float) -> Json:
    """Milliseconds as a Go duration: `50ms`, `1500us` where a part of one is asked for."""
    micros = round(value * 1000)
    return f"{micros // 1000}ms" if micros % 1000 == 0 else f"{micros}us"


def seconds(value: float) -> Json:
    """Seconds as a Go duration, to the millisecond: `3250ms`."""
    return f"{round(value * 1000)}ms"


def bytes_per_s(bits_per_s: int) -> Json:
    """Bits per second as Chaos Mesh's `bps`, which are bytes per second."""
    return f"{bits_per_s // 8}bps"


def whole_seconds(value: float) -> Json:
    """Seconds as a plain number in text, rounded up."""
    return str(math.ceil(value))


def in_bytes(value: int) -> Json:
    """Bytes with the unit `B`: in `MiB` Chaos Mesh would count powers of ten (docker/go-units)."""
    return f"{value}B"


def in_mib(value: int) -> Json:
    """Mebibytes as chaosd reads them."""
    return f"{value}MiB"


def in_m(value: int) -> Json:
    """Mebibytes as `dd` reads them."""
    return f"{value}M"


def as_percent(value: int) -> Json:
    """A share with its sign."""
    return f"{value}%"


def timespec(nanoseconds: int) -> Json:
    """A moment since 1970 as the kernel keeps it."""
    return {"sec": nanoseconds // 10**9, "nsec": nanoseconds % 10**9}


def base64_of(value: str) -> Json:
    """Text in UTF-8, as base64."""
    return base64.b64encode(value.encode()).decode()


def joined(value: tuple[str, ...]) -> Json:
    """Names in one text, with commas."""
    return ",".join(value)


def listed(value: tuple[Json, ...]) -> Json:
    """A list."""
    return [*value]


def mapped(value: Mapping[str, str]) -> Json:
    """A map."""
    return dict(value)


def pairs(value: tuple[tuple[str, str], ...]) -> Json:
    """A list of lists of two."""
    return [[*pair] for pair in value]


@dataclass(frozen=True, slots=True)
class At:
    """Where a field stands in the `spec`, with dots, and how it is written there."""

    path: str
    write: Callable[[Any], Json] = as_is


Percent = Annotated[float, Field(ge=0.001, le=100, strict=True)]
"""A fault of 0 % would do nothing."""
Correlation = Annotated[float, Field(ge=0, le=100, strict=True)]
"""0 ≤ c ≤ 100: by how much the draw for a packet depends on the one before (tc-netem)."""
Milliseconds = Annotated[float, Field(ge=0.001, le=3_600_000, strict=True)]
"""From a microsecond to an hour."""
Jitter = Annotated[float, Field(ge=0, le=3_600_000, strict=True)]
BitsPerSecond = Annotated[int, Field(ge=8, le=8_000_000_000_000, multiple_of=8, strict=True)]
"""Whole bytes per second, for Chaos Mesh counts those."""
Count = Annotated[int, Field(ge=1, lt=2**31, strict=True)]
"""A positive int32."""
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Pid = Annotated[int, Field(ge=1, lt=2**22, strict=True)]
Id = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
"""A number of a user, a group, a device: an int32 in the CRD."""
Int64 = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Positive = Annotated[int, Field(ge=1, lt=2**63, strict=True)]
WholePercent = Annotated[int, Field(ge=1, le=100, strict=True)]
Workers = Annotated[int, Field(ge=1, le=8192, strict=True)]
Text = Annotated[str, Field(min_length=1)]
Texts = tuple[Text, ...]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]
"""At least one."""
Path = Annotated[str, Field(pattern=r"^/")]
"""An absolute path."""
Map = Mapping[Text, str]
Pairs = tuple[tuple[Text, str], ...]


def _not_zero(value: float) -> float:
    if abs(value) < 0.001:
        raise ValueError("must be a microsecond or more, either way: 0 would do nothing")
    return value


Offset = Annotated[float, Field(ge=-1e12, le=1e12, strict=True), AfterValidator(_not_zero)]
"""Forwards or backwards, not zero, at most some 31 years."""
