"""Prometheus metrics that Argo's controller exports for trials, as `argo_workflows_seatrial_…`.

Labels are few-valued on purpose: case, target, schedule and verdict, never a seed or a workflow's
name. By `schedule` a dashboard of nights tells them from trials that somebody started by hand.
Argo forgets them when its controller restarts; history belongs to the ledger.
"""

from __future__ import annotations

from hera.workflows.metrics import Counter, Gauge, Histogram, Label

Metric = Counter | Gauge | Histogram

#: Buckets of recovery, in seconds.
RECOVERY_BUCKETS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
#: `schedule` of what nothing has scheduled.
BY_HAND = "none"
EXITS = {"valid": "== 0", "invalid": "== 1", "unknown": "> 1"}


def verdicts(case: str, target: str, schedule: str = "") -> list[Metric]:
    """Verdicts by kind, and how long the target took to recover, from the step `verdict`."""
    made: list[Metric] = [
        Counter(
            name="seatrial_verdicts_total",
            help="Trials by verdict",
            labels=[*_labels(case, target, schedule), Label(key="verdict", value=verdict)],
            when=f"{{{{exitCode}}}} {condition}",
            value="1",
        )
        for verdict, condition in EXITS.items()
    ]
    made.append(
        Histogram(
            name="seatrial_recovery_seconds",
            help="Longest time from a healing until ops succeed as before",
            labels=_labels(case, target, schedule),
            when="{{outputs.parameters.recovery-s}} >= 0",
            buckets=[*RECOVERY_BUCKETS_S],
            value="{{outputs.parameters.recovery-s}}",
        )
    )
    return made


def ops(case: str, target: str, schedule: str = "") -> list[Metric]:
    """Ops that were sent, from the step `workload`."""
    return [
        Counter(
            name="seatrial_ops_total",
            help="Ops invoked by workloads",
            labels=_labels(case, target, schedule),
            when="{{outputs.parameters.ops}} > 0",
            value="{{outputs.parameters.ops}}",
        )
    ]


def seconds(case: str, target: str, schedule: str = "") -> list[Metric]:
    """How long the workflow took, by its end: what a dashboard watches for a nightly that hangs."""
    return [
        Gauge(
            name="seatrial_trial_duration_seconds",
            help="Length of the last trial's workflow",
            labels=[
                *_labels(case, target, schedule),
                Label(key="status", value="{{workflow.status}}"),
            ],
            realtime=False,
            value="{{workflow.duration}}",
        )
    ]


def _labels(case: str, target: str, schedule: str = "") -> list[Label]:
    return [
        Label(key="case", value=case),
        Label(key="target", value=target),
        Label(key="schedule", value=schedule or BY_HAND),
    ]
