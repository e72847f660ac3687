"""Chaos Toolkit's steady-state hypotheses in seatrial's grammar.

The format: https://chaostoolkit.org/reference/api/experiment/ (steady state hypothesis, tolerance,
providers). A probe of the toolkit is asked before and after the method; with the strategies
`during` and `continuously` meanwhile too. What has no equal here is named, never left out in
silence.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import yaml
from pydantic import ValidationError

from seatrial.errors import BadData, NoInput
from seatrial.probe import CommandProbe, HttpProbe, KubernetesProbe, PrometheusProbe, SampledProbe
from seatrial.steady_state import SteadyState, Tolerance

#: What a strategy of `chaos run --hypothesis-strategy` asks, in `when`s of a steady state.
STRATEGIES: Final[Mapping[str, tuple[str, ...]]] = {
    "default": ("before", "after"),
    "before-method-only": ("before",),
    "after-method-only": ("after",),
    "during-method-only": ("continuously",),
    "continuously": ("continuously", "after"),
}
#: Modules whose probes have an equal.
PROMETHEUS: Final = ("chaosprometheus.probes",)
KUBERNETES: Final = ("chaosk8s.pod.probes", "chaosk8s.probes")


class NoEqual(Exception):
    """A probe or tolerance that has no equal in this grammar."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The steady states, and what could not be carried over, in sentences."""

    states: tuple[SteadyState, ...]
    left_out: tuple[str, ...]


