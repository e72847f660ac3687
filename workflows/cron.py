"""When a schedule starts: cron's five fields as Argo reads them (robfig/cron, standard form)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: One of Argo's words, or a length as Go writes it.
WORDS = re.compile(
    r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
    r"|@every\s+([0-9]+(ns|us|µs|ms|s|m|h))+"
)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: A list's part: everything, a number or a range, and a step.
PART = re.compile(r"(?:[*?]|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[0-9]+))?")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five: its numbers, and names for some of them."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]

    def number(self, text: str) -> int | None:
        """The number that a word means, or None."""
        found = self.names.get(text.lower(), int(text) if text.isdecimal() else None)
        return found if found is not None and self.low <= found <= self.high else None


FIELDS = (
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day", 1, 31, {}),
    Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    Field("weekday", 0, 6, {name: number for number, name in enumerate(DAYS)}),
)


def problem(schedule: str) -> str:
    """What is wrong with a schedule, or ""."""
    text = schedule.strip()
    if text.startswith("@"):
        return "" if WORDS.fullmatch(text) else "words are @hourly, @daily, …, or @every 30m"
    parts = text.split()
    if len(parts) != len(FIELDS):
        return f"{len(parts)} fields in place of five"
    for field, value in zip(FIELDS, parts, strict=True):
        for part in value.split(","):
            if not _fits(field, part):
                return f"{field.name} {part!r}: it must be from {field.low} to {field.high}"
    return ""


def _fits(field: Field, part: str) -> bool:
    found = PART.fullmatch(part)
    if found is None or (found["step"] is not None and int(found["step"]) == 0):
        return False
    ends = [field.number(found[end]) for end in ("low", "high") if found[end] is not None]
    known = [end for end in ends if end is not None]
    return len(known) == len(ends) and known == sorted(known)
