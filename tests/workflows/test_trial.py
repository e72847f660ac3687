"""A trial as a workflow: its nodes, what follows what, and that nothing can hide a red one."""

from __future__ import annotations

from typing import Any

from tests.workflows.sample import made


def rendered() -> dict[str, Any]:
    return made("trial")


def template(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [t for t in document["spec"]["templates"] if t["name"] == name]
    return dict(found)


def tasks(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["name"]: task for task in template(document, "trial")["dag"]["tasks"]}


def test_the_nodes_are_the_phases_and_one_a_fault_and_one_a_checker() -> None:
    assert list(tasks(rendered())) == [
        "preflight",
        "provision",
        "prepare",
        "workload",
        "steady-before",
        "fault-1-partition-one",
        "fault-2-kill-follower",
        "fault-3-partition-minority",
        "fault-4-partition-leader",
        "steady-during",
        "heal",
        "quiesce",
        "final-reads",
        "steady-after",
        "check-linearizable",
        "check-stats",
        "report",
        "verdict",
    ]


def test_the_verdict_is_the_only_leaf_and_runs_whatever_happened() -> None:
    found = tasks(rendered())
    followed = {
        name for name in found for other in found.values() if f"{name}." in other.get("depends", "")
    }

    assert set(found) - followed == {"verdict"}
    for state in ("Succeeded", "Failed", "Errored", "Skipped", "Omitted"):
        assert f"report.{state}" in found["verdict"]["depends"]


def test_what_sends_ops_or_breaks_things_is_never_retried() -> None:
    spec = rendered()["spec"]
    retried = {t["name"] for t in spec["templates"] if "retryStrategy" in t}

    assert "retryStrategy" not in spec and "templateDefaults" not in spec
    assert retried.isdisjoint({"workload", "fault", "final-reads", "verdict"})
