"""The settings of single checkers: what each is called, what it takes, and what it means.

A case writes them under `checkers`, a program in `CheckOptions(extra=…)`, the command line as
`--option CHECKER.NAME=VALUE`. This table is what all three are held against.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seatrial.errors import UnknownName, UsageError
from seatrial.verdict import Json


class Takes(StrEnum):
    """What a setting takes, as an error says it."""

    NUMBER = "a number"
    WHOLE = "a whole number, 0 or more"
    FLAG = "true or false"
    TEXT = "a text"
    TEXTS = "a list of texts: a,b or a JSON list"
    ATOMS = "a list of numbers or texts: 0,1,2 or a JSON list"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it takes and, in a few words, what it means."""

    takes: Takes
    meaning: str


_ANOMALIES = Setting(Takes.TEXTS, "what is judged, by name, in place of a consistency model")
_EMPTY = Setting(Takes.TEXT, "what a history with nothing to judge is: `unknown`, or as `jepsen`")

#: By checker, then by name.
OPTIONS: Final[Mapping[str, Mapping[str, Setting]]] = {
    "linearizable": {
        "failed-cas": Setting(Takes.FLAG, "a refused compare-and-set says what did not stand"),
        "holds": Setting(Takes.WHOLE, "`reentrant-mutex`: how often its holder can take it"),
        "nil-reads": Setting(Takes.TEXT, "a read of nil says nothing (`any`), or nil (`value`)"),
        "order": Setting(Takes.TEXT, "`priority-queue`: the `smallest` comes first, or `largest`"),
        "permits": Setting(Takes.WHOLE, "`semaphore`: how many"),
    },
    "list-append": {"anomalies": _ANOMALIES},
    "rw-register": {"anomalies": _ANOMALIES},
    "set-full": {"linearizable": Setting(Takes.FLAG, "a stale read is wrong")},
    "replicas": {
        "nodes": Setting(Takes.TEXTS, "all nodes that must be heard from"),
        "min_nodes": Setting(Takes.WHOLE, "how many must be heard from at least"),
    },
    "stats": {
        "fs": Setting(Takes.TEXTS, "kinds of op that must be there"),
        "min_ok": Setting(Takes.WHOLE, "`ok` ops of each kind"),
        "min_ok_in_fault": Setting(Takes.WHOLE, "`ok` ops inside each fault's window"),
        "min_attempts_in_fault": Setting(Takes.WHOLE, "ops begun inside each fault's window"),
        "may_stop": Setting(Takes.TEXTS, "faults inside which no op needs to be `ok`"),
        "may_stop_ns": Setting(Takes.TEXTS, "stretches FROM-TO in which no op needs to be `ok`"),
    },
    "bank": {
        "accounts": Setting(Takes.ATOMS, "the accounts (else: those of the first read)"),
        "total": Setting(Takes.NUMBER, "what all balances add up to (else: the first read's)"),
    },
    "queue": {"empty": _EMPTY},
    "total-queue": {"empty": _EMPTY},
    "unique-ids": {"empty": _EMPTY},
    "kafka": {
        "empty": _EMPTY,
        "sub_via": Setting(Takes.TEXT, "how consumers choose: `assign` or `subscribe`"),
        "ww_deps": Setting(Takes.FLAG, "offsets order transactions"),
    },
    "lock": {"ttl_s": Setting(Takes.NUMBER, "seconds after which a lease ends by itself")},
    "ttl": {"tolerance_s": Setting(Takes.NUMBER, "seconds of grace")},
    "availability": {
        "min_fraction": Setting(Takes.NUMBER, "of all ops that must be answered, 0 to 1"),
        "max_gap_s": Setting(Takes.NUMBER, "longest time without an `ok` op, in seconds"),
    },
    "log-pattern": {
        "patterns": Setting(Takes.TEXTS, "regular expressions of lines that are wrong"),
        "ignore": Setting(Takes.TEXTS, "regular expressions of lines that are not"),
        "text": Setting(Takes.TEXT, "the log itself"),
    },
}


def known(checker: str, given: Mapping[str, Json]) -> None:
    """Raise `UnknownName`, with the nearest name, for a setting that the checker does not have."""
    for name in given:
        spelt, _ = setting(checker, name)
        if spelt != name:
            raise UnknownName(f"option of checker {checker!r}", name, OPTIONS[checker])


def setting(checker: str, name: str) -> tuple[str, Setting]:
    """A setting by name; `-` and `_` are the same to it. Raises `UnknownName`, `UsageError`."""
    table = OPTIONS.get(checker, {})
    for spelt, found in table.items():
        if spelt.replace("-", "_") == name.replace("-", "_"):
            return spelt, found
    if not table:
        raise UsageError(
            f"checker {checker!r} has no option {name!r}: it has none\n\n"
            "hint: `seatrial check --help` has the words that are no settings of one checker"
        )
    raise UnknownName(f"option of checker {checker!r}", name, table)


def read(checker: str, name: str, text: str) -> tuple[str, Json]:
    """A setting's name and value from what stands behind `=`; raises `UsageError`."""
    spelt, found = setting(checker, name)
    try:
        return spelt, _value(found.takes, text)
    except ValueError:
        raise UsageError(
            f"option {checker}.{spelt} is {text!r}, which is not {found.takes.value}\n\n"
            f"hint: {checker}.{spelt} is {found.meaning}"
        ) from None


def _value(takes: Takes, text: str) -> Json:
    if takes is Takes.TEXT:
        return text
    if takes is Takes.TEXTS:
        return [str(item) for item in _items(text)]
    if takes is Takes.ATOMS:
        return [_atom(str(item)) if isinstance(item, str) else item for item in _items(text)]
    value = json.loads(text)
    if takes is Takes.FLAG:
        fits = isinstance(value, bool)
    elif isinstance(value, bool):
        fits = False
    elif takes is Takes.WHOLE:
        fits = isinstance(value, int) and value >= 0
    else:
        fits = isinstance(value, (int, float)) and math.isfinite(value)
    if not fits:
        raise ValueError(text)
    read_value: Json = value
    return read_value


def _items(text: str) -> list[Json]:
    if text.lstrip().startswith("["):
        found = json.loads(text)
        if not all(isinstance(item, (int, float, str)) for item in found):
            raise ValueError(text)
        return list(found)
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise ValueError(text)
    return list(items)


def _atom(text: str) -> Json:
    return int(text) if text.lstrip("-").isdecimal() else text
