"""What each moment of a plan leaves of the cluster: the blast radius and quorum that `plan` prints.

A node is *impaired* while a fault keeps it from answering, or while partitions leave it in touch
(both ways) with fewer nodes than a majority; it is *slowed* by a fault that only makes it worse. A
majority survives where some node that runs is in touch with enough others that run: that one can
lead. Who plays a role at the moment is not known beforehand, so every possibility is looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.faults.partition import Link, PartitionOptions, cuts
from seatrial.plan import PlannedBlast, PlannedQuorum

#: Kinds that leave a node running and in touch, only worse off.
SLOWING = (
    "delay",
    "duplicate",
    "reorder",
    "rate",
    "bandwidth",
    "clock",
    "stress-cpu",
    "stress-memory",
    "io-latency",
    "compaction",
    "defragmentation",
)
#: Kinds that lose packets, and the share from which on a node counts as out of touch.
LOSING = ("loss", "corrupt")
LOSING_PERCENT = 50.0
#: Kinds that take one of their victims at a time, and the next when it answers again.
ROLLING = ("rolling-restart", "upgrade", "downgrade")
#: So many possibilities of who plays which role are looked at; beyond, the worst is assumed.
POSSIBILITIES_MAX = 2000
Majority = Literal["survives", "may be lost", "is lost"]


def analyse(faults: Sequence[PlannedFault], nodes: Sequence[str]) -> tuple[PlannedQuorum, ...]:
    """One entry for each stretch in which the same faults are alive, in order of time."""
    edges = sorted({t for f in faults for t in (f.start_s, round(f.start_s + f.duration_s, 3))})
    out: list[PlannedQuorum] = []
    for start, end in itertools.pairwise(edges):
        alive = [f for f in faults if f.start_s <= start and f.start_s + f.duration_s >= end - 1e-9]
        if alive:
            out.append(_stretch(start, end, alive, nodes))
    return tuple(out)


def blast(quorum: Sequence[PlannedQuorum], nodes: Sequence[str]) -> PlannedBlast | None:
    """The plan's worst moment and how long a majority is in danger; None without faults."""
    if not quorum:
        return None
    seconds = {"survives": 0.0, "may be lost": 0.0, "is lost": 0.0}
    for one in quorum:
        seconds[one.majority] += one.to_s - one.from_s
    return PlannedBlast(
        victims_max=max(one.victims for one in quorum),
        nodes=len(nodes),
        alive_max=max(len(one.faults) for one in quorum),
        fault_s=round(sum(seconds.values()), 3),
        may_be_lost_s=round(seconds["may be lost"], 3),
        is_lost_s=round(seconds["is lost"], 3),
    )


def majority_of(alive: Sequence[PlannedFault], nodes: Sequence[str]) -> Majority:
    """Whether a majority survives while all of `alive` act at once."""
    return _survey(alive, nodes).majority


def victims_of(alive: Sequence[PlannedFault], nodes: Sequence[str]) -> int:
    """How many nodes are impaired or slowed at most while all of `alive` act at once."""
    return _survey(alive, nodes).victims


@dataclass(frozen=True, slots=True)
class _State:
    """The cluster under faults whose victims are all known."""

    down: frozenset[str]
    slowed: frozenset[str]
    cut: frozenset[str]
    leads: frozenset[str]

    @property
    def impaired(self) -> frozenset[str]:
        return self.down | self.cut


@dataclass(frozen=True, slots=True)
class _Survey:
    """All that may be while some faults are alive."""

    majority: Majority
    impaired: int
    victims: int
    named: _State


def _survey(alive: Sequence[PlannedFault], nodes: Sequence[str]) -> _Survey:
    named = _state([f for f in alive if not _is_live(f)], nodes)
    needed = len(nodes) // 2 + 1
    states = list(itertools.islice(_possibilities(alive, nodes), POSSIBILITIES_MAX + 1))
    survives = [len(state.leads) >= needed for state in states]
    majority: Majority = "may be lost"
    if all(survives) and len(states) <= POSSIBILITIES_MAX:
        majority = "survives"
    elif not any(survives):
        majority = "is lost"
    return _Survey(
        majority=majority,
        impaired=max(len(state.impaired) for state in states),
        victims=max(len(state.impaired | state.slowed) for state in states),
        named=named,
    )


def _possibilities(alive: Sequence[PlannedFault], nodes: Sequence[str]) -> Iterator[_State]:
    """The cluster for each choice of who plays the roles; a role is never a victim taken twice."""
    live = [f for f in alive if _is_live(f)]
    for holders in itertools.product(*(f.nodes or nodes for f in live)):
        chosen = dict(zip((f.id for f in live), holders, strict=True))
        placed = [
            f.model_copy(update={"nodes": (chosen[f.id],)}) if f.id in chosen else f for f in alive
        ]
        yield _state(placed, nodes)


