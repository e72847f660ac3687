"""Making a plan: a case, what the command line says, and a seed. Touches nothing."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial import faults as fault_shelf
from seatrial import targets, workloads
from seatrial.case import Case, Keep
from seatrial.checkers import CHECKERS
from seatrial.engine.argo import orderly
from seatrial.errors import UsageError
from seatrial.fault import CLUSTER, PlannedFault
from seatrial.faults.together import clash
from seatrial.plan import Plan, PlannedPhases, PlannedTarget, PlannedWorkload
from seatrial.runner.fault_options import with_fault_options
from seatrial.runner.limits import (
    check_safety,
    fit_victims,
    planned_ramps,
    planned_safety,
    possible,
    victims_max,
)
from seatrial.runner.load import last_reads
from seatrial.runner.quorum import analyse, blast
from seatrial.runner.scheduling import Stretch, expand
from seatrial.runner.suited import check_place, check_target
from seatrial.runner.target_options import laid_over, running, runs_already
from seatrial.schedule import FaultChoice, Schedule, leaves
from seatrial.steady import shelf
from seatrial.steady_state import PrometheusProbe, SteadyState
from seatrial.target import Placed, Target
from seatrial.verdict import Json

ENGINES = ("lab", "simulated", "argo")
TIME_LIMIT_S = (2.0, 7 * 24 * 3600.0)
CONCURRENCY = (1, 1000)
QUIESCE_TIMEOUT_S = 60.0
FINAL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line may change of a case; None leaves it as the case says.

    `rate` of 0 means flat out. `faults` are names of kinds, empty for none. `fault_options` are
    texts `KIND.NAME=VALUE`, `target_options` `NAME=VALUE`. `endpoints`, `selector` and
    `target_namespace` say where a cluster runs that is there already.
    """

    target: str | None = None
    engine: str = "lab"
    faults: tuple[str, ...] | None = None
    time_limit_s: float | None = None
    concurrency: int | None = None
    rate: float | None = None
    nodes: int | None = None
    binary: str | None = None
    isolation: str = "namespace"
    prometheus: str | None = None
    steady: tuple[str, ...] = ()
    fault_options: tuple[str, ...] = ()
    target_options: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    selector: str | None = None
    target_namespace: str | None = None
    keep_target: Keep | None = None


def make_plan(case: Case, seed: int, overrides: Overrides) -> Plan:
    """The plan of one trial: the same arguments, the same bytes.

    Raises `UsageError` for all that cannot be, before anything starts.
    """
    case = _override(case, overrides)
    names, settings = _cluster(case, overrides)
    target = targets.make(case.target, settings)
    if not runs_already(settings):
        _check_cluster(case, target)
    case = fit_victims(case, names, target, narrow=overrides.nodes is not None)
    check_safety(case, names)
    phases = _phases(case.time_limit_s, case.schedule.root is not None)
    planned = _faults(case, phases, names, seed, _where(overrides))
    check_target(planned, target, names)
    check_place(planned, target, names, overrides.engine)
    workload = workloads.make(case.workload, case.settings)
    quorum = analyse(planned, names)
    checkers = _checkers(case, workload.checkers())
    final = last_reads(workload, checkers, seed, case.concurrency, len(names)) is not None
    return Plan(
        case=case.name,
        title=case.title,
        intent=case.intent,
        engine=overrides.engine,
        isolation="none" if _is_elsewhere(settings, overrides) else overrides.isolation,
        seed=seed,
        target=PlannedTarget(name=case.target, nodes=names, settings=settings),
        workload=PlannedWorkload(
            name=workload.name,
            settings=dict(workload.settings),
            fs=workload.fs,
            concurrency=case.concurrency,
            rate=case.rate,
            op_timeout_s=case.op_timeout_s,
            final_reads=final,
        ),
        phases=phases,
        faults=planned,
        quorum=quorum,
        blast=blast(quorum, names),
        ramps=planned_ramps(case),
        safety=planned_safety(case, names),
        steady_states=_placed(case.steady_states, overrides.prometheus),
        not_asked=_not_asked(case, overrides),
        prometheus=_server(case.steady_states, overrides.prometheus),
        slo=case.slo,
        checkers=checkers,
        limits=case.limits,
        keep_target=overrides.keep_target or case.keep_target,
        repeat=repeat_command(case.name, seed, overrides),
    )


