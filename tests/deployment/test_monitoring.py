"""Dashboards and alerts ask for series that trials really cause, by labels that these have."""

from __future__ import annotations

import json
import re
from typing import Any

from seatrial.workflows.deployment import monitoring
from seatrial.workflows.settings import Settings
from tests.workflows.sample import made

#: What Prometheus derives from a histogram.
DERIVED = re.compile(r"_(bucket|count|sum)$")
SERIES = re.compile(r"argo_workflows_\w+")


def texts() -> list[str]:
    return [json.dumps(monitoring.dashboard()), json.dumps(monitoring.rules(Settings()))]


def declared() -> dict[str, set[str]]:
    """Names of the metrics in rendered workflows, with their labels."""
    spec = made("any-trial")["spec"]
    found = [*spec.get("metrics", {}).get("prometheus", [])]
    for template in spec["templates"]:
        found += template.get("metrics", {}).get("prometheus", [])
    labels: dict[str, set[str]] = {}
    for metric in found:
        labels.setdefault(metric["name"], set()).update(one["key"] for one in metric["labels"])
    return labels


def test_workflows_declare_exactly_the_series_that_dashboards_are_made_for() -> None:
    assert {monitoring.PREFIX + name for name in declared()} == set(monitoring.emitted())


def test_every_series_that_is_asked_for_is_emitted() -> None:
    kinds = monitoring.emitted()
    for text in texts():
        asked = set(SERIES.findall(text))
        assert asked
        for name in asked:
            plain = DERIVED.sub("", name)
            assert name in kinds or kinds[plain] == "histogram"


def test_every_emitted_series_is_on_the_dashboard() -> None:
    asked = {DERIVED.sub("", name) for name in SERIES.findall(texts()[0])}

    assert asked == set(monitoring.emitted())


def test_labels_that_are_summed_by_exist() -> None:
    given = {"le"} | {label for labels in declared().values() for label in labels}
    for text in texts():
        for labels in re.findall(r"by \(([^)]*)\)", text):
            assert {label.strip() for label in labels.split(",")} <= given


def test_panels_do_not_lie_on_each_other() -> None:
    panels = monitoring.dashboard()["panels"]
    assert isinstance(panels, list)
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels}  # type: ignore[index, call-overload]

    assert len(places) == len(panels) == 5


def counters(template: str) -> dict[tuple[str, str], tuple[str, str]]:
    """(name, labels) of a template's counters → their value and when they are emitted."""
    (found,) = [one for one in made("any-trial")["spec"]["templates"] if one["name"] == template]
    metrics = found.get("metrics", {}).get("prometheus", [])
    return {
        (one["name"], json.dumps(one["labels"])): (one["counter"]["value"], one.get("when", ""))
        for one in metrics
        if "counter" in one
    }


def test_every_counter_is_there_with_nothing_before_anything_is_counted() -> None:
    """A series that begins with its first trial has had no increase in it."""
    zeros = counters("preflight")

    assert {*zeros} == {*counters("workload"), *counters("verdict")}
    assert {*zeros.values()} == {("0", "")}, "whatever becomes of the step"
    assert len(zeros) == 4


def test_an_alert_can_fire_by_what_one_night_a_day_counts() -> None:
    """A case that runs once a day is never unknown more than twice within one."""
    (group,) = rules()
    by_name = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    found = re.search(r"\[(\d+)d\]\)\) > (\d+)", by_name["SeatrialProvesNothing"])

    assert found is not None
    days, more_than = map(int, found.groups())
    assert days > more_than


def rules() -> list[dict[str, Any]]:
    spec: Any = monitoring.rules(Settings())["spec"]
    return list(spec["groups"])
