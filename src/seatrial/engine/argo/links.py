"""Links between pods: what faults do to them by the books, and by measurement.

The books are the run's own NetworkChaos objects: each says in an annotation which directions it
is meant for, so that every step sees the faults of all. Measured is with numbered datagrams
between the pods, sent by a program in each (`inpod.datagrams`), one way: moments are those of two
machines, whose clocks are compared beforehand over links in both directions
(offset = half the difference of the two fastest packets; RFC 5905 has the same formula).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, field, replace
from itertools import permutations
from typing import Any, Final, cast

from pydantic import TypeAdapter

from seatrial.engine.argo import chaos, inside, netem, paths, pods
from seatrial.engine.argo.api import Api, Object, selector
from seatrial.engine.argo.pods import PodState
from seatrial.engine.argo.run import RUN_LABEL, Run
from seatrial.engine.packets import offered
from seatrial.errors import Unavailable
from seatrial.fault import Action, Arrivals, PlannedFault, Shape, Traffic
from seatrial.faults import network_options as packets
from seatrial.faults import network_proof
from seatrial.faults.partition import PartitionOptions, cuts
from seatrial.target import Placement

Link = tuple[str, str]

#: On a NetworkChaos: for each fault that it is, the directions it cuts or shapes, the shape.
BOOK: Final = "seatrial/links"
#: On every object: the fault of the plan that it is, or is a part of.
FAULT: Final = "seatrial/fault"
PROGRAM: Final = ("python", "-m", "seatrial.engine.argo.inpod.datagrams")
#: How long the program may take until its sockets are there, and to end.
READY_S: Final = 20.0
END_S: Final = 10.0
#: How much longer than the sending is listened: the word to begin comes at different moments.
SKEW_S: Final = 0.5
#: What shows whether anything passes a direction at all.
KNOCKS: Final = Traffic(packets=25, packet_bytes=100, interval_s=0.02, patience_s=0.5)
#: What links are looked at with before a fault: enough for a median, and for the fastest packet.
BASELINE: Final = Traffic(packets=60, packet_bytes=100, interval_s=0.005, patience_s=0.5)

_ARRIVALS: Final = TypeAdapter(Arrivals)
_SHAPE: Final = TypeAdapter(Shape)


@dataclass(frozen=True, slots=True)
class Books:
    """What the run's faults do to each direction now, by what they were made for."""

    cuts: Mapping[Link, int] = field(default_factory=dict)
    shapes: Mapping[Link, Mapping[str, Shape]] = field(default_factory=dict)

    def is_free(self, one: str, other: str) -> bool:
        """Whether no fault is on either direction."""
        both = ((one, other), (other, one))
        return not any(self.cuts.get(link) or self.shapes.get(link) for link in both)


def entry(
    parts: Sequence[PlannedFault], victims: Sequence[str], nodes: Sequence[str]
) -> dict[str, str]:
    """The annotation of an object that does these faults of the shelf; none if none is on links."""
    meant = [found for part in parts if (found := _meant(part, victims, nodes)) is not None]
    return {BOOK: json.dumps(meant, sort_keys=True)} if meant else {}


def _meant(
    part: PlannedFault, victims: Sequence[str], nodes: Sequence[str]
) -> dict[str, Any] | None:
    if part.kind == "partition":
        shape = PartitionOptions.model_validate(part.options).shape
        return {"fault": part.id, "links": sorted(cuts(shape, nodes, victims)), "shape": None}
    if part.kind not in packets.OPTIONS:
        return None
    action = cast(Action, part.kind)
    options = packets.read(action, part.options)
    peers = packets.by_size(options, part, nodes, victims) or ()
    done = netem.carried_out(packets.shape(action, options))
    links = sorted(packets.links(options.direction, victims, peers))
    return {"fault": part.id, "links": links, "shape": asdict(done)}


