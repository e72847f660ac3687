"""How the checkers' time and memory grow from 10^4 to 10^7 ops.

    python -m benchmarks.growth                      the table, in Markdown
    python -m benchmarks.growth --plots docs/benchmarks    and growth-time.svg, growth-memory.svg
    python -m benchmarks.growth --only queue --to 6

Each cell runs in a process of its own: the history is made, a small one is judged first (so that
compilation is not measured), then it is judged three times (once from 10^7 on), from columns that
hold no cache of the run before. Times are the best, memory is the peak of the whole process. The
exponent is that of the straight line through the logarithms of size and CPU time from 10^5 on:
1 is linear. A cell is left out, and said to be, if making and judging it takes longer than
`--seconds` or ten times the memory of the cell before is not free.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from markupsafe import Markup

from benchmarks.linearizable import container, register
from benchmarks.transactions_store import store
from seatrial.checker import Budget, Checker, CheckOptions
from seatrial.checkers import make
from seatrial.history import History
from seatrial.report.svg import Log, element, group, line, polyline, svg, text

SMALLEST, LARGEST = 4, 7
_FIT_FROM = 5
_REPEATS = 3
_SMALL = 2_000


@dataclass(frozen=True, slots=True)
class Series:
    """One checker and histories of any size for it, all valid."""

    title: str
    checker: str
    options: CheckOptions
    history: Callable[[int], History]


def _options(model: str, initial: int | None = 0) -> CheckOptions:
    return CheckOptions(model=model, initial=initial)


SERIES = {
    "register-unique": Series(
        "register, unique values, 1 key", "linearizable", _options("cas-register"),
        lambda n: register(n, 1, 0),
    ),
    "register-repeated": Series(
        "register, values 0–4, 1,000 keys", "linearizable", _options("cas-register"),
        lambda n: register(n, 1000, 5),
    ),
    "queue": Series(
        "FIFO queue", "linearizable", _options("fifo-queue", None),
        lambda n: container(n, ("enqueue", "dequeue")),
    ),
    "stack": Series(
        "stack", "linearizable", _options("stack", None), lambda n: container(n, ("push", "pop"))
    ),
    "list-append": Series(
        "list-append, strict serializability", "list-append", CheckOptions(),
        lambda n: store(n, "ser", 7),
    ),
    "rw-register": Series(
        "rw-register, writes follow reads", "rw-register", CheckOptions(version_order=("wfr",)),
        lambda n: store(n, "ser", 7, registers=True),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """What one size took."""

    ops: int
    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(series: Series, ops: int) -> Point:
    """Judge one history in this process; raises `SystemExit` if it is not valid."""
    checker = make(series.checker, series.options)
    _judge(checker, series.history(_SMALL))
    history = series.history(ops)
    cpu_s, wall_s = float("inf"), float("inf")
    for _ in range(_REPEATS if ops < 10**7 else 1):
        fresh = replace(history)
        began, used = time.perf_counter(), time.process_time()
        _judge(checker, fresh)
        wall_s = min(wall_s, time.perf_counter() - began)
        cpu_s = min(cpu_s, time.process_time() - used)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Point(ops, cpu_s, wall_s, peak_mb)


def _judge(checker: Checker, history: History) -> None:
    verdict = checker.check(history, Budget.start(600, 64 << 30))
    if verdict.verdict.value != "valid":
        raise SystemExit(f"{verdict.verdict.value}: {verdict.cause}")


def apart(name: str, ops: int, seconds: float) -> Point | str:
    """Measure in a process of its own, or say why there is no figure."""
    command = [sys.executable, "-m", "benchmarks.growth", "--cell", name, str(ops)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"more than {seconds:g} s to make and judge"
    if found.returncode:
        return (found.stderr.strip().splitlines() or [f"ended with {found.returncode}"])[-1]
    return Point(**json.loads(found.stdout))


def grow(name: str, largest: int, seconds: float) -> tuple[list[Point], str]:
    """The points of one series, and why there are not more."""
    points: list[Point] = []
    for power in range(SMALLEST, largest + 1):
        if points and points[-1].peak_mb * 10 > _free_mb():
            return points, f"10^{power}: not enough free memory"
        found = apart(name, 10**power, seconds)
        if isinstance(found, str):
            return points, f"10^{power}: {found}"
        points.append(found)
    return points, ""


def _free_mb() -> float:
    for row in Path("/proc/meminfo").read_text().splitlines():
        if row.startswith("MemAvailable:"):
            return int(row.split()[1]) / 1024
    return float("inf")


def exponent(points: list[Point]) -> float:
    """The slope of log time over log size, from 10^5 ops on; NaN for fewer than two points."""
    kept = [p for p in points if p.ops >= 10**_FIT_FROM]
    if len(kept) < 2:
        return float("nan")
    size, cpu = (np.log([getattr(p, name) for p in kept]) for name in ("ops", "cpu_s"))
    return float(np.polyfit(size, cpu, 1)[0])


def print_series(series: Series, points: list[Point], why: str) -> None:
    """The rows of one series."""
    slope = exponent(points)
    for place, p in enumerate(points):
        title = series.title if place == 0 else ""
        said = f"{slope:.2f}" if place == 0 and slope == slope else ""
        print(
            f"| {title} | {p.ops:,} | {p.cpu_s:.4g} | {p.wall_s:.4g} "
            f"| {p.cpu_s / p.ops * 1e6:.2f} | {p.peak_mb:,.0f} | {said} |",
            flush=True,
        )
    if why:
        print(f"| | {why} | | | | | |", flush=True)


# ── plots ───────────────────────────────────────────────────────────────────────────────────────

_WIDTH, _HEIGHT = 780.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 470.0, 30.0, 370.0
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}
.grid{stroke:#8884;stroke-width:1}.linear{stroke:#888;stroke-dasharray:4 4}
path{fill:none;stroke-width:2}circle{stroke:none}
@media(prefers-color-scheme:dark){text{fill:#ddd}}
"""
#: Okabe and Ito's colours, which those who see few colours can tell apart.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")


