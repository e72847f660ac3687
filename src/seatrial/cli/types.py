"""Values on the command line that have a unit."""

from __future__ import annotations

import math
import re

import click

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", re.ASCII | re.IGNORECASE)
_BYTES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_BYTES["ti"] = 2**40


class Duration(click.ParamType[float]):
    """Seconds, written `90`, `90s`, `1.5m`, `500ms`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a duration\n\nhint: 60s, 1.5m, 500ms", param, ctx)
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is too long", param, ctx)
        return seconds


class Size(click.ParamType[int]):
    """Bytes, written `4GiB`, `512MiB`, `1e9` is not one."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a size\n\nhint: 4GiB, 512MiB", param, ctx)
        unit = match[2].lower() if match[2] else None
        return int(float(match[1]) * (_BYTES[unit] if unit else 1))


def names(value: str | None) -> tuple[str, ...]:
    """A comma-separated list of names, spaces ignored."""
    if value is None:
        return ()
    return tuple(name.strip() for name in value.split(",") if name.strip())