def repeat_command(case: str, seed: int, overrides: Overrides) -> str:
    """The command line that repeats the trial."""
    words = ["seatrial", "run", case, "--seed", str(seed)]
    if overrides.target is not None:
        words += ["--target", overrides.target]
    if overrides.engine != "lab":
        words += ["--engine", overrides.engine]
    if overrides.faults is not None:
        words += ["--faults", ",".join(overrides.faults) or "none"]
    if overrides.time_limit_s is not None:
        words += ["--time-limit", f"{overrides.time_limit_s:g}s"]
    if overrides.concurrency is not None:
        words += ["--concurrency", str(overrides.concurrency)]
    if overrides.rate is not None:
        words += ["--rate", f"{overrides.rate:g}"]
    if overrides.nodes is not None:
        words += ["--nodes", str(overrides.nodes)]
    if overrides.binary is not None:
        words += ["--etcd", overrides.binary]
    if overrides.isolation != "namespace":
        words += ["--isolation", overrides.isolation]
    for text in overrides.fault_options:
        words += ["--fault-option", text]
    if overrides.keep_target is not None:
        words += ["--keep-target", overrides.keep_target]
    for text in overrides.target_options:
        words += ["--target-option", text]
    if overrides.endpoints:
        words += ["--endpoints", ",".join(overrides.endpoints)]
    if overrides.selector is not None:
        words += ["--selector", overrides.selector]
    if overrides.target_namespace is not None:
        words += ["--target-namespace", overrides.target_namespace]
    for name in overrides.steady:
        words += ["--steady", name]
    if overrides.prometheus is not None:
        words += ["--prometheus", overrides.prometheus]
    return shlex.join(words)


def _server(states: Sequence[SteadyState], chosen: str | None) -> str:
    """`auto` where a probe needs the trial's own server, or one is asked for."""
    if chosen is not None and chosen != "auto":
        if not chosen.startswith(("http://", "https://")):
            raise UsageError(
                f"--prometheus {chosen!r} is no URL\n\nhint: --prometheus auto, or "
                "--prometheus http://host:9090"
            )
        return ""
    own = any(isinstance(s.probe, PrometheusProbe) and not s.probe.url for s in states)
    return "auto" if own or chosen == "auto" else ""


def _placed(states: Sequence[SteadyState], chosen: str | None) -> tuple[SteadyState, ...]:
    """The steady states, those without a server of their own with the chosen one."""
    if chosen is None or chosen == "auto":
        return tuple(states)
    return tuple(
        state.model_copy(update={"probe": state.probe.model_copy(update={"url": chosen})})
        if isinstance(state.probe, PrometheusProbe) and not state.probe.url
        else state
        for state in states
    )


def _is_elsewhere(settings: Mapping[str, Json], overrides: Overrides) -> bool:
    """Whether the load goes from this machine to a cluster that runs already."""
    return overrides.engine == "lab" and bool(runs_already(settings))


def _is_server(chosen: str | None) -> bool:
    """Whether somebody is named who may know the target's metrics."""
    return chosen is not None and chosen != "auto"


def _not_asked(case: Case, overrides: Overrides) -> tuple[str, ...]:
    """What the case's templates would ask, where nobody is named who could answer."""
    if _is_server(overrides.prometheus):
        return ()
    left = [name for name in case.monitored if name not in overrides.steady]
    return tuple(
        f"the steady states of template {name!r} are not asked: give --prometheus URL of a server "
        f"that scrapes {case.target}"
        for name in left
    )


def _where(overrides: Overrides) -> str:
    """What faults are told about the place they act in."""
    return CLUSTER if overrides.engine == "argo" else overrides.isolation


def _override(case: Case, overrides: Overrides) -> Case:
    if overrides.engine not in ENGINES:
        raise UsageError(f"engine {overrides.engine!r}\n\nhint: one of {', '.join(ENGINES)}")
    changes: dict[str, object] = {}
    if overrides.time_limit_s is not None:
        changes["time_limit_s"] = overrides.time_limit_s
    if overrides.concurrency is not None:
        changes["concurrency"] = overrides.concurrency
    if overrides.rate is not None:
        changes["rate"] = overrides.rate or None
    if overrides.nodes is not None:
        changes["nodes"] = overrides.nodes
    elif overrides.endpoints and overrides.selector is None:
        changes["nodes"] = len(overrides.endpoints)
    if overrides.target is not None:
        changes["target"] = overrides.target
        if overrides.target != case.target:
            changes["target_settings"] = {}  # those of another target mean nothing to it
    if overrides.faults is not None:
        known = {choice.kind: choice for choice in leaves(case.schedule.root)}
        choices = tuple(known.get(name) or _default_choice(name) for name in overrides.faults)
        changes["schedule"] = case.schedule.model_copy(update={"choices": choices, "pattern": None})
    elif _where(overrides) == CLUSTER:
        # A case is written for both engines; what was not asked for by name is left out.
        choices = tuple(
            c for c in case.schedule.choices if fault_shelf.FAULTS[c.kind].only != "lab"
        )
        changes["schedule"] = case.schedule.model_copy(update={"choices": choices})
    templates = case.monitored if _is_server(overrides.prometheus) else ()
    changes |= _steady(case, (*templates, *overrides.steady))
    case = case.model_copy(update=changes)
    if overrides.fault_options:
        schedule = with_fault_options(case.schedule, overrides.fault_options)
        case = case.model_copy(update={"schedule": schedule})
    if overrides.faults is None and _where(overrides) == CLUSTER:
        case = case.model_copy(update={"schedule": _on_cluster(case, overrides)})
    _check_numbers(case)
    return case


