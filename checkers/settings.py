"""Settings of single checkers, read from `CheckOptions.extra` with an error that names them."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.checker import CheckOptions
from seatrial.errors import UsageError


def _wrong(checker: str, name: str, value: object, wanted: str) -> UsageError:
    return UsageError(
        f"checker {checker!r}: option {name!r} is {value!r}, which is not {wanted}\n\n"
        f"hint: give {wanted}"
    )


def whole(options: CheckOptions, checker: str, name: str, default: int) -> int:
    """A whole number, 0 or more."""
    value = options.extra.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(checker, name, value, "a whole number, 0 or more")
    return value


def number(options: CheckOptions, checker: str, name: str) -> float | None:
    """A number, or None where nothing was said."""
    value = options.extra.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(checker, name, value, "a number")
    return value


def flag(options: CheckOptions, checker: str, name: str, default: bool = False) -> bool:
    """True or false."""
    value = options.extra.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(checker, name, value, "true or false")
    return value


def choice(options: CheckOptions, checker: str, name: str, known: tuple[str, ...]) -> str:
    """One of a few words; the first where nothing was said."""
    value = options.extra.get(name, known[0])
    if not isinstance(value, str) or value not in known:
        raise _wrong(checker, name, value, " or ".join(map(repr, known)))
    return value


def names(options: CheckOptions, checker: str, name: str) -> tuple[str, ...] | None:
    """A list of texts, or None where nothing was said."""
    value = options.extra.get(name)
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong(checker, name, value, "a list of texts")
    found = [item for item in value if isinstance(item, str)]
    if len(found) != len(value):
        raise _wrong(checker, name, value, "a list of texts")
    return tuple(found)


def spans(options: CheckOptions, checker: str, name: str) -> tuple[tuple[int, int], ...]:
    """A list of stretches `FROM-TO` in whole numbers; empty where nothing was said."""
    found = []
    for text in names(options, checker, name) or ():
        low, _, high = text.partition("-")
        if not (low.isdecimal() and high.isdecimal() and int(low) <= int(high)):
            raise _wrong(checker, name, text, "a stretch FROM-TO in whole numbers")
        found.append((int(low), int(high)))
    return tuple(found)
