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


def zeros(case: str, target: str, schedule: str = "") -> list[Metric]:
    """All counters with nothing counted, from the step `preflight`.

    A series that appears with its first trial has had no increase, and that trial would be missing
    from every rate, panel and alert; the controller forgets its counters when it restarts. (A
    histogram cannot begin with nothing: the first recovery of a series shows in no `increase`.)
    """
    labels = _labels(case, target, schedule)
    return [*(_verdict(labels, one, "0") for one in EXITS), _ops(labels, "0")]


def verdicts(case: str, target: str, schedule: str = "") -> list[Metric]:
    """Verdicts by kind, and how long the target took to recover, from the step `verdict`."""
    labels = _labels(case, target, schedule)
    made: list[Metric] = [
        _verdict(labels, verdict, "1", f"{{{{exitCode}}}} {condition}")
        for verdict, condition in EXITS.items()
    ]
    made.append(
        Histogram(
            name="seatrial_recovery_seconds",
            help="Longest time from a healing until ops succeed as before",
            labels=labels,
            when="{{outputs.parameters.recovery-s}} >= 0",
            buckets=[*RECOVERY_BUCKETS_S],
            value="{{outputs.parameters.recovery-s}}",
        )
    )
    return made


def ops(case: str, target: str, schedule: str = "") -> list[Metric]:
    """Ops that were sent, from the step `workload`."""
    sent = "{{outputs.parameters.ops}}"
    return [_ops(_labels(case, target, schedule), sent, f"{sent} > 0")]


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


def _verdict(labels: list[Label], verdict: str, value: str, when: str | None = None) -> Metric:
    return Counter(
        name="seatrial_verdicts_total",
        help="Trials by verdict",
        labels=[*labels, Label(key="verdict", value=verdict)],
        when=when,
        value=value,
    )


def _ops(labels: list[Label], value: str, when: str | None = None) -> Metric:
    return Counter(
        name="seatrial_ops_total",
        help="Ops invoked by workloads",
        labels=labels,
        when=when,
        value=value,
    )


def _labels(case: str, target: str, schedule: str) -> list[Label]:
    return [
        Label(key="case", value=case),
        Label(key="target", value=target),
        Label(key="schedule", value=schedule or BY_HAND),
    ]
