"""Numbers with their units, and how Chaos Mesh wants them written.

A field's name ends in its unit (`latency_ms`, `limit_bytes`); its type says the bounds; its
`At` says where it stands in the object's `spec` and by which of these functions it is written.
Chaos Mesh takes most numbers as text: Go durations (`time.ParseDuration`), percents
(`strconv.ParseFloat`) and rates whose `bps` means bytes per second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

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


def size(value: int) -> Json:
    """Bytes as text with the unit `B`."""
    return f"{value}B"


@dataclass(frozen=True, slots=True)
class At:
    """Where a field stands in the `spec`, with dots, and how it is written there."""

    path: str
    write: Callable[[Any], Json] = as_is


Percent = Annotated[float, Field(gt=0, le=100, strict=True)]
"""0 < p ≤ 100; a fault of 0 % would do nothing."""
Correlation = Annotated[float, Field(ge=0, le=100, strict=True)]
"""0 ≤ c ≤ 100: by how much the draw for a packet depends on the one before (tc-netem)."""
Milliseconds = Annotated[float, Field(gt=0, le=3_600_000, strict=True)]
"""More than nothing, at most an hour."""
Jitter = Annotated[float, Field(ge=0, le=3_600_000, strict=True)]
BitsPerSecond = Annotated[int, Field(ge=8, le=8_000_000_000_000, multiple_of=8, strict=True)]
"""Whole bytes per second, for Chaos Mesh counts those."""
Count = Annotated[int, Field(ge=1, lt=2**31, strict=True)]
"""A positive int32."""
Text = Annotated[str, Field(min_length=1)]