def _on_cluster(case: Case, overrides: Overrides) -> Schedule:
    """A case is written for both engines: what was not asked for by name is left out where it
    cannot be done."""
    names, settings = _cluster(case, overrides)
    target = targets.make(case.target, settings)

    def can(choice: FaultChoice) -> bool:
        kind = fault_shelf.kind(choice.kind)
        if all(kind.unavailable(CLUSTER, names, options) for options in choice.options):
            return False
        return not isinstance(target, Placed) or not orderly.lacking(
            choice.kind, target, target.place(names, "run", "namespace")
        )

    return case.schedule.model_copy(update={"choices": tuple(filter(can, case.schedule.choices))})


def _steady(case: Case, names: Sequence[str]) -> dict[str, object]:
    """The case's steady states with those of files and templates: of one name, the last counts."""
    states = {state.name: state for state in case.steady_states}
    slo = case.slo
    for name in names:
        found = shelf.load(name)
        states |= {state.name: state for state in found.states}
        slo = found.slo or slo
    return {"steady_states": tuple(states.values()), "slo": slo} if names else {}


def _default_choice(name: str) -> FaultChoice:
    fault_shelf.kind(name)
    return FaultChoice(kind=name)


def _check_numbers(case: Case) -> None:
    low, high = TIME_LIMIT_S
    if not low <= case.time_limit_s <= high:
        raise UsageError(
            f"time limit of {case.time_limit_s:g} s: it must be from {low:g} s to {high:g} s\n\n"
            "hint: --time-limit 60s"
        )
    if not CONCURRENCY[0] <= case.concurrency <= CONCURRENCY[1]:
        raise UsageError(
            f"concurrency {case.concurrency}: it must be between {CONCURRENCY[0]} and "
            f"{CONCURRENCY[1]}\n\nhint: --concurrency 10"
        )
    if case.rate is not None and not 0 <= case.rate < math.inf:
        raise UsageError(f"rate {case.rate:g}: it must be positive, or 0 for flat out")


def _cluster(case: Case, overrides: Overrides) -> tuple[tuple[str, ...], Mapping[str, Json]]:
    names = tuple(f"n{i + 1}" for i in range(max(case.nodes, 0)))
    settings = laid_over(case.target_settings, overrides.target_options)
    if overrides.binary is not None:
        settings["binary"] = overrides.binary
    return names, running(
        settings, overrides.endpoints, overrides.selector, overrides.target_namespace
    )


def _check_cluster(case: Case, target: Target) -> None:
    known = targets.workloads_of(target.name)
    if known is not None and case.workload not in known:
        raise UsageError(
            f"{target.name} has no client for the workload {case.workload!r}, only for "
            f"{', '.join(known)}\n\nhint: another case (seatrial list cases)"
        )
    if case.nodes not in target.node_counts:
        counts = ", ".join(map(str, target.node_counts))
        raise UsageError(
            f"{case.nodes} nodes: {target.name} can be made of {counts}\n\n"
            f"hint: --nodes {min(target.node_counts, key=lambda n: abs(n - case.nodes - 0.1))}"
        )


def _phases(time_limit_s: float, faults: bool) -> PlannedPhases:
    before = min(max(0.15 * time_limit_s, 1.0), 15.0)
    after = min(max(0.2 * time_limit_s, 1.0), 20.0)
    if not faults:
        before, after = min(before, time_limit_s / 4), min(after, time_limit_s / 4)
    return PlannedPhases(
        before_s=round(before, 3),
        faults_s=round(max(time_limit_s - before - after, 0.0), 3),
        after_s=round(after, 3),
        quiesce_timeout_s=QUIESCE_TIMEOUT_S,
        final_timeout_s=FINAL_TIMEOUT_S,
    )


def _faults(
    case: Case,
    phases: PlannedPhases,
    names: Sequence[str],
    seed: int,
    isolation: str,
) -> tuple[PlannedFault, ...]:
    schedule = possible(case.schedule, names, isolation)
    touches = {
        choice.kind: fault_shelf.kind(choice.kind).touches for choice in leaves(schedule.root)
    }
    stretch = Stretch(phases.before_s, round(phases.before_s + phases.faults_s, 3))
    most = victims_max(case, names)
    return expand(schedule, stretch, names, seed, touches, most, clash(isolation))


def _checkers(
    case: Case, own: Mapping[str, Mapping[str, Json]]
) -> Mapping[str, Mapping[str, Json]]:
    out: dict[str, Mapping[str, Json]] = {name: dict(options) for name, options in own.items()}
    for name, options in case.checkers.items():
        out[name] = {**out.get(name, {}), **options}
    out["stats"] = {**out.get("stats", {})}
    for name in out:
        _ = CHECKERS[name]
    return out
