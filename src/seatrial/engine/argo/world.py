"""What faults act on where the nodes are pods: the part of `World` that a cluster can do.

Processes are reached by commands inside of pods, links are measured from inside of them. Cuts,
shapes and disks of the lab are Chaos Mesh's here (`seatrial.engine.argo.kinds`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from seatrial.engine.argo import inside, netem, pods
from seatrial.engine.argo.api import Api, ApiError
from seatrial.engine.argo.links import Link, Links
from seatrial.engine.argo.pods import PodState
from seatrial.engine.argo.run import Run
from seatrial.errors import Unavailable
from seatrial.fault import CLUSTER, Arrivals, Burnt, DiskCall, Shape, Traffic
from seatrial.target import Clock, Node, Placement, Target

#: How soon a node that is not ready is asked again.
READY_POLL_S = 0.2
#: Connections that make one reading of a link, and how long each may take.
TRIES = 5
TRY_S = 1.0
#: How long a container that ended may take until its node answers again.
RESTART_S = 20.0
#: How long the calls on a disk may take.
DISK_S = 12.0
#: What Chaos Mesh starts for StressChaos.
WORKERS = ("stress-ng", "memStress")


@dataclass(frozen=True, slots=True)
class Process:
    """A node's process, by /proc: its number, its state's letter, its start in clock ticks."""

    pid: int
    state: str
    start: int


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of connections over one link: how many were tried, how fast the others were."""

    tried: int
    times_ms: tuple[float, ...] = field(default=())

    @property
    def lost(self) -> int:
        """How many were not answered in time."""
        return self.tried - len(self.times_ms)

    @property
    def median_ms(self) -> float | None:
        """The middle one's time; None if none was answered."""
        return sorted(self.times_ms)[len(self.times_ms) // 2] if self.times_ms else None


class ClusterWorld:
    """`seatrial.fault.World`, as far as a cluster can do it; the rest raises `Unavailable`."""

    def __init__(
        self, api: Api, target: Target, nodes: Sequence[Node], placement: Placement, run: Run
    ) -> None:
        self.api, self.placement = api, placement
        self.links = Links(api, placement, [node.name for node in nodes], run)
        self.target = target
        self._nodes = {node.name: node for node in nodes}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes."""
        return tuple(self._nodes)

    @property
    def isolation(self) -> str:
        """`CLUSTER`."""
        return CLUSTER

    async def pod(self, node: str) -> PodState | None:
        """The node's pod now; None of a node whose pod is not known."""
        name = self.placement.pods.get(node)
        if name is None:
            return None
        return await pods.read(self.api, self.placement.namespace, name, self.placement.node)

    async def ready(self, node: str, timeout_s: float) -> bool:
        """Whether the node answers clients before the timeout; asks again while it does not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (left := deadline - loop.time()) > 0:
            if await self.target.ready(self._nodes[node], left):
                return True
            await asyncio.sleep(min(READY_POLL_S, max(0.0, deadline - loop.time())))
        return False

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        """Who plays which role now; asks the target."""
        return await self.target.locate(tuple(self._nodes.values()))

    # ── processes ────────────────────────────────────────────────────────────────────────────

    async def process(self, node: str, patience_s: float = inside.START_S) -> Process | None:
        """The node's oldest process of its name, None while it is down."""
        found = await self.processes(node, patience_s)
        return min(found, key=lambda one: (one.start, one.pid), default=None)

    async def processes(self, node: str, patience_s: float = inside.START_S) -> tuple[Process, ...]:
        """All of its name that a command in the pod sees; none where there is no pod."""
        try:
            out = await self.command(
                node, inside.FIND, self.placement.process, patience_s=patience_s
            )
        except ApiError as error:
            if error.status == 404:
                return ()
            raise
        rows = [line.split() for line in out.splitlines()]
        return tuple(Process(int(r[0]), r[1], int(r[2])) for r in rows if len(r) == 3)

    async def restart(self, node: str) -> None:
        """The kubelet starts containers; this waits until the node answers, within a bound."""
        await self.ready(node, RESTART_S)

    def excuse(self, node: str, fault: str, excused: bool) -> None:
        """Nobody here takes the end of a process for unplanned but `ArgoSite.unplanned`."""

    async def command(
        self, node: str, script: str, *words: str, patience_s: float = inside.START_S
    ) -> str:
        """Carry out a script of the shell beside the node's process; what it printed.

        Raises `Unavailable` where the target names no container for it.
        """
        place = self.placement
        if not place.container or not place.process:
            raise Unavailable(
                f"no command can be carried out in {node}'s pod\n\n"
                "hint: name a container with a shell and the process in the target's settings"
            )
        argv = ["sh", "-c", script, "sh", *words]
        return await inside.carry_out(
            self.api,
            place.namespace,
            place.pods[node],
            place.container,
            argv,
            patience_s=patience_s,
        )

    # ── links ────────────────────────────────────────────────────────────────────────────────

    def leases(self, source: str, destination: str) -> int:
        """How many faults cut this direction, as `links.look_up` or a measurement last saw it."""
        return self.links.books.cuts.get((source, destination), 0)

    def shapes(self, source: str, destination: str) -> Mapping[str, Shape]:
        """What faults do to this direction, as `links.look_up` or a measurement last saw it."""
        return self.links.books.shapes.get((source, destination), {})

    def carried_out(self, shape: Shape) -> Shape:
        """What netem makes of it."""
        return netem.carried_out(shape)

    async def measure(self, traffic: Mapping[Link, Traffic]) -> Mapping[Link, Arrivals]:
        """Datagrams between the pods; raises `Unavailable` where none can be sent."""
        return await self.links.measure(traffic)

    async def reaches(self, source: str, destination: str, timeout_s: float) -> bool:
        """Whether a datagram sent in the source's pod gets to the destination's."""
        return await self.links.reaches(source, destination)

    async def passages(self, links: Sequence[Link]) -> Mapping[Link, Passage]:
        """Connect over each link, from inside of the source's pod to the destination's ports.

        Raises `Unavailable` where no command can be carried out in the pods.
        """
        if not self.placement.container:
            raise Unavailable("no command can be carried out in the nodes' pods")
        there = {node: await self.pod(node) for node in self.nodes}
        port = min(self.placement.ports.values())
        by_source: dict[str, dict[str, str]] = {}
        for source, destination in links:
            seen = there[destination]
            address = seen.address if seen is not None else ""
            host = f"[{address}]" if ":" in address else address
            by_source.setdefault(source, {})[f"{host}:{port}"] = destination
        answers = await asyncio.gather(
            *(self._reach(source, [*peers]) for source, peers in by_source.items())
        )
        found: dict[Link, Passage] = {}
        for (source, peers), answer in zip(by_source.items(), answers, strict=True):
            for address, destination in peers.items():
                times = answer.get(address, [])
                made = tuple(float(one) for one in times if one is not None)
                found[source, destination] = Passage(TRIES, made)
        return found

    async def _reach(self, source: str, addresses: list[str]) -> dict[str, list[float | None]]:
        place = self.placement
        argv = ["python", "-m", "seatrial.engine.argo.reach", str(TRIES), str(TRY_S), *addresses]
        out = await inside.carry_out(
            self.api,
            place.namespace,
            place.pods[source],
            place.container,
            argv,
            TRIES * (TRY_S + 0.1) + inside.COMMAND_S,
        )
        try:
            made: dict[str, list[float | None]] = json.loads(out)
        except ValueError:
            raise Unavailable(f"the probe in {source}'s pod said {out[:80]!r}") from None
        return made

    # ── disk, processor, memory, clock ───────────────────────────────────────────────────────

    async def try_disk(
        self, node: str, methods: Sequence[str], times: int
    ) -> Mapping[str, tuple[DiskCall, ...]]:
        """Call each method on the node's volume, through the mounts of the node's process."""
        place = self.placement
        if not place.volume or not place.process:
            raise Unavailable(
                f"where {node}'s data is mounted is not known\n\n"
                "hint: name volume and process in the target's settings"
            )
        words = [place.process, place.volume, str(times), *methods]
        told = await self.probe(node, "disk", words, DISK_S)
        if "why" in told:
            raise Unavailable(f"{node}'s disk was not tried: {told['why']}")
        return {name: tuple(DiskCall(*one) for one in calls) for name, calls in told.items()}

    async def burnt(self, node: str, fault: str, over_s: float) -> Burnt:
        """What Chaos Mesh's workers in the node's pod take, whichever fault started them.

        How many processors the node may use is not theirs to change: that is left out (0).
        """
        words = [str(over_s), self.placement.process, *WORKERS]
        told = await self.probe(node, "burners", words, over_s)
        if not {"processes", "over_s", "ran_s", "waited_s", "memory_bytes"} <= set(told):
            raise Unavailable(f"the probe in {node}'s pod did not count: {told.get('why', told)}")
        return Burnt(**told, node_cpus=0)

    async def clock_offset(self, node: str) -> float:
        """What the node says of the time, against this machine's clock."""
        if not isinstance(self.target, Clock):
            raise Unavailable(f"{self.target.name} does not tell the time")
        return await self.target.clock_offset(self._nodes[node])

    async def probe(
        self, node: str, program: str, words: Sequence[str], takes_s: float
    ) -> dict[str, Any]:
        """Carry out a program of `inpod` beside the node; what it printed."""
        place = self.placement
        if not place.container:
            raise Unavailable("no command can be carried out in the nodes' pods")
        argv = ["python", "-m", f"seatrial.engine.argo.inpod.{program}", *words]
        out = await inside.carry_out(
            self.api,
            place.namespace,
            place.pods[node],
            place.container,
            argv,
            takes_s + inside.COMMAND_S,
        )
        try:
            told: dict[str, Any] = json.loads(out)
        except ValueError:
            raise Unavailable(f"the probe in {node}'s pod said {out[:80]!r}") from None
        return told

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("_"):
            raise AttributeError(name)

        def cannot(*args: Any, **named: Any) -> NoReturn:
            raise Unavailable(f"a cluster has no {name!r}: what it is for is Chaos Mesh's here")

        return cannot
