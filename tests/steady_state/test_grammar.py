"""The grammar of steady states: what can be said, what cannot, and that YAML says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from seatrial.cli.main import main
from seatrial.errors import BadData, UsageError
from seatrial.steady import files, shelf
from seatrial.steady_state import (
    CommandProbe,
    HttpProbe,
    KubernetesProbe,
    Learnt,
    OpsProbe,
    PrometheusProbe,
    SteadyState,
    Tolerance,
)

WHOLE = """
steady_states:
- name: p99 returns
  probe: {source: prometheus, query: 'p99', unit: s, mode: range, series: max}
  before: {max: 1}
  after_healing: {max_ratio: 2, in_s: 10, hold_s: 2}
  on_break: judge
  weight: 3
- name: no leak
  probe: {source: prometheus, query: rss}
  during: {max_slope: 1e6}
- name: like the last nights
  probe: {source: prometheus, query: qps}
  baseline: {trials: 10}
  after: {within_spreads: 3}
- name: healthy
  probe: {source: http, url: 'http://{node}:{port:client}/health', read: body, path: $.health}
  continuously: {equals: 'true'}
  on_break: abort
- name: pods
  probe: {source: kubernetes, namespace: db, selector: app=tikv, read: ready}
  in_fault: {min: 0.66}
- name: schema
  probe: {source: command, argv: [mysql, -e, SELECT 1], where: host}
  after: {matches: '^1$'}
  on_break: note
slo: {name: reads, objective: 0.999, spend: 0.05}
"""


def test_yaml_and_python_say_the_same() -> None:
    found = files.parse(WHOLE, "it")

    assert [type(state.probe) for state in found.states] == [
        PrometheusProbe,
        PrometheusProbe,
        PrometheusProbe,
        HttpProbe,
        KubernetesProbe,
        CommandProbe,
    ]
    assert found.slo is not None
    assert found.slo.budget_s == pytest.approx(2592)
    assert files.parse(files.to_yaml(found.states, found.slo), "again") == found


def probe(**changes: Any) -> PrometheusProbe:
    return PrometheusProbe(query="up", **changes)


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing asked": ({}, "has no tolerance: one of before, during"),
    "a ratio of the baseline itself": ({"before": Tolerance(max_ratio=2)}, "is the baseline"),
    "spreads of no learnt baseline": (
        {"after": Tolerance(within_spreads=2)},
        "needs a learnt `baseline`",
    ),
    "a slope of a moment": ({"continuously": Tolerance(max_slope=1)}, "a slope has none"),
    "an abort that looks at the end": (
        {"after": Tolerance(max=1), "on_break": "abort"},
        "it must be asked at every moment",
    ),
    "text of ops": (
        {"probe": OpsProbe(metric="throughput"), "after": Tolerance(matches="x")},
        "ops are numbers",
    ),
    "moments of recovery": (
        {"probe": OpsProbe(metric="recovery_s"), "continuously": Tolerance(max=1)},
        "recovery_s is one reading",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_makes_no_sense_is_said_before_anything_starts(name: str) -> None:
    fields, said = PROBLEMS[name]

    with pytest.raises(ValidationError, match=said):
        SteadyState(**{"name": "it", "probe": probe(), **fields})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Tolerance(), "needs at least one of"),
        (lambda: Tolerance(min=2, max=1), "nothing is allowed"),
        (lambda: Tolerance(matches="("), "is no pattern"),
        (lambda: Tolerance(max=1, matches="x"), "of text .* or of numbers"),
        (lambda: probe(url="localhost:9090"), "must begin with http"),
        (lambda: probe(interval_s=5, gap_s=6), "must be at least twice interval_s"),
        (lambda: HttpProbe(url="http://x", path="health"), "is no JSONPath"),
        (lambda: HttpProbe(url="http://x", path="$.a["), r"no JSONPath: .*\w"),
        (lambda: HttpProbe(url="http://x", take="count"), "needs a path"),
        (lambda: KubernetesProbe(read="condition"), "goes with read 'condition'"),
        (lambda: Learnt(trials=2, trials_min=3), "is above trials"),
    ],
)
def test_a_part_that_cannot_be_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "it is not YAML"),
        ("just text", "holds no list of steady states"),
        ("{states: []}", "unknown: 'states'"),
        ("- {name: a, probe: {source: grafana}}", r"it: \[0\].probe \('a'\): .*'grafana'"),
        (
            "- {name: a, probe: {source: prometheus, query: up}, befor: {max: 1}}",
            r"it: \[0\].befor \('a'\): Extra inputs",
        ),
        (
            "- &x {name: a, probe: {source: prometheus, query: up}, after: {max: 1}}\n- *x",
            "two steady states are called 'a'",
        ),
    ],
)
def test_a_file_that_is_wrong_says_where(text: str, said: str) -> None:
    with pytest.raises(BadData, match=said):
        files.parse(text, "it")


@pytest.mark.parametrize("name", shelf.TEMPLATES)
def test_each_template_renders_and_says_whose_its_queries_are(name: str) -> None:
    found = shelf.load(name)

    assert len(found.states) >= 5
    assert all(state.why for state in found.states)
    assert all(isinstance(state.probe, PrometheusProbe) for state in found.states)
    assert shelf.values_of(name)


def test_a_template_takes_its_values_and_no_others() -> None:
    (first, *_) = shelf.load("mariadb-galera", {"nodes": "5"}).states
    assert first.before == Tolerance(min=5, max=5)

    with pytest.raises(UsageError, match=r"has no value 'node'\n\nhint: known: .*nodes"):
        shelf.load("mariadb-galera", {"node": "5"})


def test_a_plan_takes_steady_states_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "- {name: throughput returns, probe: {source: ops, metric: throughput}, after: {min: 7}}\n"
        "- {name: mine, probe: {source: prometheus, query: up}, after: {min: 1}}\n",
        encoding="utf-8",
    )
    words = ["plan", "etcd-register", "--seed", "1", "--steady", str(file)]
    server = ["--prometheus", "http://127.0.0.1:9"]

    assert main([*words, *server]) == 0

    text = capsys.readouterr().out
    assert "throughput returns: throughput; after min 7" in " ".join(text.split())
    assert "mine: up; after min 1" in text
    assert f"--steady {file} --prometheus http://127.0.0.1:9" in text
