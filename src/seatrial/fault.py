"""The contract of a fault: one injury with its cure, and the proof of both.

A fault in a plan is data (`PlannedFault`): what, on whom, when, for how long. Its kind, in the
`faults/` shelf, knows three things: whether an engine's world can do it (`unavailable`), how to
`inject` and `heal` it, and how to *measure* that it acted and that it ended. Injector and probe
are independent: a fault is not believed because the injector returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from seatrial.readings import Action as Action
from seatrial.readings import Arrivals as Arrivals
from seatrial.readings import DiskCall as DiskCall
from seatrial.readings import Shape as Shape
from seatrial.readings import Traffic as Traffic
from seatrial.verdict import Json

#: Sizes that a selector can name besides the target's own roles.
SIZES = ("one", "minority", "majority", "all")
#: What `FaultKind.unavailable` is told instead of a lab's isolation: Chaos Mesh on Kubernetes.
CLUSTER = "cluster"


class PlannedFault(BaseModel):
    """One fault of a plan.

    `start_s` counts from the start of the workload phase. `victims` is who: a size or a role.
    `nodes` are the names fixed by the seed where the role is a size; empty where the role is
    resolved live, at the moment (`leader`, `follower`), and then `pick` (0 ≤ pick < 1) chooses
    among several. `options` are the kind's own settings. Faults of one `group` belong to one
    pattern of the schedule (`ramp-1`), of which `level` is the height. `shares`: it may meet
    another fault of the same touch on one victim.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: str
    victims: str
    nodes: tuple[str, ...] = ()
    pick: float = 0.0
    start_s: float
    duration_s: float
    options: Mapping[str, Json] = {}
    group: str = ""
    level: float | None = None
    shares: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What a probe measured. `seen` is whether the effect (or its end) was observed.

    `measured` holds the readings (JSON), `sentence` says them to a person.
    """

    seen: bool
    sentence: str
    measured: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VolumeNeed:
    """What a plan's faults need of the nodes' volumes; made before the nodes start.

    `plain`: a folder. `sized`: a file system of its own for each node, whose size can be changed.
    `fuse`: one of the engine's own on top, which can be late, fail and lose what no `fsync` asked
    for. `metadata`: what makes names durable there (see `lost-writes`); None: it is all the same.
    """

    kind: Literal["plain", "sized", "fuse"] = "plain"
    metadata: Literal["journalled", "strict"] | None = None


@dataclass(frozen=True, slots=True)
class DiskRule:
    """What happens to `percent` of a disk's `methods`: a delay in seconds, or an errno.

    Methods: `read`, `write`, `fsync`, `create`, `remove`, `rename`.
    """

    methods: tuple[str, ...]
    latency_s: float = 0.0
    jitter_s: float = 0.0
    errno: int = 0
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Burn:
    """What takes resources beside a node: `workers` processes, each of which computes for
    `load_percent` of a processor and holds `memory_bytes`; node and workers share `cpus`.
    """

    workers: int
    load_percent: float = 0.0
    memory_bytes: int = 0
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class Burnt:
    """What such processes took in `over_s` seconds, by the kernel's own count.

    `ran_s` of processor, `waited_s` for one; `memory_bytes` resident now; `node_cpus`: how many
    processors the node's own process may use now.
    """

    processes: int
    over_s: float
    ran_s: float
    waited_s: float
    memory_bytes: int
    node_cpus: int


def memory_left() -> int:
    """How many bytes may be taken of this machine: half of what is available (/proc/meminfo)."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 // 2
    return 0


