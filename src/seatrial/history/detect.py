"""Loading a history from anywhere: a stored trial, or a file in any format that is understood.

A packed file (gzip, zstd, bzip2, xz) is unpacked first. The content decides; an extension is only
believed where the content leaves it open.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from seatrial.errors import BadData, NoInput, UsageError
from seatrial.history.builder import HistoryBuilder
from seatrial.history.columns import History
from seatrial.history.edn import read_edn
from seatrial.history.jsonl import read_jsonl
from seatrial.history.load import Loaded, load_arrow
from seatrial.history.packed import is_packed, unpacked

FORMATS = ("auto", "jsonl", "json", "edn", "arrow")
#: The name of the history in a trial's folder.
IN_TRIAL = "history.arrow"
_EMPTY_IS_NONE = {".edn", ".jsonl", ".txt"}
_SNIFF_BYTES = 1 << 16
_ARROW_MARK = b"\xff\xff\xff\xff"
_ZIP = b"PK\x03\x04"
_JSON_OP = re.compile(rb'\s*\{\s*"[^"\\]*"\s*:|\s*\{\s*\}')
_EDN_START = re.compile(rb"(?:[\s,]+|;[^\n]*(?:\n|\Z))*(?:[\[(]|\{|#)")
_BLANK = re.compile(rb"(?:[\s,]+|;[^\n]*(?:\n|\Z))*\Z")


def load(path: Path | str, format: str = "auto") -> History:
    """The history at `path`: a trial's folder, or a file in one of `FORMATS`. O(n).

    Raises `NoInput` if there is none and `BadData` if it is malformed, both saying where.
    """
    return load_reported(path, format).history


def load_reported(path: Path | str, format: str = "auto") -> Loaded:
    """As `load`, with the format found and whether the file's end is missing."""
    if format not in FORMATS:
        raise UsageError(f"format {format!r} is unknown\n\nhint: one of {', '.join(FORMATS)}")
    place = _file(Path(path))
    head = _head(place)
    if is_packed(head):
        with unpacked(place, head) as plain:
            return _load(plain, _head(plain), format)
    return _load(place, head, format)


def _load(place: Path, head: bytes, format: str) -> Loaded:
    found = detect(head, place) if format == "auto" else format
    if found == "arrow":
        return load_arrow(place)
    if not head:
        return Loaded(HistoryBuilder().history(), found, note="the file is empty")
    read: Callable[[Path], History] = read_edn if found == "edn" else read_jsonl
    return Loaded(read(place), found)


def detect(head: bytes, path: Path) -> str:
    """The format of a file that begins with `head`; raises `BadData` if it is none we know."""
    if not head:
        if path.suffix in _EMPTY_IS_NONE:
            return "edn" if path.suffix != ".jsonl" else "jsonl"
        raise BadData(
            f"{str(path)!r} is empty\n\nhint: an empty history is a file of no lines that ends "
            "in .jsonl or .edn"
        )
    if head.startswith(_ZIP):
        raise BadData(f"{str(path)!r} is packed with zip\n\nhint: unpack it first")
    if is_packed(head):
        raise BadData(f"{str(path)!r} is packed twice\n\nhint: unpack it first")
    if head.startswith((b"ARROW1", b"PAR1")):
        raise BadData(
            f"{str(path)!r} is an Arrow (Feather) or Parquet file, not a history's Arrow stream"
            "\n\nhint: seatrial writes histories as history.arrow, an Arrow IPC stream"
        )
    if head.startswith(_ARROW_MARK):
        return "arrow"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in text:
        raise BadData(f"{str(path)!r} is a binary file, and no Arrow stream of a history")
    return _text_format(text, path)


def _text_format(text: bytes, path: Path) -> str:
    if _JSON_OP.match(text):
        return "jsonl"
    inner = text.lstrip()
    if inner.startswith(b"["):
        rest = inner[1:]
        if _JSON_OP.match(rest) or (rest.strip() == b"]" and path.suffix == ".json"):
            return "json"
    if _EDN_START.match(text):
        return "edn"
    if _BLANK.match(text):
        return "jsonl" if path.suffix in {".jsonl", ".json"} else "edn"
    if path.suffix in {".jsonl", ".json"}:
        return "jsonl"  # its reader names the line that is wrong
    if path.suffix == ".edn":
        return "edn"
    line = text[:60].decode("utf-8", "replace").partition("\n")[0]
    raise BadData(
        f"{str(path)!r} is no history: it begins with {line!r}\n\n"
        "hint: a history is a trial's folder, JSON Lines, a JSON array, or EDN"
    )


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    inside = path / IN_TRIAL
    if not inside.is_file():
        raise NoInput(
            f"folder {str(path)!r} holds no {IN_TRIAL}\n\n"
            "hint: give the folder of a trial, or the path of a history file"
        )
    return inside


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SNIFF_BYTES)
    except OSError as error:
        raise NoInput(
            f"cannot read {str(path)!r}: {error.strerror or error}\n\n"
            "hint: give the folder of a trial, or the path of a history file"
        ) from error
