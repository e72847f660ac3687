"""Random plans in the lab, one after another: no leak, no hang, no crash, and nothing unexplained.

    python -m tests.campaigns.random_plans [--plans 200] [--first-seed 1] [--store DIR]
                                           [--json FILE]

Each seed draws a workload, a size of the cluster, a pattern of faults and their kinds, and runs
the trial (5 s of faults) in a process of its own under a bound of time. What is looked at after
each: the exit status, the verdict with its cause, the leak audit, and what is left on the host
(processes, mounts, interfaces, scratch). Prints a line a trial and a summary; exit status 0 if
nothing was left, hung or crashed, and nothing is `invalid`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seatrial import cases, faults
from seatrial.case import Case, Limits
from seatrial.errors import SeatrialError, UsageError
from seatrial.fault import SIZES
from seatrial.plan import Plan
from seatrial.runner import audit, display, outside
from seatrial.runner.planner import Overrides, make_plan
from seatrial.safety import Break, Safety
from seatrial.schedule import (
    FaultChoice,
    Flapping,
    Mix,
    Once,
    Overlap,
    Pattern,
    Periodic,
    Ramp,
    Schedule,
    Swizzle,
)
from seatrial.schedule import (
    Sequence as InTurn,
)
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance
from seatrial.trial import TrialFolder
from seatrial.verdict import Json

#: A trial of 9 s that takes longer than this hangs.
TRIAL_TIMEOUT_S = 240.0
#: A seed draws another plan when one cannot be, so many times.
DRAWS_MAX = 200
TIME_LIMIT_S = 7.7
BASES = ("etcd-register", "etcd-append", "etcd-set", "etcd-replicas")
#: For each kind of the catalogue the options to draw from; a kind not named has none.
OPTIONS: Mapping[str, tuple[Mapping[str, Json], ...]] = {
    "partition": tuple(
        {"shape": shape}
        for shape in ("isolate", "halves", "majorities-ring", "bridge", "one-way-in", "one-way-out")
    ),
    "delay": ({"latency_ms": 50}, {"latency_ms": 200, "jitter_ms": 20, "direction": "from"}),
    "loss": ({"percent": 20}, {"percent": 60, "direction": "to"}),
    "duplicate": ({"percent": 30},),
    "corrupt": ({"percent": 10},),
    "reorder": ({"percent": 25, "latency_ms": 20},),
    "rate": ({"bits_per_s": 2_000_000},),
    "bandwidth": ({"bits_per_s": 2_000_000, "limit_bytes": 30_000, "buffer_bytes": 10_000},),
}
VICTIMS = (*SIZES, "leader", "follower")


def possible_kinds() -> tuple[str, ...]:
    """Kinds of the catalogue that the lab can do on three nodes with the options above."""
    nodes = ("n1", "n2", "n3")
    return tuple(
        name
        for name, entry in faults.FAULTS.items()
        if entry.only != "cluster"
        and not all(
            faults.kind(name).unavailable("namespace", nodes, options)
            for options in OPTIONS.get(name, ({},))
        )
    )


def random_case(rng: random.Random, kinds: Sequence[str]) -> Case:
    """A case of a random pattern over a catalogued one."""
    base = cases.case(rng.choice(BASES))
    steady = (
        SteadyState(
            name="availability",
            probe=OpsProbe(metric="unavailable_s"),
            during=Tolerance(max=2.5),
            on_break="note",
        ),
    )
    return base.model_copy(
        update={
            "schedule": Schedule(pattern=random_pattern(rng, kinds), share=_share(rng)),
            "steady_states": steady,
            "limits": Limits(min_ok=1, min_ok_in_fault=0, min_attempts_in_fault=1),
            "safety": Safety(aborts=(Break(steady_state="availability"),) * (rng.random() < 0.2)),
            "nodes": rng.choice((3, 3, 3, 5)),
            "rate": 200.0,
            "concurrency": 10,
            "time_limit_s": TIME_LIMIT_S,
        }
    )


def random_pattern(rng: random.Random, kinds: Sequence[str]) -> Pattern:
    """Any pattern of the grammar; its parts last so long that some of it fits into 5 s."""

    def choice() -> FaultChoice:
        kind = rng.choice(kinds)
        victims = tuple(rng.sample(VICTIMS, rng.randint(1, 3)))
        duration_s = (rng.uniform(0.3, 1.0), rng.uniform(1.0, 3.0))
        return FaultChoice(
            kind=kind, victims=victims, options=OPTIONS.get(kind, ({},)), duration_s=duration_s
        )

    def kind_and_options() -> tuple[str, Mapping[str, Json]]:
        kind = rng.choice(kinds)
        return kind, rng.choice(OPTIONS.get(kind, ({},)))

    def mix() -> Pattern:
        choices = tuple(choice() for _ in range(rng.randint(1, 4)))
        return Mix(choices=choices, gap_s=(0.1, 1), overlap=rng.random(), max_alive=3)

    def periodic() -> Pattern:
        return Periodic(fault=choice(), period_s=3.1)

    def swizzle() -> Pattern:
        kind, options = kind_and_options()
        size = rng.choice(("minority", "majority", "all"))
        return Swizzle(kind=kind, options=options, nodes=size, step_s=(0.05, 0.3), hold_s=(0.3, 1))

    def flapping() -> Pattern:
        kind, options = kind_and_options()
        whom = rng.choice(VICTIMS)
        on_s, off_s = (0.2, 1.0), (0.2, 0.6)
        return Flapping(kind=kind, options=options, victims=whom, on_s=on_s, off_s=off_s)

    def ramp() -> Pattern:
        until = (Break(steady_state="availability", window_s=0.5),)
        return Ramp(
            kind=rng.choice(("kill", "pause")),
            victims=rng.choice(VICTIMS),
            option="per_minute",
            levels=(30, 60, 90),
            hold_s=1.4,
            rest_s=0.1,
            each_s=0.5,
            until=until,
        )

    def in_turn() -> Pattern:
        return InTurn(parts=(Once(fault=choice()), mix()), gap_s=(0.1, 0.3))

    def overlap() -> Pattern:
        return Overlap(parts=(mix(), periodic(), flapping())[: rng.randint(2, 3)], lag_s=(0, 0.5))

    makers: tuple[Callable[[], Pattern], ...] = (
        mix, mix, periodic, swizzle, flapping, ramp, in_turn, overlap,
    )  # fmt: skip
    return rng.choice(makers)()


def _share(rng: random.Random) -> tuple[str, ...]:
    return ("network",) if rng.random() < 0.2 else ()


def random_plan(seed: int) -> Plan:
    """The plan of a seed: the first one drawn that can be."""
    rng, kinds = random.Random(f"seatrial campaign {seed}"), possible_kinds()
    for _ in range(DRAWS_MAX):
        try:
            return make_plan(random_case(rng, kinds), seed, Overrides())
        except UsageError:  # a swizzle that does not fit, victims that are taken
            continue
    raise SystemExit(f"seed {seed}: no plan of {DRAWS_MAX} drawn can be")


def _run(plan: Plan, store: Path, errors: Path) -> None:
    """Carry out a plan in this process, and end it with the verdict's exit status."""
    with errors.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
    try:
        shown = display.make(quiet=True)
        status = outside.run_trial(plan, store, shown, keep=False).verdict.exit_code
    except SeatrialError as error:
        print(error, file=sys.stderr, flush=True)
        status = error.exit_code
    sys.exit(status)