class World(Protocol):
    """What an engine offers to faults. Times are bounded by the engine."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes."""
        ...

    @property
    def isolation(self) -> str:
        """`namespace` (own network per node) or `none` (processes on loopback)."""
        ...

    def pid(self, node: str) -> int | None:
        """The node's process number, None while it is down."""
        ...

    def start_time(self, node: str) -> int | None:
        """The start time of the node's process in clock ticks since boot (/proc/PID/stat)."""
        ...

    def process_state(self, node: str) -> str:
        """The kernel's letter for the node's process: R, S, D, T (stopped), Z; "" if none."""
        ...

    async def signal(self, node: str, signal: int) -> None:
        """Send a signal to the node's process."""
        ...

    async def kill(self, node: str, *, hold: bool = True) -> None:
        """SIGKILL; `hold` keeps the supervisor from restarting it until `restart`."""
        ...

    async def restart(self, node: str) -> None:
        """Start the node's process again if it is down, with its data; returns when started."""
        ...

    async def ready(self, node: str, timeout_s: float) -> bool:
        """Whether the node answers clients before the timeout."""
        ...

    async def cut(self, source: str, destination: str) -> None:
        """Drop everything that `source` sends to `destination`, at once; counted per lease."""
        ...

    async def mend(self, source: str, destination: str) -> None:
        """Undo one `cut` of the same direction; the link is whole when all are undone."""
        ...

    def leases(self, source: str, destination: str) -> int:
        """How many cuts of this direction are in place by the books (not by measurement)."""
        ...

    async def reaches(self, source: str, destination: str, timeout_s: float) -> bool:
        """Whether a packet sent now by `source` gets to `destination` (one way)."""
        ...

    # Shaped links

    async def shape(self, fault: str, source: str, destination: str, shape: Shape) -> None:
        """Let what `source` sends to `destination` suffer `shape`, until `unshape`.

        Several faults on one direction add up; the same fault twice counts once.
        """
        ...

    async def unshape(self, fault: str, source: str, destination: str) -> None:
        """Undo one `shape`; twice does nothing. Raises `Unavailable` if it had ended by itself."""
        ...

    def shapes(self, source: str, destination: str) -> Mapping[str, Shape]:
        """What faults (by id) do to this direction now, by the books (not by measurement)."""
        ...

    async def measure(
        self, traffic: Mapping[tuple[str, str], Traffic]
    ) -> Mapping[tuple[str, str], Arrivals]:
        """Send datagrams through all these directions at once, and say what became of them."""
        ...

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        """Who plays which of the target's roles now (`leader` → names); asks the target."""

    # ── for faults on process, disk, clock, resources, membership and versions ────────────────

    async def end(self, node: str, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s`; held down until `restart`; returns when gone."""
        ...

    def excuse(self, node: str, fault: str, excused: bool) -> None:
        """While `fault` excuses it, the node's process may end by itself: that is planned."""
        ...

    async def rule_disk(self, node: str, fault: str, rules: Sequence[DiskRule]) -> None:
        """Let `rules` be what `fault` does to the node's disk; none ends it. Needs `fuse`."""
        ...

    async def limit_disk(self, node: str, fault: str, free_bytes: int | None) -> None:
        """Leave the node's disk so much space; None ends what `fault` took. Needs `sized`."""
        ...

    async def cut_disk_power(self, node: str) -> None:
        """From now on nothing reaches the node's disk: no `fsync` returns. Needs `fuse`."""
        ...

    async def restore_disk_power(self, node: str) -> Mapping[str, Json]:
        """Throw away what had not reached the disk; how much that was. Its process is down."""
        ...

    async def try_disk(
        self, node: str, methods: Sequence[str], times: int
    ) -> Mapping[str, tuple[DiskCall, ...]]:
        """Call each method on the node's volume, as a process there would; bounded."""
        ...

    async def fill_disk(self, node: str, size: int) -> DiskCall:
        """Write a new file of `size` bytes on the node's volume, and remove it."""
        ...

    async def put_file(self, node: str, name: str, text: str, synced: bool) -> None:
        """Write a small file on the node's volume; `synced` brings it and its name to the disk."""
        ...

    async def get_file(self, node: str, name: str) -> str | None:
        """The text of a small file on the node's volume, None if there is none."""
        ...

    async def remove_file(self, node: str, name: str) -> None:
        """Remove a file from the node's volume if it is there."""
        ...

    async def members(self) -> Mapping[str, str]:
        """Who is a member of the cluster, as it agreed: node → its number there."""
        ...

    async def remove_member(self, node: str) -> str:
        """Take a node out of the cluster (its process is another matter); its number."""
        ...

    async def join_anew(self, node: str) -> None:
        """Announce a node that is down to the cluster, without its data; it starts as a new one."""
        ...

    async def use_binary(self, node: str, binary: str | None) -> None:
        """What the node is started with from its next start on; None: the target's own."""
        ...

    async def running_version(self, node: str) -> str:
        """The version that a node says it runs; "" if it does not answer."""
        ...

    async def compact(self, node: str, keep_revisions: int) -> int:
        """Have the history forgotten but for the last revisions; below which it is gone."""
        ...

    async def is_compacted(self, node: str, revision: int) -> bool:
        """Whether a node says that the history at a revision is gone."""
        ...

    async def defragment(self, node: str) -> None:
        """Have a node rewrite its data file."""
        ...

    async def data_file(self, node: str) -> str:
        """Which file (its number) holds the node's data now."""
        ...

    async def burn(self, node: str, fault: str, burn: Burn | None) -> None:
        """Start what takes resources beside a node; None ends what `fault` started."""
        ...

    async def burnt(self, node: str, fault: str, over_s: float) -> Burnt:
        """What those processes take, measured over a stretch of time."""
        ...

    async def shift_clock(self, node: str, fault: str, offset_ns: int | None) -> None:
        """Put the wall clock of the node's process off; None puts right what `fault` did."""
        ...

    async def clock_offset(self, node: str) -> float:
        """By how many seconds the node's clock is ahead of this machine's, as the node says."""
        ...

    # ── for proofs that hold on every engine ─────────────────────────────────────────────────

    def carried_out(self, shape: Shape) -> Shape:
        """What this engine's links make of a shape that was asked for: what a proof expects."""
        ...


class FaultKind(Protocol):
    """A kind of fault, as the `faults/` shelf lists it."""

    @property
    def name(self) -> str:
        """The name on the command line: `kill`, `pause`, `partition`."""
        ...

    @property
    def touches(self) -> str:
        """What it acts on: `process` or `network`; two of a touch never share a victim."""
        ...

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Why it cannot be done there (with the mend), or "" if it can.

        `isolation` is the lab's (`World.isolation`), or `CLUSTER`.
        """
        ...

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Break it."""
        ...

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Mend it; safe to call twice, and after an `inject` that failed half-way."""
        ...

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Measure that it acts now."""
        ...

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Measure that it no longer acts."""
        ...

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """The Chaos Mesh object with the same meaning; raises `Unavailable` where it has none.

        `victims` and `nodes` (all of them) are names of pods.
        """
        ...


@runtime_checkable
class OnVolumes(Protocol):
    """A kind that needs more of the nodes' volumes than a folder."""

    def volume_need(self, options: Mapping[str, Json]) -> VolumeNeed:
        """What it needs with these options."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """A kind that must see how things are before it breaks them, which takes its time."""

    def lead_s(self) -> float:
        """How long before a fault's moment it is to look, where that can be."""
        ...

    async def look(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """See how things are; `inject` comes next. What it finds wrong is told by the proofs."""
        ...
