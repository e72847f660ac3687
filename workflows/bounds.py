"""How long each node may take: the plan's own lengths, and room for pods to come up.

A bound that is too short makes a good trial red; each is the length that the plan gives plus slack.
"""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.plan import Plan

#: Start of a pod, pulling its image for the first time, and waiting for others to come up.
SLACK_S = 600
#: Bounds of a trial whose plan is made in the cluster, where no length is known beforehand.
UNKNOWN_LOAD_S = 4 * 3600
UNKNOWN_WAIT_S = 600
UNKNOWN_CHECK_S = 3600
UNKNOWN_CHECK_MIB = 5 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds for the nodes whose length depends on the plan, and MiB for a checker."""

    load_s: int
    quiesce_s: int
    final_s: int
    check_s: int
    check_mib: int

    def of(self, step: str, default: int) -> int:
        """The bound of a step; `default` where the plan does not matter."""
        return {
            "workload": self.load_s,
            "steady-before": self.load_s,
            "steady-during": self.load_s,
            "fault": self.load_s,
            "quiesce": self.quiesce_s,
            "final-reads": self.final_s,
            "check": self.check_s,
        }.get(step, default)

    def whole_s(self) -> int:
        """The whole DAG, one node after the other, and the steps of fixed length."""
        fixed = 300 + 1200 + 300 + 600 + 600 + 900 + 300
        return fixed + self.load_s + self.quiesce_s + self.final_s + self.check_s


def of_plan(plan: Plan) -> Bounds:
    """The bounds of a known plan."""
    phases = plan.phases
    load = phases.before_s + phases.faults_s + phases.after_s
    return Bounds(
        load_s=round(load) + 2 * SLACK_S,
        quiesce_s=round(phases.quiesce_timeout_s) + SLACK_S,
        final_s=round(phases.final_timeout_s) + SLACK_S,
        check_s=2 * round(plan.limits.check_timeout_s) + SLACK_S,
        check_mib=(plan.limits.check_memory_bytes >> 20) + 1024,
    )


UNKNOWN = Bounds(UNKNOWN_LOAD_S, UNKNOWN_WAIT_S, UNKNOWN_WAIT_S, UNKNOWN_CHECK_S, UNKNOWN_CHECK_MIB)