def books_of(found: Sequence[Object]) -> Books:
    """The books that objects make up: those of them that act now."""
    cut: Counter[Link] = Counter()
    shapes: dict[Link, dict[str, Shape]] = {}
    for one in found:
        written = (one["metadata"].get("annotations") or {}).get(BOOK)
        if written is None or not _acts(one):
            continue
        for part in json.loads(written):
            for source, destination in part["links"]:
                if part["shape"] is None:
                    cut[source, destination] += 1
                else:
                    shape = _SHAPE.validate_python(part["shape"])
                    shapes.setdefault((source, destination), {})[part["fault"]] = shape
    return Books(cut, shapes)


def touched(found: Object, pods_of: Mapping[str, str]) -> frozenset[Link]:
    """Directions that a NetworkChaos may be on, by the pods that it names. O(nodes²).

    Both of each link, as a connection takes both. `pods_of`: node → its pod.
    """
    spec = found.get("spec") or {}
    near = _selected(spec, pods_of)
    far = _selected(spec["target"], pods_of) if spec.get("target") else frozenset(pods_of)
    return frozenset(link for a in near for b in far if a != b for link in ((a, b), (b, a)))


def ends(found: Object, pods_of: Mapping[str, str]) -> frozenset[str]:
    """Nodes whose pods a NetworkChaos fixes on either side, which may be named either way round.

    It does not fix the other side where it names none: it is on everything then.
    """
    spec = found.get("spec") or {}
    far = _selected(spec["target"], pods_of) if spec.get("target") else frozenset()
    return _selected(spec, pods_of) | far


def _selected(side: Object, pods_of: Mapping[str, str]) -> frozenset[str]:
    """Nodes on one side: those whose pods are named, or all, where it is not pods that it names."""
    named = (side.get("selector") or {}).get("pods")
    if named is None:
        return frozenset(pods_of)
    there = {pod for names in named.values() for pod in names}
    return frozenset(node for node, pod in pods_of.items() if pod in there)


def _acts(found: Object) -> bool:
    experiment = (found.get("status") or {}).get("experiment") or {}
    ended = "deletionTimestamp" in found["metadata"] or experiment.get("desiredPhase") == "Stop"
    return chaos.is_injected(found) and not ended


class _NoPod(Unavailable):
    """A node's pod is not there, or has no address yet."""