def campaign(plans: int, first: int, store: Path, record: Path | None) -> int:
    """All plans one after another; 0 if nothing was left, hung, crashed or is invalid."""
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for seed in range(first, first + plans):
        row = _carry_out(seed, store)
        counts.update(_words(row))
        print(f"{seed:6} {row['verdict']!s:8} {row['seconds']:6.1f} s  {row['pattern']}: "
              f"{row['cause']}", flush=True)  # fmt: skip
        if record is not None:
            with record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{plans} plans in {(time.monotonic() - began) / 60:.1f} min: "
          + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))  # fmt: skip
    return 1 if any(counts[bad] for bad in ("hung", "crashed", "leaked", "left", "invalid")) else 0


def _carry_out(seed: int, store: Path) -> dict[str, Json]:
    began = time.monotonic()
    plan = random_plan(seed)
    store.mkdir(parents=True, exist_ok=True)
    errors = store / "errors.txt"
    child = multiprocessing.get_context("fork").Process(target=_run, args=(plan, store, errors))
    child.start()
    child.join(TRIAL_TIMEOUT_S)
    hung = child.is_alive()
    if hung:
        child.kill()
        child.join()
    folders = sorted(store.glob(f"*-{seed}"))
    row: dict[str, Json] = {
        "seed": seed,
        "status": child.exitcode,
        "hung": hung,
        "seconds": round(time.monotonic() - began, 2),
        "pattern": _told(plan),
        "verdict": "hung" if hung else "crashed",
        "cause": errors.read_text(encoding="utf-8", errors="replace").strip()[-400:],
        "leaks": [],
        "left": [],
    }
    if folders:
        folder = TrialFolder(folders[-1])
        row["left"] = [*audit.left_on_host(folder)]
        if not hung and folder.verdict.is_file():
            verdict = json.loads(folder.verdict.read_text(encoding="utf-8"))
            trial = json.loads(folder.record.read_text(encoding="utf-8"))
            row |= {k: verdict[k] for k in ("verdict", "cause")} | {"leaks": trial["leaks"]}
            row["status_of_trial"] = trial["status"]
    return row


def _told(plan: Plan) -> str:
    """The plan's faults in a few words."""
    kinds = Counter(fault.kind for fault in plan.faults)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{plan.case}, {len(plan.target.nodes)} nodes, {told}"


def _words(row: Mapping[str, Json]) -> list[str]:
    return [
        str(row["verdict"]),
        *(["leaked"] if row["leaks"] else []),
        *(["left"] if row["left"] else []),
    ]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--store", type=Path, default=Path("trials") / "campaign")
    parser.add_argument("--json", type=Path, help="a JSON line a trial, appended")
    chosen = parser.parse_args()
    return campaign(chosen.plans, chosen.first_seed, chosen.store, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
