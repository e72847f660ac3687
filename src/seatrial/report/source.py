"""What a report is drawn from: the files of a trial's folder, each of which may be missing.

A file that is not there or does not parse becomes a sentence in `missing`; it never stops the
report, for the trials that need a report most are those that were cut short.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from seatrial.errors import SeatrialError
from seatrial.history import History
from seatrial.history.load import load_arrow
from seatrial.history.windows import FaultWindow, fault_windows
from seatrial.plan import Plan
from seatrial.report.document import VerdictDocument
from seatrial.trial import Evidence, TrialFolder, TrialRecord

#: A bigger picture is not drawn.
PICTURE_BYTES_MAX = 400_000
#: More pictures than this are not drawn.
PICTURES_MAX = 20

_PICTURE = re.compile(r"(?P<checker>.+)-(?P<number>\d{1,4})")
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Material:
    """All that is known of a trial. `pictures` are SVG texts by (checker, number of anomaly)."""

    plan: Plan | None = None
    record: TrialRecord | None = None
    history: History | None = None
    evidence: tuple[Evidence, ...] = ()
    verdict: VerdictDocument | None = None
    pictures: Mapping[tuple[str, int], str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def read(folder: TrialFolder) -> Material:
    """Read what there is in `folder`; says what is not there. Never raises for bad files."""
    missing: list[str] = []
    history = _history(folder.history, missing)
    return Material(
        plan=_model(folder.plan, Plan, missing),
        record=_model(folder.record, TrialRecord, missing),
        history=history,
        evidence=_evidence(folder, missing),
        verdict=_model(folder.verdict, VerdictDocument, missing),
        pictures=_pictures(folder.evidence / "pictures"),
        missing=tuple(missing),
    )


def _model(path: Path, model: type[_Model], missing: list[str]) -> _Model | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        missing.append(f"{path.name} is not there")
    except OSError as error:
        missing.append(f"{path.name} cannot be read: {error.strerror}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        missing.append(f"{path.name} does not parse: {where + ': ' if where else ''}{first['msg']}")
    return None


def _history(path: Path, missing: list[str]) -> History | None:
    if not path.exists():
        missing.append(f"{path.name} is not there: no op can be drawn")
        return None
    try:
        loaded = load_arrow(path)
    except SeatrialError as error:
        missing.append(f"{path.name} cannot be used: {str(error).partition(chr(10))[0]}")
        return None
    if loaded.truncated:
        missing.append(f"the end of {path.name} is missing: {loaded.note}")
    return loaded.history


def _evidence(folder: TrialFolder, missing: list[str]) -> tuple[Evidence, ...]:
    if not folder.evidence.is_dir():
        return ()
    read = [_model(path, Evidence, missing) for path in sorted(folder.evidence.glob("*.json"))]
    found = [evidence for evidence in read if evidence is not None]
    return tuple(sorted(found, key=lambda evidence: (evidence.fault.start_s, evidence.fault.id)))


def _pictures(folder: Path) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for path in sorted(folder.glob("*.svg"))[:PICTURES_MAX] if folder.is_dir() else ():
        match = _PICTURE.fullmatch(path.stem)
        if match and path.stat().st_size <= PICTURE_BYTES_MAX:
            text = path.read_text(encoding="utf-8", errors="replace")
            found[match["checker"], int(match["number"])] = text
    return found


def windows_of(history: History | None) -> dict[str, FaultWindow]:
    """Each fault's real window, from the nemesis' ops.

    Empty where the nemesis' ops are of another tool and do not read as ours.
    """
    if history is None:
        return {}
    try:
        return {window.fault: window for window in fault_windows(history)}
    except KeyError:
        return {}