class Links:
    """The links of one cluster, as a step sees them."""

    def __init__(self, api: Api, placement: Placement, nodes: Sequence[str], run: Run) -> None:
        self._api, self._placement, self._nodes, self._run = api, placement, tuple(nodes), run
        self.books = Books()
        #: Machine → by how many ms its clock is ahead of the first one's.
        self._clocks: dict[str, float] = {}
        self._asked: dict[Link, asyncio.Future[bool]] = {}
        #: How long pods that are not there are waited for.
        self.patience_s = inside.START_S

    async def look_up(self) -> Books:
        """Read the books anew."""
        where = paths.chaos("NetworkChaos", self._run.namespace)
        labels = selector({RUN_LABEL: self._run.name})
        self.books = books_of(await self._api.items(where, labels))
        return self.books

    async def busy(self, besides: str) -> frozenset[Link]:
        """Directions that a NetworkChaos of the run may be on now but for the fault `besides`.

        Also of one that is not injected yet, or not recovered: what it does is not known then.
        """
        where = paths.chaos("NetworkChaos", self._run.namespace)
        found = await self._api.items(where, selector({RUN_LABEL: self._run.name}))
        others = (
            touched(one, self._placement.pods)
            for one in found
            if (one["metadata"].get("annotations") or {}).get(FAULT) != besides
            and not chaos.has_recovered(one)
        )
        return frozenset().union(*others)

    async def calibrate(self) -> Mapping[Link, Arrivals]:
        """Measure every direction as it is, and how far the machines' clocks are apart.

        Raises `Unavailable` where that cannot be measured.
        """
        every = tuple(permutations(self._nodes, 2))
        before = await self.look_up()
        raw, there = await self._patiently(dict.fromkeys(every, BASELINE))
        if before != await self.look_up():
            before = Books(before.cuts, {**before.shapes, **self.books.shapes})
        machines = {node: pod.machine or node for node, pod in there.items()}
        self._clocks = clocks(raw, before, machines)
        return self._on_one_axis(raw, there)

    async def measure(self, traffic: Mapping[Link, Traffic]) -> Mapping[Link, Arrivals]:
        """What becomes of datagrams; the books are read anew at the end."""
        raw, there = await self._patiently(traffic)
        await self.look_up()
        return self._on_one_axis(raw, there)

    async def reaches(self, source: str, destination: str) -> bool:
        """Whether anything passes a direction; those asked for at a time are measured at once."""
        first = not self._asked
        answer = self._asked.setdefault(
            (source, destination), asyncio.get_running_loop().create_future()
        )
        if first:
            await asyncio.sleep(0)
            await self._answer()
        return await asyncio.shield(answer)

    async def _answer(self) -> None:
        asked, self._asked = self._asked, {}
        try:
            seen = await self.measure(dict.fromkeys(asked, KNOCKS))
        except BaseException as error:
            for one in asked.values():
                one.set_exception(error) if isinstance(error, Exception) else one.cancel()
                one.cancelled() or one.exception()  # it is raised here as well
            raise
        for link, one in asked.items():
            one.set_result(seen[link].arrived > 0)

    # ── datagrams ────────────────────────────────────────────────────────────────────────────

    async def _pods(self) -> dict[str, PodState]:
        """All nodes' pods; raises `Unavailable` where one has none, or no address in IPv4."""
        place = self._placement
        if not place.container:
            raise Unavailable("no command can be carried out in the nodes' pods")
        found = await asyncio.gather(
            *(pods.read(self._api, place.namespace, place.pods[node]) for node in self._nodes)
        )
        there = {}
        for node, pod in zip(self._nodes, found, strict=True):
            if pod is None or not pod.address:
                raise _NoPod(f"{node} has no {'pod' if pod is None else 'address'}")
            if ":" in pod.address:
                raise Unavailable(
                    f"{node} has address {pod.address!r}: datagrams go between pods over IPv4"
                )
            there[node] = pod
        return there

    async def _patiently(
        self, traffic: Mapping[Link, Traffic]
    ) -> tuple[dict[Link, Arrivals], dict[str, PodState]]:
        """Exchange once all pods are there: a fault that is on one of them beside this one ends."""
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                there = await self._pods()
                return await self._exchange(traffic, there), there
            except Unavailable as error:
                waits = isinstance(error, _NoPod) or inside.is_absent(error)
                if not waits or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(inside.START_POLL_S)

    async def _exchange(
        self, traffic: Mapping[Link, Traffic], there: Mapping[str, PodState]
    ) -> dict[Link, Arrivals]:
        """Run the programs of all pods that take part, side by side."""
        part = sorted({node for link in traffic for node in link})
        if not part:
            return {}
        place, talk = self._placement, _Talk()
        listen_s = SKEW_S + max(
            plan.packets * plan.interval_s + plan.patience_s for plan in traffic.values()
        )

        def begin(node: str) -> dict[str, int]:
            session = inside.Session(
                self._api, place.namespace, place.pods[node], place.container, PROGRAM, stdin=True
            )
            talk.keep(node, session)
            session.say(json.dumps(_part(traffic, node)))
            ports: dict[str, int] = json.loads(session.line(READY_S))["ports"]
            return ports

        def end(node: str) -> dict[str, Any]:
            talk.sessions[node].say(_word(traffic, node, ready, there, listen_s))
            told: dict[str, Any] = json.loads(talk.sessions[node].rest(listen_s + END_S))
            return told

        with ThreadPoolExecutor(len(part), thread_name_prefix="datagrams") as threads:
            try:
                ready = await _for_each(threads, begin, part)
                told = await _for_each(threads, end, part)
            except (KeyError, ValueError) as error:
                raise Unavailable(f"the probes in the pods are of another kind: {error}") from None
            finally:
                talk.end()
        return _joined(traffic, told)

    def _on_one_axis(
        self, raw: Mapping[Link, Arrivals], there: Mapping[str, PodState]
    ) -> dict[Link, Arrivals]:
        """Latencies by one clock; raises `Unavailable` where two clocks were never compared."""
        out = {}
        for (source, destination), seen in raw.items():
            near, far = (there[node].machine or node for node in (source, destination))
            if near != far:
                if near not in self._clocks or far not in self._clocks:
                    raise Unavailable(
                        f"the clocks of {source}'s and {destination}'s machines could not be "
                        "compared: no link between them was whole"
                    )
                apart = self._clocks[far] - self._clocks[near]
                seen = replace(seen, latencies_ms=tuple(t - apart for t in seen.latencies_ms))
            out[source, destination] = seen
        return out


