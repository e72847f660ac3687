"""Telling a cycle: step by step in sentences with the ops quoted, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from seatrial.checkers.transactions.edges import KIND_NAMES, PROCESS
from seatrial.checkers.transactions.search import Cycle, Finding, Relation
from seatrial.checkers.transactions.table import Table, txn_text
from seatrial.verdict import Anomaly

#: What each class of cycle means, for people.
MEANING = {
    "G0": "transactions overwrote each other in a circle (a dirty write)",
    "G1c": "information flowed in a circle between transactions",
    "G-single": "a transaction missed a write of one that it otherwise follows (read skew)",
    "G-nonadjacent": "transactions missed each other's writes in a way no snapshot allows",
    "G2-item": "transactions missed each other's writes (write skew)",
}
ORDER_MEANING = {
    "process": " when each process's own order is kept",
    "realtime": " when real-time order is kept",
}
#: Transactions of one cycle that are told and drawn; a longer one is told by both ends.
TOLD = 24
#: Further examples listed after the first.
MORE = 3

Pair = Callable[[int, int], str]


def meaning(name: str) -> str:
    """One clause on what a class of cycle means."""
    stem, _, order = name.partition("-process")
    if not order and name.endswith("-realtime"):
        stem, order = name.removesuffix("-realtime"), "realtime"
    elif name.endswith("-process"):
        order = "process"
    return MEANING.get(stem, stem) + ORDER_MEANING.get(order, "")


def cycle_anomaly(finding: Finding, txns: Table, relation: Relation) -> Anomaly:
    """One anomaly for all tangles that hold this class; the shortest example is told."""
    cycle = finding.cycles[0]
    names = {txn: f"T{i + 1}" for i, txn in enumerate(cycle.txns)}
    steps = [f"{name} = {txn_text(txns, txn)}" for txn, name in names.items()]
    pairs = list(zip(cycle.txns, cycle.txns[1:] + cycle.txns[:1], cycle.kinds, strict=True))
    reasons = [reason(a, b, kind, names, txns, relation) for a, b, kind in pairs]
    reasons[-1] = f"However, {reasons[-1]}: a contradiction"
    told = [*steps, *reasons]
    if len(cycle.txns) > TOLD:
        hidden = len(cycle.txns) - TOLD
        told = [*steps[:TOLD], f"… ({hidden} more transactions)", *reasons[:TOLD], reasons[-1]]
    for other in finding.cycles[1 : 1 + MORE]:
        path = " → ".join(f"op {txns.index(txn)}" for txn in other.txns[:TOLD])
        told.append(f"Another example: {path}")
    ops = [txns.index(txn) for txn in cycle.txns]
    through = " → ".join(f"op {op}" for op in (ops if len(ops) <= 6 else [*ops[:5], ops[-1]]))
    where = "" if finding.tangles == 1 else f", in {finding.tangles:,} separate groups"
    text = (
        f"{meaning(finding.name)}: a cycle of {len(cycle.txns)} transactions, {through} → "
        f"op {ops[0]}{where}"
    )
    return Anomaly(
        finding.name,
        text[0].upper() + text[1:] + ".",
        tuple(ops),
        tuple(told),
        max(1, finding.tangles),
        picture(cycle, [f"op {op}" for op in ops]),
    )


def reason(
    a: int, b: int, kind: int, names: dict[int, str], txns: Table, relation: Relation
) -> str:
    """Why a precedes b, as a sentence."""
    known = relation(a, b)
    if known is not None and known[0] == kind:
        sentence = known[1].replace("{a}", names[a]).replace("{b}", names[b])
    elif kind == PROCESS:
        sentence = f"process {int(txns.process[a])} did {names[a]} before {names[b]}"
    else:
        sentence = f"{names[a]} had completed (op {txns.index(a)}) before {names[b]} was invoked"
    return f"{names[a]} < {names[b]} because {sentence}"


_COLOURS = {"ww": "#b3261e", "wr": "#1f5fbf", "rw": "#8a4fbf", "process": "#5f6b7a"}
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1f24}"
    ".n{fill:#f3f5f8;stroke:#39424e}.l{font-weight:600}"
)


def picture(cycle: Cycle, labels: Sequence[str]) -> str:
    """The cycle as an SVG element, without scripts: a ring of transactions and labelled arrows."""
    count = len(cycle.txns)
    if count > TOLD:
        return ""
    radius = max(80, 30 * count)
    half_w, half_h = 46, 17
    width, height = 2 * radius + 170, 2 * radius + 90
    cx, cy = width / 2, height / 2
    angles = [2 * math.pi * i / count - math.pi / 2 for i in range(count)]
    spots = [(cx + radius * math.cos(a), cy + radius * math.sin(a)) for a in angles]
    arrows, boxes = [], []
    for i, kind in enumerate(cycle.kinds):
        name = KIND_NAMES[kind]
        arrows.append(_arrow(spots[i], spots[(i + 1) % count], name, count == 2, half_w, half_h))
    for i, (x, y) in enumerate(spots):
        boxes.append(
            f'<rect class="n" x="{x - half_w:.0f}" y="{y - half_h:.0f}" width="{2 * half_w}" '
            f'height="{2 * half_h}" rx="8"/><text x="{x:.0f}" y="{y + 5:.0f}" '
            f'text-anchor="middle">T{i + 1} · {escape(labels[i])}</text>'
        )
    title = f"{cycle.name}: a cycle of {count} transactions"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" '
        f'style="max-width:{width:.0f}px"><title>{escape(title)}</title><style>{_STYLE}</style>'
        + "".join(arrows)
        + "".join(boxes)
        + "</svg>"
    )


def _arrow(
    a: tuple[float, float],
    b: tuple[float, float],
    name: str,
    bent: bool,
    half_w: float,
    half_h: float,
) -> str:
    """A curve from box to box with its kind beside it."""
    colour = _COLOURS.get(name, "#2f7d4f")
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1.0
    bend = 46.0 if bent else 14.0
    mx, my = (a[0] + b[0]) / 2 + dy / length * bend, (a[1] + b[1]) / 2 - dx / length * bend
    x1, y1 = _edge(a, (mx, my), half_w, half_h)
    x2, y2 = _edge(b, (mx, my), half_w, half_h)
    ux, uy = x2 - mx, y2 - my
    norm = math.hypot(ux, uy) or 1.0
    ux, uy = ux / norm, uy / norm
    head = (
        f"{x2:.1f},{y2:.1f} {x2 - 9 * ux + 4 * uy:.1f},{y2 - 9 * uy - 4 * ux:.1f} "
        f"{x2 - 9 * ux - 4 * uy:.1f},{y2 - 9 * uy + 4 * ux:.1f}"
    )
    return (
        f'<path d="M{x1:.1f} {y1:.1f}Q{mx:.1f} {my:.1f} {x2:.1f} {y2:.1f}" fill="none" '
        f'stroke="{colour}" stroke-width="2"/><polygon points="{head}" fill="{colour}"/>'
        f'<text class="l" x="{mx:.0f}" y="{my + 4:.0f}" text-anchor="middle" '
        f'style="fill:{colour}">{name}</text>'
    )


def _edge(
    box: tuple[float, float], to: tuple[float, float], half_w: float, half_h: float
) -> tuple[float, float]:
    """Where the line from a box's middle to a point leaves the box."""
    dx, dy = to[0] - box[0], to[1] - box[1]
    scale = min(half_w / abs(dx) if dx else math.inf, half_h / abs(dy) if dy else math.inf)
    return box[0] + dx * scale, box[1] + dy * scale