def _is_live(fault: PlannedFault) -> bool:
    """Whether only the moment knows which one node it acts on."""
    return not fault.nodes or (fault.kind in ROLLING and len(fault.nodes) > 1)


def _who(fault: PlannedFault) -> str:
    if fault.nodes:
        return f"one of {_and(fault.nodes)} at a time"
    return f"the {fault.victims} of the moment"


def _state(faults: Sequence[PlannedFault], nodes: Sequence[str]) -> _State:
    down: set[str] = set()
    slowed: set[str] = set()
    links: set[Link] = set()
    for fault in faults:
        if fault.kind == "partition":
            links |= _cuts(fault, nodes)
        elif _slows(fault):
            slowed |= set(fault.nodes)
        else:
            down |= set(fault.nodes)
    touch = {
        one: frozenset(
            other for other in nodes if other == one or not {(one, other), (other, one)} & links
        )
        for one in nodes
    }
    needed = len(nodes) // 2 + 1
    running = frozenset(nodes) - down
    groups = [touch[one] & running for one in nodes if one in running]
    return _State(
        down=frozenset(down),
        slowed=frozenset(slowed),
        cut=frozenset(one for one in nodes if len(touch[one]) < needed),
        leads=max(groups, key=len, default=frozenset()),
    )


def _slows(fault: PlannedFault) -> bool:
    """Whether the fault leaves its victims running and in touch."""
    percent = fault.options.get("percent", 0.0)
    few = isinstance(percent, (int, float)) and percent < LOSING_PERCENT
    return fault.kind in SLOWING or (fault.kind in LOSING and few)


def _cuts(fault: PlannedFault, nodes: Sequence[str]) -> frozenset[Link]:
    """The links that a partition cuts; none where it is impossible, which is said elsewhere."""
    try:
        shape = PartitionOptions.model_validate(fault.options).shape
        return cuts(shape, nodes, fault.nodes)
    except (UsageError, ValueError):
        return frozenset()


def _stretch(
    start: float, end: float, alive: Sequence[PlannedFault], nodes: Sequence[str]
) -> PlannedQuorum:
    survey = _survey(alive, nodes)
    live = [f for f in alive if _is_live(f)]
    holds = survey.majority == "survives" and not live
    return PlannedQuorum(
        from_s=start,
        to_s=end,
        faults=tuple(f.id for f in alive),
        impaired=survey.impaired,
        victims=survey.victims,
        majority=survey.majority,
        survivors=tuple(n for n in nodes if n in survey.named.leads and holds),
        sentence=_sentence(survey, live, nodes),
        clients=_clients(survey.named, live, nodes),
    )


def _sentence(survey: _Survey, live: Sequence[PlannedFault], nodes: Sequence[str]) -> str:
    needed, total = len(nodes) // 2 + 1, len(nodes)
    named = sorted(survey.named.impaired)
    roles = [_who(f) for f in live if not _slows(f)]
    slow = sorted(survey.named.slowed - survey.named.impaired)
    slow += [_who(f) for f in live if _slows(f)]
    more = f"; {_and(slow)} slowed" if slow else ""
    if not survey.impaired:
        if slow:
            return f"{_and(slow)} slowed: all {total} take part"
        return f"every node still reaches {needed} of {total}, though not the same ones"
    who = _and([*named, *roles])
    left = max(total - survey.impaired, 0)
    if survey.majority == "survives":
        names = "" if roles else f" ({', '.join(n for n in nodes if n not in named)})"
        return f"{who} impaired: {left} of {total} remain{names}; {needed} are a majority{more}"
    if survey.majority == "may be lost":
        differ = "should they differ, " if len(named) + len(roles) > 1 else "at worst "
        return f"{who} impaired: {differ}{left} of {total} remain, {needed} needed{more}"
    return f"{who} impaired: {left} of {total} remain, {needed} needed: no majority{more}"


def _clients(named: _State, live: Sequence[PlannedFault], nodes: Sequence[str]) -> str:
    """What a client that can reach every node's machine still gets from each."""
    serve = [n for n in nodes if n in named.leads]
    silent = sorted(named.down)
    apart = [n for n in nodes if n not in named.leads and n not in named.down]
    if len(serve) < len(nodes) // 2 + 1:
        apart, serve = [n for n in nodes if n not in named.down], []
    out = [f"{_and(serve)} can serve"] if serve else ["nobody can commit"]
    if silent:
        out.append(f"{_and(silent)} {_does(silent)} not answer")
    if apart:
        out.append(f"{_and(apart)} answer{'s' if len(apart) == 1 else ''} without a majority")
    out += [f"less {_who(f)}" for f in live if not _slows(f)]
    return "; ".join(out)


def _does(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
