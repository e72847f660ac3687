"""A trial as a workflow: its nodes, what follows what, and that nothing can hide a red one."""

from __future__ import annotations

from typing import Any

from seatrial.plan import Plan
from seatrial.workflows.documents import document
from seatrial.workflows.lint.scene import read
from seatrial.workflows.trial import trial
from tests.workflows.sample import PLAN, SETTINGS, made


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
        "fault-1-kill-leader",
        "fault-2-partition-majority",
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


def test_a_lost_pod_of_what_can_be_done_twice_costs_no_trial() -> None:
    """Only when the pod was lost: a step that says no has said so."""
    found = rendered()

    for name in ("steady-before", "heal", "quiesce", "steady-after"):
        assert template(found, name)["retryStrategy"]["retryPolicy"] == "OnError"
    assert "retryStrategy" not in template(found, "steady-during"), "heal waits for it"


def test_how_long_a_step_takes_does_not_keep_it_from_being_started_again() -> None:
    """Argo's `maxDuration` counts from the first attempt's start and kills the second one."""
    for each in rendered()["spec"]["templates"]:
        assert "maxDuration" not in each.get("retryStrategy", {}).get("backoff", {}), each["name"]


def test_who_puts_the_history_together_has_as_much_memory_for_it() -> None:
    found = rendered()
    limits = {
        name: template(found, name)["container"]["resources"]["limits"]["memory"]
        for name in ("steady-after", "report", "verdict")
    }

    assert set(limits.values()) == {"2048Mi"}


def carried(workflow: dict[str, Any]) -> str:
    (value,) = [p["value"] for p in workflow["spec"]["arguments"]["parameters"]]
    return str(value)


def test_the_workflow_carries_the_plan_whole() -> None:
    assert Plan.model_validate_json(carried(rendered())) == PLAN


def test_what_looks_like_a_reference_in_a_plan_is_none_for_argo() -> None:
    """Braces in a text of the plan reach the step, and Argo sees nothing to replace."""
    odd = PLAN.model_copy(update={"title": "{{workflow.name}} and {{{{=x}}"})

    made_of_it: dict[str, Any] = dict(document(trial(odd, SETTINGS)))

    assert "{{" not in carried(made_of_it)
    assert Plan.model_validate_json(carried(made_of_it)) == odd
    for text in made_of_it["metadata"]["annotations"].values():
        assert "{{" not in text


def test_no_step_depends_on_an_output_of_another() -> None:
    """So that a room that was never written is missing, and no error of Argo's."""
    for each in rendered()["spec"]["templates"]:
        for call in each.get("dag", {}).get("tasks", []):
            assert "artifacts" not in call.get("arguments", {})
            for parameter in call.get("arguments", {}).get("parameters", []):
                assert "{{" not in parameter["value"]


def test_a_fault_gets_its_id_and_writes_the_room_of_that_name() -> None:
    found = tasks(rendered())["fault-2-partition-majority"]
    made_by = template(rendered(), "fault")

    assert found["arguments"]["parameters"] == [{"name": "fault", "value": "fault-2"}]
    room = [a for a in made_by["outputs"]["artifacts"] if a["name"] == "room"]
    assert room[0]["path"] == "/trial/steps/{{inputs.parameters.fault}}"
    assert room[0]["s3"]["key"].endswith("{{workflow.uid}}/steps/{{inputs.parameters.fault}}")


def test_everything_that_is_stored_lies_below_this_run_alone() -> None:
    keys = [
        artifact["s3"]["key"]
        for each in rendered()["spec"]["templates"]
        for way in ("inputs", "outputs")
        for artifact in each.get(way, {}).get("artifacts", [])
        if "s3" in artifact
    ]

    assert keys
    assert all(key.startswith("seatrial/{{workflow.name}}/{{workflow.uid}}/") for key in keys)


def test_the_longest_way_to_the_verdict_has_ten_pods_besides_the_load() -> None:
    """What a trial costs, as the page on workflows says it."""
    scene = read(rendered())
    longest: dict[str, int] = {}
    for call in sorted(scene.of("trial"), key=lambda call: len(call.before)):
        longest[call.name] = 1 + max((longest[name] for name in call.after), default=0)

    beside_the_load = 2  # steady-before and a fault
    assert longest["verdict"] - beside_the_load == 10
