"""Dashboards and alerts ask for series that trials really cause, by labels that these have."""

from __future__ import annotations

import json
import re

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
