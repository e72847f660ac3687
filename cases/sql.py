"""What the cases for SQL clusters have in common: steady states, and the look at all copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seatrial.steady_state import OpsProbe, SteadyState, Tolerance
from seatrial.verdict import Json

#: After the last reads each node says what it holds, and what its own check finds in it.
SAME_DATA: Final[Mapping[str, Mapping[str, Json]]] = {"replicas": {}}


def steady(*, silent_s: float, recovered_s: float, returns: float) -> tuple[SteadyState, ...]:
    """Steady states of a cluster whose transactions conflict with each other all the time.

    While faults act it may serve nobody for `silent_s` seconds; after each it recovers within
    `recovered_s` seconds; in the end `returns` of its throughput is back (0..1).
    """
    return (
        SteadyState(
            name="hardly any errors but conflicts",
            probe=OpsProbe(metric="error_rate"),
            before=Tolerance(max=0.5),
            after=Tolerance(max=0.5),
        ),
        SteadyState(
            name="throughput returns",
            probe=OpsProbe(metric="throughput"),
            before=Tolerance(min=10.0),
            after=Tolerance(min_ratio=returns),
        ),
        SteadyState(
            name="never long unavailable",
            probe=OpsProbe(metric="unavailable_s"),
            before=Tolerance(max=3.0),
            during=Tolerance(max=silent_s),
            after=Tolerance(max=5.0),
        ),
        SteadyState(
            name="recovers after each healing",
            probe=OpsProbe(metric="recovery_s"),
            during=Tolerance(max=recovered_s),
        ),
    )
