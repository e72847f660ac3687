"""What the kernel's netem makes of a share with a correlation.

netem draws a number for each packet as a mixture of a fresh one and the last one (tc-netem(8);
`get_crandom` in net/sched/sch_netem.c), which pulls the numbers towards their middle: of a share
of 20 % with a correlation of 50 %, 3 % is left, and nothing of 10 % with 90 %. The mixture is
played here, so that a proof expects what a link with this fault really does.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import Final

from seatrial.readings import Shape

#: So many packets are played; shares of a hundredth are exact to a twentieth of themselves.
PLAYED: Final = 1 << 17
_SEED: Final = 1
#: With fewer events than that nothing is said of how they follow each other.
_ENOUGH: Final = 100


def carried_out(shape: Shape) -> Shape:
    """The shape with the share, and the likeness of neighbours, that netem comes to."""
    if not shape.percent or not shape.correlation or shape.percent >= 100:
        return shape
    percent, correlation = _played(shape.percent, shape.correlation)
    return replace(shape, percent=percent, correlation=correlation)


@cache
def _played(percent: float, correlation: float) -> tuple[float, float]:
    """Share and lag-1 autocorrelation, in percent. O(`PLAYED`), 20 ms."""
    rho, below = correlation / 100, percent / 100
    fresh = random.Random(_SEED).random
    number, met, count, pairs = 0.5, False, 0, 0
    for _ in range(PLAYED):
        number = (1 - rho) * fresh() + rho * number
        before, met = met, number < below
        count += met
        pairs += met and before
    share = max(count, 1) / PLAYED
    if count < _ENOUGH:
        return 100 * share, 0.0
    likeness = (pairs / PLAYED - share * share) / (share * (1 - share))
    return 100 * share, 100 * max(0.0, likeness)
