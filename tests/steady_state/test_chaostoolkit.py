"""Chaos Toolkit's hypotheses: each provider and tolerance that has an equal, and those without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seatrial.cli.main import main
from seatrial.errors import BadData
from seatrial.steady.chaostoolkit import read_experiment
from seatrial.steady.files import parse
from seatrial.steady_state import (
    CommandProbe,
    HttpProbe,
    KubernetesProbe,
    PrometheusProbe,
    Tolerance,
)

HTTP = {"type": "http", "url": "http://localhost:8080/health", "timeout": 3}
PROCESS = {"type": "process", "path": "pg_isready", "arguments": "-h db"}
PROM = {
    "type": "python",
    "module": "chaosprometheus.probes",
    "func": "query",
    "arguments": {"query": "sum(up)"},
}
PODS = {
    "type": "python",
    "module": "chaosk8s.pod.probes",
    "func": "pods_in_phase",
    "arguments": {"label_selector": "app=db", "phase": "Running", "ns": "${ns}"},
}


def experiment(folder: Path, provider: Any, tolerance: Any) -> Path:
    path = folder / "experiment.json"
    probe = {"type": "probe", "name": "it", "provider": provider, "tolerance": tolerance}
    document = {
        "title": "t",
        "configuration": {"ns": "prod", "prometheus_base_url": "http://prom:9090"},
        "steady-state-hypothesis": {"title": "h", "probes": [probe]},
        "method": [],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


EQUALS: dict[str, tuple[Any, Any, type, dict[str, Any], Tolerance]] = {
    "http status": (HTTP, 200, HttpProbe, {"read": "status"}, Tolerance(min=200, max=200)),
    "http one of": (
        HTTP, [200, 201, 204], HttpProbe, {"read": "status"},
        Tolerance(matches="^(?:200|201|204)$"),
    ),
    "http body pattern": (
        HTTP, {"type": "regex", "target": "body", "pattern": "ok"}, HttpProbe, {"read": "body"},
        Tolerance(matches="ok"),
    ),
    "http body path": (
        HTTP, {"type": "jsonpath", "path": "$.state", "expect": "up"}, HttpProbe,
        {"read": "body", "path": "$.state", "take": "one"}, Tolerance(equals="up"),
    ),
    "http body count": (
        HTTP, {"type": "jsonpath", "path": "$.nodes[*]", "count": 3}, HttpProbe,
        {"read": "body", "take": "count"}, Tolerance(min=3, max=3),
    ),
    "process status": (
        PROCESS, 0, CommandProbe, {"read": "exit_status", "argv": ("pg_isready", "-h", "db")},
        Tolerance(min=0, max=0),
    ),
    "process output": (
        PROCESS, {"type": "regex", "target": "stdout", "pattern": "accepting"}, CommandProbe,
        {"read": "output"}, Tolerance(matches="accepting"),
    ),
    "prometheus range": (
        PROM, {"type": "range", "range": [3, 5]}, PrometheusProbe,
        {"query": "sum(up)", "url": "http://prom:9090", "mode": "instant"}, Tolerance(min=3, max=5),
    ),
    "pods in phase": (
        PODS, True, KubernetesProbe,
        {"namespace": "prod", "selector": "app=db", "phase": "Running"},
        Tolerance(min=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUALS)
def test_what_has_an_equal_becomes_it(tmp_path: Path, name: str) -> None:
    provider, tolerance, kind, fields, meant = EQUALS[name]

    (state,) = read_experiment(experiment(tmp_path, provider, tolerance)).states

    assert type(state.probe) is kind
    assert {field: getattr(state.probe, field) for field in fields} == fields
    assert (state.before, state.after, state.continuously) == (meant, meant, None)


@pytest.mark.parametrize(
    ("provider", "tolerance", "said"),
    [
        ({**PROM, "module": "my.probes"}, 1, "the Python probe my.probes.query has no equal"),
        (HTTP, {"type": "probe", "name": "x"}, "a tolerance of type 'probe' has no equal"),
        ({**HTTP, "url": "http://${host}"}, 200, r"\$\{host\} has no value"),
        (PODS, 3, "pods_in_phase answers true"),
    ],
)
def test_what_has_no_equal_is_named(
    tmp_path: Path, provider: Any, tolerance: Any, said: str
) -> None:
    found = read_experiment(experiment(tmp_path, provider, tolerance))

    assert found.states == ()
    with pytest.raises(AssertionError, match=said):
        assert not found.left_out, found.left_out[0]


def test_the_command_prints_yaml_that_is_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, HTTP, 200)

    status = main(["import", "chaostoolkit", str(path), "--strategy", "continuously"])

    (state,) = parse(capsys.readouterr().out, "printed").states
    assert status == 0
    assert state.continuously == Tolerance(min=200, max=200)
    assert state.before is None


def test_the_command_tells_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, {"type": "grpc"}, 200)

    assert main(["import", "chaostoolkit", str(path)]) == 65
    assert "not carried over: probe 'it': provider 'grpc'" in capsys.readouterr().err


def test_a_file_without_a_hypothesis_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}", encoding="utf-8")

    with pytest.raises(BadData, match="has no steady-state-hypothesis"):
        read_experiment(path)
