"""What the kernel's netem makes of a share with a correlation.

netem draws a number for each packet as a mixture of a fresh one and the last one (tc-netem(8);
`get_crandom` in net/sched/sch_netem.c), which pulls the numbers towards their middle: of a share
of 20 % with a correlation of 50 %, 3 % is left, and nothing of 10 % with 90 %. The mixture is
played here, so that a proof expects what a link with this fault really does.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
from scipy.signal import lfilter

from seatrial.fault import Shape

#: So many packets are played; shares of a thousandth are exact to a tenth of themselves.
PLAYED: Final = 1 << 18
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
    rho = correlation / 100
    fresh = np.random.default_rng(_SEED).random(PLAYED)
    numbers = lfilter([1 - rho], [1, -rho], fresh)
    met = (numbers < percent / 100).astype(np.float64)
    share = max(float(met.mean()), 1 / PLAYED)
    if met.sum() < _ENOUGH:
        return 100 * share, 0.0
    likeness = float(np.corrcoef(met[:-1], met[1:])[0, 1])
    return 100 * share, 100 * max(0.0, likeness)