def plot(title: str, unit: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    """Both axes logarithmic; a dashed line shows what linear growth looks like."""
    every = [point for points in lines.values() for point in points]
    low, high = min(y for _, y in every), max(y for _, y in every)
    x = Log(10**SMALLEST, 10**LARGEST, _LEFT, _RIGHT)
    y = Log(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)), _BOTTOM, _TOP)
    parts: list[str] = [element("style", Markup(_STYLE)), text(_LEFT, 18, title, "title")]
    for tick in x.ticks():
        parts += [line(x(tick), _TOP, x(tick), _BOTTOM, "grid")]
        parts += [text(x(tick), _BOTTOM + 18, f"{tick:,.0f}", "tick", "middle")]
    for tick in y.ticks():
        parts += [line(_LEFT, y(tick), _RIGHT, y(tick), "grid")]
        parts += [text(_LEFT - 8, y(tick) + 4, f"{tick:,g} {unit}", "tick", "end")]
    parts.append(text((_LEFT + _RIGHT) / 2, _BOTTOM + 38, "ops", "tick", "middle"))
    parts += _linear(x, y)
    for place, (name, points) in enumerate(lines.items()):
        parts.append(_curve(x, y, name, points, place))
    made = svg(_WIDTH, _HEIGHT, title, parts, "growth")
    return str(made).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _linear(x: Log, y: Log) -> list[str]:
    """From the lower left corner as far as linear growth stays inside."""
    far = min(x.high / x.low, y.high / y.low)
    label_y = _TOP + 24 * len(_COLOURS) + 30
    return [
        line(x(x.low), y(y.low), x(x.low * far), y(y.low * far), "linear"),
        line(_RIGHT + 16, label_y, _RIGHT + 40, label_y, "linear"),
        text(_RIGHT + 48, label_y + 4, "linear growth"),
    ]


def _curve(x: Log, y: Log, name: str, points: list[tuple[float, float]], place: int) -> Markup:
    colour = _COLOURS[place % len(_COLOURS)]
    at_x = x.many(np.array([p[0] for p in points]))
    at_y = y.many(np.array([p[1] for p in points]))
    label_y = _TOP + 24 * place + 8
    dots = [
        element("circle", cx=cx, cy=cy, r=3.5, fill=colour)
        for cx, cy in zip(at_x.tolist(), at_y.tolist(), strict=True)
    ]
    return group(
        [
            element("path", d=polyline(at_x, at_y), stroke=colour),
            *dots,
            element("path", d=f"M{_RIGHT + 16} {label_y}h24", stroke=colour),
            text(_RIGHT + 48, label_y + 4, name),
        ]
    )


def draw(folder: Path, found: dict[str, list[Point]]) -> None:
    """`growth-time.svg` and `growth-memory.svg`."""
    named = {SERIES[name].title: points for name, points in found.items() if points}
    cpu = {title: [(p.ops, p.cpu_s) for p in points] for title, points in named.items()}
    memory = {title: [(p.ops, p.peak_mb) for p in points] for title, points in named.items()}
    time_svg = plot("CPU time of one judgement", "s", cpu)
    (folder / "growth-time.svg").write_text(time_svg, encoding="utf-8")
    memory_svg = plot("peak memory, history and compiler included", "MB", memory)
    (folder / "growth-memory.svg").write_text(memory_svg, encoding="utf-8")


def main() -> None:
    """Print the table, and draw if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="series whose name contains this")
    parser.add_argument("--to", type=int, default=LARGEST, help="the largest power of ten")
    parser.add_argument("--seconds", type=float, default=60, help="at most for one cell")
    parser.add_argument("--plots", type=Path, help="the folder to draw into")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.cell:
        name, ops = said.cell
        point = measure(SERIES[name], int(ops))
        print(json.dumps({slot: getattr(point, slot) for slot in Point.__slots__}))
        return
    print("| history | ops | CPU s | wall s | CPU µs an op | peak MB | exponent |")
    print("|---|---|---|---|---|---|---|")
    found: dict[str, list[Point]] = {}
    for name, series in SERIES.items():
        if said.only in name:
            found[name], why = grow(name, said.to, said.seconds)
            print_series(series, found[name], why)
    if said.plots:
        draw(said.plots, found)


if __name__ == "__main__":
    main()
