"""A rendered graph as an SVG: what Argo's UI shows, for documents and reviews.

Drawn from the object itself, so that it shows what was rendered and not what was meant. From top
to bottom as Argo draws it; a node that runs beside others is as tall as the time it spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from seatrial.workflows.lint.scene import Call, Node, Scene, node, read, step_of, text
from seatrial.workflows.names import TITLE

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 196, 34, 14, 22, 20
HEAD = 54
FONT = "font-family='system-ui, sans-serif'"
#: Colour by what a step does: fill and stroke.
COLOURS = {
    "fault": ("#fdecea", "#c0392b"),
    "workload": ("#e8f1fb", "#2b6cb0"),
    "check": ("#f1ecfb", "#6b46c1"),
    "verdict": ("#f1ecfb", "#6b46c1"),
    "report": ("#f1ecfb", "#6b46c1"),
}
PLAIN = ("#f4f6f7", "#5d6d7e")


@dataclass(frozen=True, slots=True)
class Box:
    """One node's place, in layers and columns."""

    call: Call
    top: int
    bottom: int
    column: int


def draw(document: Node) -> str:
    """The entry graph and the exit handler of a workflow. O(n²) in its tasks."""
    scene = read(document)
    main = _place(scene.of(text(scene.spec.get("entrypoint"))))
    handler = _place(scene.of(scene.handler))
    rows = max((box.bottom for box in main), default=0) + 1
    columns = max((box.column for box in (*main, *handler)), default=0) + 1
    columns = max(columns, len(handler))
    width = 2 * MARGIN + columns * WIDTH + (columns - 1) * GAP_X
    y_exit = HEAD + rows * (HEIGHT + GAP_Y) + 12
    height = y_exit + 2 * HEIGHT + MARGIN
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
        f"width='{width}' height='{height}' role='img' {FONT} font-size='12'>",
        f"<title>{escape(_title(document, scene))}</title>",
        f"<rect width='{width}' height='{height}' fill='#ffffff'/>",
        f"<text x='{MARGIN}' y='28' font-size='15' fill='#1b2631'>"
        f"{escape(_title(document, scene))}</text>",
        *_edges(main),
        *(_box(scene, box, _x(box.column), _y(box.top)) for box in main),
        *_exit(scene, handler, width, y_exit),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(document: Node, scene: Scene) -> str:
    annotations = node(node(document.get("metadata")).get("annotations"))
    return text(annotations.get(TITLE)) or scene.name


def _place(calls: Sequence[Call]) -> list[Box]:
    """Layers by the longest way from a root; a node spans until before its first successor."""
    layer: dict[str, int] = {}
    for call in sorted(calls, key=lambda call: len(call.before)):
        layer[call.name] = 1 + max((layer[name] for name in call.after), default=-1)
    last = max(layer.values(), default=0)
    boxes: list[Box] = []
    taken: set[tuple[int, int]] = set()
    for call in calls:
        after = [layer[other.name] for other in calls if call.name in _direct(other, calls)]
        top, bottom = layer[call.name], min(after, default=last + 1) - 1
        column = 0
        while any((row, column) in taken for row in range(top, bottom + 1)):
            column += 1
        taken |= {(row, column) for row in range(top, bottom + 1)}
        boxes.append(Box(call, top, bottom, column))
    return boxes


def _direct(call: Call, calls: Sequence[Call]) -> set[str]:
    """What a call follows, without what it follows anyway by another way."""
    by_name: Mapping[str, Call] = {other.name: other for other in calls}
    indirect = {name for before in call.after for name in by_name[before].before}
    return set(call.after) - indirect


def _edges(boxes: Sequence[Box]) -> list[str]:
    calls = [box.call for box in boxes]
    by_name = {box.call.name: box for box in boxes}
    lines = []
    for box in boxes:
        for name in sorted(_direct(box.call, calls)):
            start = by_name[name]
            x1, y1 = _x(start.column) + WIDTH // 2, _y(start.bottom) + HEIGHT
            x2, y2 = _x(box.column) + WIDTH // 2, _y(box.top)
            middle = (y1 + y2) // 2
            lines.append(
                f"<path d='M{x1} {y1} C{x1} {middle} {x2} {middle} {x2} {y2}' fill='none' "
                "stroke='#aab7b8'/>"
            )
    return lines


def _box(scene: Scene, box: Box, x: int, y: int) -> str:
    height = HEIGHT + (box.bottom - box.top) * (HEIGHT + GAP_Y)
    step = step_of(scene.templates.get(box.call.template, {}))
    fill, stroke = COLOURS.get(step, PLAIN)
    return (
        f"<g><rect x='{x}' y='{y}' width='{WIDTH}' height='{height}' rx='6' fill='{fill}' "
        f"stroke='{stroke}'/><text x='{x + WIDTH // 2}' y='{y + height // 2 + 4}' "
        f"text-anchor='middle' fill='#1b2631'>{escape(box.call.name)}</text></g>"
    )


def _exit(scene: Scene, handler: Sequence[Box], width: int, y: int) -> list[str]:
    if not scene.handler:
        return []
    parts = [
        f"<line x1='{MARGIN}' y1='{y}' x2='{width - MARGIN}' y2='{y}' stroke='#aab7b8' "
        "stroke-dasharray='4 4'/>",
        f"<text x='{MARGIN}' y='{y + 18}' fill='#5d6d7e'>exit handler: always, however it "
        "ended</text>",
    ]
    for number, box in enumerate(handler):
        flat = Box(box.call, 0, 0, number)
        parts.append(_box(scene, flat, _x(number), y + 28))
    for number in range(1, len(handler)):
        x = _x(number)
        middle = y + 28 + HEIGHT // 2
        parts.append(
            f"<line x1='{x - GAP_X}' y1='{middle}' x2='{x}' y2='{middle}' stroke='#aab7b8'/>"
        )
    return parts


def _x(column: int) -> int:
    return MARGIN + column * (WIDTH + GAP_X)


def _y(layer: int) -> int:
    return HEAD + layer * (HEIGHT + GAP_Y)