@dataclass(slots=True)
class _Talk:
    """Sessions with the programs, which end together."""

    sessions: dict[str, inside.Session] = field(default_factory=dict)
    ended: bool = False

    def keep(self, node: str, session: inside.Session) -> None:
        """One more; closed at once if all is over."""
        self.sessions[node] = session
        if self.ended:
            session.close()

    def end(self) -> None:
        """Close all; those who wait for a word get none."""
        self.ended = True
        for session in tuple(self.sessions.values()):
            with contextlib.suppress(OSError):
                session.close()


async def _for_each(
    threads: ThreadPoolExecutor, work: Callable[[str], dict[str, Any]], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Do it for each name in a thread; the first failure is raised when all have ended."""
    loop = asyncio.get_running_loop()
    found = await asyncio.gather(
        *(loop.run_in_executor(threads, work, one) for one in names), return_exceptions=True
    )
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return dict(zip(names, cast("list[dict[str, Any]]", found), strict=True))


def clocks(
    raw: Mapping[Link, Arrivals], books: Books, machines: Mapping[str, str]
) -> dict[str, float]:
    """By how many ms each machine's clock is ahead of the first one's. O(links · packets).

    From pairs of directions without a fault; where there is none, from others, less what their
    faults delay at least. Machines that no such pair joins are left out.
    """
    found: dict[str, float] = {}
    pairs = [
        (a, b)
        for a, b in raw
        if a < b
        and machines[a] != machines[b]
        and raw[a, b].latencies_ms
        and (b, a) in raw
        and raw[b, a].latencies_ms
    ]
    pairs.sort(key=lambda pair: not books.is_free(*pair))
    for machine in machines.values():
        if not found:
            found[machine] = 0.0
    for _ in pairs:
        for a, b in pairs:
            near, far = machines[a], machines[b]
            if (near in found) == (far in found):
                continue
            there = min(raw[a, b].latencies_ms) - _least(books, (a, b))
            back = min(raw[b, a].latencies_ms) - _least(books, (b, a))
            apart = (there - back) / 2
            if near in found:
                found[far] = found[near] + apart
            else:
                found[near] = found[far] - apart
            break
    return found


def _least(books: Books, link: Link) -> float:
    """What a direction's faults delay every packet by."""
    there = network_proof.expect([*books.shapes.get(link, {}).values()])
    return there.latency_ms - there.jitter_ms if there.reorder == 0 else 0.0


def _part(traffic: Mapping[Link, Traffic], node: str) -> dict[str, Any]:
    """What the program in a node's pod is to do."""
    return {
        "sends": {d: astuple(plan) for (s, d), plan in traffic.items() if s == node},
        "gets": {s: astuple(plan) for (s, d), plan in traffic.items() if d == node},
    }


def _word(
    traffic: Mapping[Link, Traffic],
    node: str,
    ready: Mapping[str, Mapping[str, int]],
    there: Mapping[str, PodState],
    listen_s: float,
) -> str:
    """The word to begin: where the peers listen."""
    peers = {d: [there[d].address, ready[d][s]] for s, d in traffic if s == node}
    return json.dumps({"peers": peers, "listen_s": listen_s})


def _joined(traffic: Mapping[Link, Traffic], told: Mapping[str, Any]) -> dict[Link, Arrivals]:
    """Both ends of each direction, put together."""
    out = {}
    for (source, destination), plan in traffic.items():
        sent, first_ns, last_ns = told[source]["sent"][destination]
        seen = _ARRIVALS.validate_python(told[destination]["arrived"][source])
        bits = offered(sent, plan.packet_bytes, last_ns - first_ns) if plan.count_bits else 0.0
        out[source, destination] = replace(seen, sent=sent, offered_bits_per_s=bits)
    return out
