"""A document's text as a reading: a number, text, or one value that a JSONPath finds (RFC 9535)."""

from __future__ import annotations

import json
from typing import Any, Literal

import jsonpath

from seatrial.probes.prometheus import Read

_EXCERPT_CHARS = 60


def read_text(text: str, path: str, take: Literal["one", "count"]) -> Read:
    """What a document says; with a path, what the path finds in it."""
    if not path:
        return _of(text.strip())
    try:
        found = jsonpath.findall(path, json.loads(text))
    except json.JSONDecodeError:
        flat = " ".join(text.split())[:_EXCERPT_CHARS]
        return Read(None, f"the answer is not JSON: {flat!r}")
    except jsonpath.JSONPathError as error:
        return Read(None, f"the path {path!r} cannot be followed: {error}")
    if take == "count":
        return Read(float(len(found)))
    if len(found) != 1:
        return Read(None, f"the path {path!r} found {len(found)} values where one is meant")
    return _of(found[0])


def _of(value: Any) -> Read:
    if isinstance(value, bool):
        return Read(None, text="true" if value else "false")
    if isinstance(value, (int, float)):
        return Read(float(value))
    if isinstance(value, str):
        try:
            return Read(float(value))
        except ValueError:
            return Read(None, text=value)
    return Read(None, text=json.dumps(value, ensure_ascii=False))
