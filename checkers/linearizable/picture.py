"""The witness as a picture: one lane a process, one bar an op, the op that cannot be placed in red.

A self-contained SVG: no script, no reference, text in the reader's own colour.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np

from seatrial.checkers.linearizable.calls import PENDING, Calls

_OPS_MAX = 60
_LANE, _LEFT, _STEP, _BAR = 34, 92, 78, 22


def draw(calls: Calls, culprit: int, label: Callable[[int], str]) -> str:
    """An SVG of the first ops of `calls` (at most 60); `label(c)` stands on the bar of call c."""
    order = np.argsort(calls.inv)[:_OPS_MAX].tolist()
    if culprit >= 0 and culprit not in order:
        order[-1:] = [culprit]
    ends = sorted(
        {int(calls.inv[c]) for c in order}
        | {int(calls.res[c]) for c in order if calls.res[c] < PENDING}
    )
    at = {row: _LEFT + i * _STEP for i, row in enumerate(ends)}
    lanes = {p: i for i, p in enumerate(sorted({int(calls.process[c]) for c in order}))}
    width = _LEFT + len(ends) * _STEP + 16
    height = 16 + len(lanes) * _LANE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'style="max-width:{width}px;width:100%" role="img" font-family="sans-serif" '
        'font-size="12" fill="currentColor">',
        "<title>ops over time, one lane a process; red: the op that cannot be placed</title>",
    ]
    for process, lane in lanes.items():
        y = 8 + lane * _LANE + _BAR // 2
        parts.append(f'<text x="4" y="{y + 4}">process {process}</text>')
        parts.append(
            f'<line x1="{_LEFT}" x2="{width}" y1="{y}" y2="{y}" stroke="currentColor" '
            'stroke-opacity="0.2"/>'
        )
    for c in order:
        parts.append(_bar(calls, c, at, lanes, width, c == culprit, label(c)))
    parts.append("</svg>")
    return "".join(parts)


def _bar(
    calls: Calls,
    c: int,
    at: dict[int, int],
    lanes: dict[int, int],
    width: int,
    red: bool,
    label: str,
) -> str:
    x = at[int(calls.inv[c])]
    pending = calls.res[c] >= PENDING
    right = width - 4 if pending else at[int(calls.res[c])]
    y = 8 + lanes[int(calls.process[c])] * _LANE
    colour = "#d33" if red else "#48c"
    dash = ' stroke-dasharray="4 3"' if pending else ""
    wide = max(10, right - x)
    room = max(3, wide // 7)
    short = label if len(label) <= room else label[: room - 1] + "…"
    return (
        f'<g><title>{escape(label)}</title><rect x="{x}" y="{y}" width="{wide}" height="{_BAR}" '
        f'rx="4" fill="{colour}" fill-opacity="0.3" stroke="{colour}"{dash}/>'
        f'<text x="{x + 5}" y="{y + 15}">{escape(short)}</text></g>'
    )
