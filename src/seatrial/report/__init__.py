"""The report of a trial: one self-contained HTML file, whole with scripts switched off.

from seatrial.report import write
write(TrialFolder(Path("trials/…")))
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seatrial.history import History
from seatrial.report import page, source
from seatrial.report.document import VerdictDocument
from seatrial.trial import TrialFolder, write_text
from seatrial.verdict import Json

__all__ = ["render", "render_history", "write"]


def render(folder: TrialFolder) -> str:
    """The report of a stored trial as one HTML text; what is missing in the folder is said there.

    O(n log n) in the ops, a few bytes of output an op at most and bounded in all.
    """
    return page.render(source.read(folder))


def render_history(
    history: History,
    verdict: Mapping[str, Json],
    *,
    title: str,
    repeat: str = "",
    pictures: Mapping[tuple[str, int], str] | None = None,
) -> str:
    """The report of a judged history without a trial.

    `verdict` is a verdict document; `repeat` the command that judges again; `pictures` are SVG
    texts by checker and number of the anomaly. O(n log n) in the ops.
    """
    document = VerdictDocument.model_validate(verdict)
    material = source.Material(history=history, verdict=document, pictures=pictures or {})
    return page.render(material, title=title, repeat=repeat)


def write(folder: TrialFolder) -> Path:
    """Draw the report into the folder's `report.html` and return its path.

    Raises `CannotCreate` where it cannot be written; an older report stays whole then.
    """
    write_text(folder.report, render(folder))
    return folder.report