def read_experiment(path: Path, strategy: str = "default") -> Imported:
    """The hypothesis of an experiment file, JSON or YAML; raises `NoInput` or `BadData`."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except OSError as error:
        raise NoInput(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is neither JSON nor YAML: {error}") from error
    if not isinstance(document, dict):
        raise BadData(f"{path} is no experiment: a map is meant")
    hypothesis = document.get("steady-state-hypothesis")
    if not isinstance(hypothesis, dict) or not isinstance(hypothesis.get("probes"), list):
        raise BadData(
            f"{path} has no steady-state-hypothesis with probes\n\n"
            "hint: the file of an experiment, as `chaos run` takes it"
        )
    values = _configuration(document.get("configuration") or {})
    states: list[SteadyState] = []
    left_out: list[str] = []
    for number, probe in enumerate(hypothesis["probes"]):
        name = str(probe.get("name") or f"probe {number + 1}") if isinstance(probe, dict) else "?"
        try:
            states.append(_state(name, _filled(probe, values), strategy, values))
        except (NoEqual, ValidationError, KeyError, TypeError, ValueError) as error:
            told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            left_out.append(f"probe {name!r}: {told.removeprefix('Value error, ')}")
    return Imported(tuple(states), tuple(left_out))


def _configuration(given: Mapping[str, Any]) -> dict[str, str]:
    """The values of `${…}`: literal, or of the environment."""
    out = {}
    for name, value in given.items():
        if isinstance(value, dict) and value.get("type") == "env":
            found = os.environ.get(str(value.get("key")), value.get("default"))
            if found is not None:
                out[name] = str(found)
        elif not isinstance(value, (dict, list)):
            out[name] = str(value)
    return out


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """The value with each `${name}` replaced; a name without a value raises `NoEqual`."""
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise NoEqual(f"${{{match[1]}}} has no value (configuration, or the environment)")
        return values[match[1]]

    return re.sub(r"\$\{(\w+)\}", fill, value)


def _state(
    name: str, probe: Mapping[str, Any], strategy: str, values: Mapping[str, str]
) -> SteadyState:
    if "tolerance" not in probe:
        raise NoEqual("it has no tolerance")
    asked, tolerance = _probe(probe["provider"], probe["tolerance"], values)
    fields: dict[str, Any] = {when: tolerance for when in STRATEGIES[strategy]}
    return SteadyState(name=name, probe=asked, why="from a Chaos Toolkit experiment", **fields)


# ── probes ───────────────────────────────────────────────────────────────────────────────────


def _probe(
    provider: Mapping[str, Any], tolerance: Any, values: Mapping[str, str]
) -> tuple[SampledProbe, Tolerance]:
    kind = provider.get("type")
    timeout = provider.get("timeout")
    common: dict[str, Any] = {"reduce": "last"}
    if isinstance(timeout, (int, float)):
        common["timeout_s"] = float(timeout)
    if kind == "http":
        return _http(provider, tolerance, common)
    if kind == "process":
        return _process(provider, tolerance, common)
    if kind == "python":
        return _python(provider, tolerance, common, values)
    raise NoEqual(f"provider {kind!r} has no equal")


def _http(
    provider: Mapping[str, Any], tolerance: Any, common: dict[str, Any]
) -> tuple[SampledProbe, Tolerance]:
    """Without a target a tolerance is of the status where it is a number, else of the body."""
    target = tolerance.get("target") if isinstance(tolerance, dict) else None
    of_body = target == "body" or (
        isinstance(tolerance, dict)
        and target is None
        and tolerance.get("type") in ("regex", "jsonpath")
    )
    path, take, meant = _tolerance(tolerance)
    arguments = provider.get("arguments") or {}
    url, method = str(provider["url"]), str(provider.get("method", "GET")).upper()
    if method == "GET" and isinstance(arguments, dict) and arguments:
        url = f"{url}?{urlencode(arguments)}"
        arguments = {}
    probe = HttpProbe(
        url=url,
        method=method,  # type: ignore[arg-type]
        headers={str(k): str(v) for k, v in (provider.get("headers") or {}).items()},
        body=arguments
        if isinstance(arguments, str)
        else json.dumps(arguments)
        if arguments
        else "",
        read="body" if of_body else "status",
        path=path,
        take=take,
        **common,
    )
    return probe, meant


def _process(
    provider: Mapping[str, Any], tolerance: Any, common: dict[str, Any]
) -> tuple[SampledProbe, Tolerance]:
    """A plain number is the exit status; `target: stdout` or a pattern reads what is printed."""
    arguments = provider.get("arguments") or []
    if isinstance(arguments, str):
        words = shlex.split(arguments)
    elif isinstance(arguments, dict):
        words = [str(word) for pair in arguments.items() for word in pair if word not in (None, "")]
    else:
        words = [str(word) for word in arguments]
    path, take, meant = _tolerance(tolerance)
    target = tolerance.get("target") if isinstance(tolerance, dict) else None
    plain = isinstance(tolerance, (int, list)) and not isinstance(tolerance, bool)
    if target == "stderr":
        raise NoEqual("what a process prints on stderr is not read")
    status = plain or target == "status"
    probe = CommandProbe(
        argv=(str(provider["path"]), *words),
        read="exit_status" if status else "output",
        where="host",
        path=path,
        take=take,
        **common,
    )
    return probe, meant


def _python(
    provider: Mapping[str, Any],
    tolerance: Any,
    common: dict[str, Any],
    values: Mapping[str, str],
) -> tuple[SampledProbe, Tolerance]:
    module, function = str(provider.get("module")), str(provider.get("func"))
    arguments = provider.get("arguments") or {}
    if module in PROMETHEUS and function in ("query", "query_interval"):
        url = values.get("prometheus_base_url", "")
        mode = "instant" if function == "query" else "range"
        meant = _tolerance(tolerance, inner=True)[2]
        query = str(arguments["query"])
        return PrometheusProbe(query=query, mode=mode, url=url, **common), meant  # type: ignore[arg-type]
    if module in KUBERNETES:
        return _kubernetes(function, arguments, tolerance, common)
    raise NoEqual(f"the Python probe {module}.{function} has no equal")


def _kubernetes(
    function: str, arguments: Mapping[str, Any], tolerance: Any, common: dict[str, Any]
) -> tuple[SampledProbe, Tolerance]:
    where: dict[str, Any] = {
        "namespace": str(arguments.get("ns", "default")),
        "selector": str(arguments.get("label_selector") or ""),
        **common,
    }
    if function == "count_pods":
        return KubernetesProbe(read="pods", **where), _tolerance(tolerance)[2]
    if tolerance is not True:
        raise NoEqual(f"{function} answers true; tolerance {tolerance!r} has no equal")
    if function in ("pods_in_phase", "pods_not_in_phase"):
        phase = str(arguments.get("phase", "Running"))
        meant = Tolerance(min=1) if function == "pods_in_phase" else Tolerance(max=0)
        return KubernetesProbe(read="phase", phase=phase, **where), meant
    if function == "pods_in_conditions":
        kinds = [c.get("type") for c in arguments.get("conditions") or []]
        if len(kinds) != 1:
            raise NoEqual("pods_in_conditions with several conditions: one probe each")
        probe = KubernetesProbe(read="condition", condition=str(kinds[0]), **where)
        return probe, Tolerance(min=1)
    if function in ("all_microservices_healthy", "microservice_available_and_healthy"):
        return KubernetesProbe(read="ready", **where), Tolerance(min=1)
    raise NoEqual(f"the Kubernetes probe {function} has no equal")


# ── tolerances ───────────────────────────────────────────────────────────────────────────────


def _tolerance(given: Any, *, inner: bool = False) -> tuple[str, Any, Tolerance]:
    """The path, what is taken of it, and the tolerance.

    `inner`: of a Prometheus document, whose one value is read anyway (a path to it is dropped).
    """
    if isinstance(given, (bool, str)):
        return "", "one", Tolerance(equals=given)
    if isinstance(given, (int, float)):
        return "", "one", Tolerance(min=float(given), max=float(given))
    if isinstance(given, list):
        return "", "one", _of_list(given)
    if not isinstance(given, dict):
        raise NoEqual(f"tolerance {given!r} has no equal")
    kind = given.get("type")
    if kind == "range":
        low, high = given["range"]
        return "", "one", Tolerance(min=float(low), max=float(high))
    if kind == "regex":
        return "", "one", Tolerance(matches=str(given["pattern"]))
    if kind == "jsonpath":
        return _of_path(given, inner=inner)
    raise NoEqual(f"a tolerance of type {kind!r} has no equal")


def _of_list(given: list[Any]) -> Tolerance:
    """Two numbers are a range; more, or texts, are one of them."""
    if len(given) == 2 and all(isinstance(item, (int, float)) for item in given):
        return Tolerance(min=float(min(given)), max=float(max(given)))
    words = "|".join(
        re.escape(f"{item:g}" if isinstance(item, float) else str(item)) for item in given
    )
    return Tolerance(matches=f"^(?:{words})$")


def _of_path(given: Mapping[str, Any], *, inner: bool) -> tuple[str, Any, Tolerance]:
    path, expected = str(given["path"]), given.get("expect")
    if inner and expected is None:
        raise NoEqual("a JSONPath into Prometheus' answer: its value is read without one")
    if expected is None:
        count = given.get("count")
        meant = Tolerance(min=1) if count is None else Tolerance(min=count, max=count)
        return path, "count", meant
    wanted = expected if isinstance(expected, list) else [expected]
    if len(wanted) == 1:
        return "" if inner else path, "one", _tolerance(wanted[0])[2]
    return "" if inner else path, "one", _of_list([str(item) for item in wanted])
