"""The graph of a trial: what follows what, and what still runs when something failed.

A node that judges or heals runs however those before it ended, as long as there is something to
judge or heal; the verdict runs always. A failure is swallowed nowhere but on the way to `verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence

from hera.workflows import Parameter, Task

ENDED = ("Succeeded", "Failed", "Errored")
#: Ended, or never begun because something before it failed or there was nothing to do.
OVER = (*ENDED, "Skipped", "Omitted")
#: The node that makes the plan, where it is made in the cluster.
PLAN = "plan"
PLAN_OUTPUT = "{{tasks.plan.outputs.parameters.plan}}"


def over(task: str, states: Sequence[str] = OVER) -> str:
    """The part of a `depends` that holds once `task` is in one of `states`."""
    return "(" + " || ".join(f"{task}.{state}" for state in states) + ")"


def known_tasks(faults: Sequence[tuple[str, str]], checkers: Sequence[str]) -> list[Task]:
    """The graph of a known plan: a task for each fault (its name and id) and each checker."""
    return _tasks(
        [_fault(name, fault=fault) for name, fault in faults],
        [_check(f"check-{name}", checker=name) for name in checkers],
        made=False,
    )


def fanned_tasks() -> list[Task]:
    """The graph of a plan that its first node makes: faults and checkers come as lists."""
    fault = _fault("fault", fault="{{item.id}}", node="{{item.node}}", plan=PLAN_OUTPUT)
    fault.with_param = "{{tasks.plan.outputs.parameters.faults}}"
    check = _check("check", checker="{{item}}", node="check-{{item}}", plan=PLAN_OUTPUT)
    check.with_param = "{{tasks.plan.outputs.parameters.checkers}}"
    return [_task(PLAN, PLAN), *_tasks([fault], [check], made=True)]


def _fault(name: str, **parameters: str) -> Task:
    return _task(name, "fault", ["steady-before.Succeeded"], **parameters)


def _check(name: str, **parameters: str) -> Task:
    return _task(name, "check", [over("steady-after", ENDED)], **parameters)


def _tasks(faults: Sequence[Task], checks: Sequence[Task], *, made: bool) -> list[Task]:
    broken = [over(task.name) for task in faults] + [over("steady-during")]
    before = ["plan.Succeeded"] if made else []
    plan = {"plan": PLAN_OUTPUT} if made else {}
    rows: list[tuple[str, list[str]] | Task] = [
        ("preflight", before),
        ("provision", ["preflight.Succeeded"]),
        ("prepare", ["provision.Succeeded"]),
        ("workload", ["prepare.Succeeded"]),
        ("steady-before", ["prepare.Succeeded"]),
        *faults,
        ("steady-during", ["steady-before.Succeeded"]),
        ("heal", ["prepare.Succeeded", *broken]),
        ("quiesce", [over("heal", ENDED), over("workload", ENDED)]),
        ("final-reads", [over("quiesce", ENDED)]),
        ("steady-after", [over("final-reads", ENDED)]),
        *checks,
        ("report", [over(task.name, ENDED) for task in checks]),
        ("verdict", [over("report")]),
    ]
    return [row if isinstance(row, Task) else _task(row[0], row[0], row[1], **plan) for row in rows]


def _task(name: str, template: str, depends: Sequence[str] = (), **parameters: str) -> Task:
    return Task(
        name=name,
        template=template,
        depends=" && ".join(depends) or None,
        arguments=[Parameter(name=key, value=value) for key, value in parameters.items()] or None,
    )
