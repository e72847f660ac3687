"""The inner side of the lab: a cluster of a target's nodes, and the world that faults act on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from seatrial.engine.lab import init, syscalls
from seatrial.engine.lab.burners import Burners
from seatrial.engine.lab.clocks import Clocks
from seatrial.engine.lab.inventory import of_machine, of_mounts
from seatrial.engine.lab.links import Links
from seatrial.engine.lab.loopback import Loopback
from seatrial.engine.lab.network import Network
from seatrial.engine.lab.operator import Operator
from seatrial.engine.lab.process import Exit, Launch, NodeProcess, read_stat
from seatrial.engine.lab.sandbox import ISOLATIONS
from seatrial.engine.lab.supervisor import Supervisor
from seatrial.engine.lab.volume import probe
from seatrial.engine.lab.volume.volumes import Volumes
from seatrial.errors import CannotCreate, UsageError
from seatrial.fault import (
    Arrivals,
    Burn,
    Burnt,
    DiskCall,
    DiskRule,
    Shape,
    Traffic,
    VolumeNeed,
    World,
)
from seatrial.target import Command, EndsItself, Node, StartsSlowly, Target
from seatrial.verdict import Json

PLAIN = VolumeNeed()
START_TIMEOUT_S = 30.0
#: How soon a node that is not ready is asked again.
READY_INTERVAL_S = 0.05
#: The most that all nodes' data may take on a tmpfs, and half of the memory if that is less.
SCRATCH_BYTES_MAX = 4 << 30


class LabWorld:
    """`seatrial.fault.World` over links, processes and a target."""

    def __init__(
        self,
        isolation: str,
        nodes: Sequence[Node],
        links: Links,
        supervisor: Supervisor,
        target: Target,
        volumes: Volumes,
        operator: Operator,
        burners: Burners,
        clocks: Clocks,
    ) -> None:
        self._isolation = isolation
        self._volumes, self._operator = volumes, operator
        self._burners, self._clocks = burners, clocks
        self._nodes = {node.name: node for node in nodes}
        self._links, self._supervisor, self._target = links, supervisor, target

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes."""
        return tuple(self._nodes)

    @property
    def isolation(self) -> str:
        """`namespace` or `none`."""
        return self._isolation

    def pid(self, node: str) -> int | None:
        """The node's process number, None while it is down."""
        return self._supervisor[node].pid

    def start_time(self, node: str) -> int | None:
        """When the node's process began, in clock ticks since boot; None while it is down."""
        stat = self._stat(node)
        return None if stat is None else stat[1]

    def process_state(self, node: str) -> str:
        """The kernel's letter for the node's process; "" if there is none."""
        stat = self._stat(node)
        return "" if stat is None else stat[0]

    def _stat(self, node: str) -> tuple[str, int] | None:
        pid = self.pid(node)
        return None if pid is None else read_stat(pid)

    async def signal(self, node: str, signal: int) -> None:
        """Send a signal to the node's process (and what it started)."""
        self._supervisor[node].signal(signal)

    async def kill(self, node: str, *, hold: bool = True) -> None:
        """SIGKILL; returns when the process is gone."""
        await self._supervisor[node].kill(hold=hold)

    async def restart(self, node: str) -> None:
        """Start the node again if it is down, with its data."""
        await self._supervisor[node].restart()

    async def ready(self, node: str, timeout_s: float) -> bool:
        """Whether the node answers clients before the timeout; asks again while it does not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (left := deadline - loop.time()) > 0:
            if await self._target.ready(self._nodes[node], left):
                return True
            await asyncio.sleep(min(READY_INTERVAL_S, max(0.0, deadline - loop.time())))
        return False

    async def cut(self, source: str, destination: str) -> None:
        """Drop everything that `source` sends to `destination`."""
        await self._links.cut(source, destination)

    async def mend(self, source: str, destination: str) -> None:
        """Undo one `cut` of the same direction."""
        await self._links.mend(source, destination)

    def leases(self, source: str, destination: str) -> int:
        """How many cuts of this direction are in place by the books."""
        return self._links.leases(source, destination)

    async def reaches(self, source: str, destination: str, timeout_s: float) -> bool:
        """Whether a datagram of `source` gets to `destination`."""
        return await self._links.reaches(source, destination, timeout_s)

    async def shape(self, fault: str, source: str, destination: str, shape: Shape) -> None:
        """Let what `source` sends to `destination` suffer `shape`."""
        await self._links.shape(fault, source, destination, shape)

    async def unshape(self, fault: str, source: str, destination: str) -> None:
        """Undo one `shape`."""
        await self._links.unshape(fault, source, destination)

    def shapes(self, source: str, destination: str) -> Mapping[str, Shape]:
        """What faults do to this direction by the books."""
        return self._links.shapes(source, destination)

    def carried_out(self, shape: Shape) -> Shape:
        """The shape itself."""
        return shape

    async def measure(
        self, traffic: Mapping[tuple[str, str], Traffic]
    ) -> Mapping[tuple[str, str], Arrivals]:
        """Send datagrams and say what became of them."""
        return await self._links.measure(traffic)

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        """Who plays which role now."""
        return await self._target.locate(tuple(self._nodes.values()))

    async def end(self, node: str, grace_s: float) -> None:
        """An orderly end; the node stays down until `restart`."""
        await self._supervisor[node].end(grace_s)

    def excuse(self, node: str, fault: str, excused: bool) -> None:
        """Whether an end of the node's process is the plan's doing."""
        self._supervisor[node].excuse(fault, excused)

    async def rule_disk(self, node: str, fault: str, rules: Sequence[DiskRule]) -> None:
        """Let `rules` be what `fault` does to the node's disk."""
        await self._volumes.rule(node, fault, rules)

    async def limit_disk(self, node: str, fault: str, free_bytes: int | None) -> None:
        """Leave the node's disk so much space; None ends it."""
        await self._volumes.limit(node, fault, free_bytes)

    async def cut_disk_power(self, node: str) -> None:
        """From now on nothing reaches the node's disk."""
        await self._volumes.cut_power(node)

    async def restore_disk_power(self, node: str) -> Mapping[str, Json]:
        """Throw away what had not reached the disk."""
        return await self._volumes.restore_power(node)

    async def try_disk(
        self, node: str, methods: Sequence[str], times: int
    ) -> Mapping[str, tuple[DiskCall, ...]]:
        """Call each method on the node's volume."""
        return await probe.try_calls(self._nodes[node].data_dir, methods, times)

    async def fill_disk(self, node: str, size: int) -> DiskCall:
        """Write a new file of `size` bytes on the node's volume, and remove it."""
        return await probe.fill(self._nodes[node].data_dir, size)

    async def put_file(self, node: str, name: str, text: str, synced: bool) -> None:
        """Write a small file on the node's volume."""
        await probe.put(self._nodes[node].data_dir, name, text, synced=synced)

    async def get_file(self, node: str, name: str) -> str | None:
        """The text of a small file on the node's volume."""
        return await probe.get(self._nodes[node].data_dir, name)

    async def remove_file(self, node: str, name: str) -> None:
        """Remove a file from the node's volume."""
        await probe.remove(self._nodes[node].data_dir, name)

    async def members(self) -> Mapping[str, str]:
        """Who is a member of the cluster."""
        return await self._operator.members()

    async def remove_member(self, node: str) -> str:
        """Take a node out of the cluster."""
        return await self._operator.remove_member(node)

    async def join_anew(self, node: str) -> None:
        """Announce a node that is down to the cluster, without its data."""
        await self._operator.join_anew(node)

    async def use_binary(self, node: str, binary: str | None) -> None:
        """What the node is started with from its next start on."""
        await self._operator.use_binary(node, binary)

    async def running_version(self, node: str) -> str:
        """The version that a node says it runs."""
        return await self._operator.running_version(node)

    async def compact(self, node: str, keep_revisions: int) -> int:
        """Have the history forgotten but for the last revisions."""
        return await self._operator.compact(node, keep_revisions)

    async def is_compacted(self, node: str, revision: int) -> bool:
        """Whether a node says that the history at a revision is gone."""
        return await self._operator.is_compacted(node, revision)

    async def defragment(self, node: str) -> None:
        """Have a node rewrite its data file."""
        await self._operator.defragment(node)

    async def data_file(self, node: str) -> str:
        """Which file holds the node's data now."""
        return await self._operator.data_file(node)

    async def burn(self, node: str, fault: str, burn: Burn | None) -> None:
        """Start what takes resources beside a node; None ends it."""
        if burn is None:
            await self._burners.end(node, fault)
        else:
            await self._burners.burn(node, fault, burn)

    async def burnt(self, node: str, fault: str, over_s: float) -> Burnt:
        """What those processes take."""
        return await self._burners.taken(node, fault, over_s)

    async def shift_clock(self, node: str, fault: str, offset_ns: int | None) -> None:
        """Put the wall clock of the node's process off; None puts it right."""
        if offset_ns is None:
            await self._clocks.put_right(node, fault)
        else:
            await self._clocks.shift(node, fault, offset_ns)

    async def clock_offset(self, node: str) -> float:
        """By how many seconds the node's clock is ahead, as the node says."""
        return await self._operator.clock_offset(node)


class Lab:
    """A cluster of real processes: `async with Lab(…) as lab`, inside a sandbox.

    `scratch` is where the nodes' data lies: with isolation `namespace` a tmpfs that is gone with
    the sandbox, else a folder that `stop` removes. `logs` gets one file a node. `seed` decides
    the fate of each packet on a shaped link.
    """

    def __init__(
        self,
        target: Target,
        names: Sequence[str],
        *,
        scratch: Path,
        logs: Path,
        isolation: str,
        start_timeout_s: float | None = None,
        scratch_bytes_max: int = SCRATCH_BYTES_MAX,
        seed: int = 0,
        volumes: VolumeNeed = PLAIN,
    ) -> None:
        if isolation not in ISOLATIONS:
            raise UsageError(f"isolation {isolation!r} is none of {', '.join(ISOLATIONS)}")
        if len(names) not in target.node_counts:
            counts = ", ".join(map(str, target.node_counts))
            raise UsageError(f"{target.name} cannot be made of {len(names)} nodes, but of {counts}")
        self.isolation = isolation
        self.nodes: tuple[Node, ...] = ()
        self._target, self._names = target, tuple(names)
        self._scratch, self._logs = scratch, logs
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        usual_s = target.start_timeout_s if isinstance(target, StartsSlowly) else START_TIMEOUT_S
        self._start_timeout_s = usual_s if start_timeout_s is None else start_timeout_s
        self._bytes = min(scratch_bytes_max, memory // 2)
        self._links: Links = (
            Network(names, target.port_names, seed)
            if isolation == "namespace"
            else Loopback(names, target.port_names)
        )
        self._supervisor = Supervisor({})
        self._volumes, self._operator = Volumes(volumes), Operator(target)
        self._burners = Burners(self._links, self._supervisor)
        self._clocks = Clocks(self._supervisor)
        self._made_scratch = self._mounted = self._started = False
        self._before: frozenset[str] = frozenset()
        #: Mounts of the host. One may go at any time: whoever removes its folder takes it from
        #: every namespace (a container's end does so).
        self._hosts: frozenset[str] = frozenset()

    @property
    def world(self) -> World:
        """What faults act on; valid after `start`."""
        return self._world

    @property
    def exits(self) -> tuple[Exit, ...]:
        """Every end of a node's process so far, planned or not, in order of time."""
        return self._supervisor.exits

    async def start(self) -> None:
        """Make network and data folders, start the nodes, wait until all are ready.

        Raises `Unavailable` with the reason (and a node's last words), `CannotCreate` for the
        folders. What was begun is undone by `stop`.
        """
        if self.isolation == "namespace":
            _insist_on_a_sandbox()
        self._hosts = of_mounts()
        self._make_folders()
        await self._volumes.start(self._scratch, self._names, self._bytes)
        await self._links.start()
        self.nodes = tuple(self._place(name) for name in self._names)
        self._operator.place(self.nodes)
        self._supervisor = Supervisor({node.name: self._process(node) for node in self.nodes})
        self._burners = Burners(self._links, self._supervisor)
        self._clocks = Clocks(self._supervisor)
        self._world = LabWorld(
            self.isolation,
            self.nodes,
            self._links,
            self._supervisor,
            self._target,
            self._volumes,
            self._operator,
            self._burners,
            self._clocks,
        )
        await self._supervisor.start(self._world.ready, self._start_timeout_s)
        self._before = self._inventory()
        self._started = True

    def _make_folders(self) -> None:
        try:
            self._made_scratch = not self._scratch.exists()
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._logs.mkdir(parents=True, exist_ok=True)
            if self.isolation == "namespace":
                flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
                size = f"size={self._bytes},mode=0700"
                syscalls.mount("seatrial", str(self._scratch), "tmpfs", flags, size)
                self._mounted = True
            for name in self._names:
                (self._scratch / name).mkdir(exist_ok=True)
        except OSError as error:
            raise CannotCreate(f"the nodes' folders cannot be made: {error}") from error

    def _place(self, name: str) -> Node:
        return Node(
            name=name,
            address=self._links.address(name),
            ports=self._links.ports(name),
            data_dir=self._scratch / name,
            log_file=self._logs / f"{name}.log",
        )

    def _process(self, node: Node) -> NodeProcess:
        def command() -> Command:
            rejoin = any(node.data_dir.iterdir())
            return self._operator.target(node.name).command(node, self.nodes, rejoin=rejoin)

        return NodeProcess(
            node.name,
            command,
            self._launcher(node.name),
            node.log_file,
            tied=self.isolation == "none",
            why_it_ended=(
                self._target.why_it_ended if isinstance(self._target, EndsItself) else lambda _: ""
            ),
        )

    def _launcher(self, name: str) -> Launch:
        return lambda popen, argv: self._links.launch(name, popen, argv)

    async def heal_everything(self) -> None:
        """Undo all cuts, let stopped processes run on, start all that are down.

        What does not come back stands in `audit`. Nothing to do where `start` did not succeed.
        """
        if not self._started:
            return
        await self._links.mend_all()
        await self._burners.end_all()
        await self._clocks.put_all_right()
        await self._volumes.heal()
        await self._supervisor.heal()

    def audit(self) -> tuple[str, ...]:
        """What is still broken or was left behind since `start`, by the kernel's own tables.

        Links, nodes, and whatever is there now and was not then (or was then and is not now).
        """
        if not self._started:
            return ()
        found = [*self._links.broken(), *self._volumes.broken(), *self._burners.left()]
        found += self._clocks.left()
        found += [f"{node} stands still (SIGSTOP)" for node in self._supervisor.stopped()]
        found += [f"{node} is down" for node in self._supervisor.down()]
        now = self._inventory()
        found += [f"{line} was left behind" for line in sorted(now - self._before)]
        found += [f"{line} is gone" for line in sorted(self._before - now - self._hosts)]
        return tuple(found)

    def _inventory(self) -> frozenset[str]:
        """Mounts, processes and namespaces apart from the nodes' own.

        Not the host's mounts, which we see without a sandbox: none is ours there, and others come
        and go (a container, a stick).
        """
        pids = [self._supervisor[name].pid for name in self._names]
        sandboxed = self.isolation == "namespace"
        return of_machine((pid for pid in pids if pid is not None), mounts_too=sandboxed)

    async def stop(self, keep: Path | None = None) -> None:
        """End the nodes, free network and data; safe after a `start` that failed.

        `keep`: a new folder that gets a copy of the nodes' data once they have ended. Raises
        `CannotCreate` if it cannot be written, with all else freed.
        """
        try:
            # An orderly end of etcd takes seconds; nobody needs it where the data is thrown away.
            await self._supervisor.stop(orderly=keep is not None)
            if keep is not None:
                await asyncio.to_thread(self._copy_data, keep)
        finally:
            await self._burners.end_all()
            await self._volumes.stop()
            await self._links.stop()
            with contextlib.suppress(OSError):
                if self._mounted:
                    syscalls.unmount(str(self._scratch))
                    self._mounted = False
            for name in self._names:
                shutil.rmtree(self._scratch / name, ignore_errors=True)
            shutil.rmtree(self._scratch / ".disks", ignore_errors=True)
            if self._made_scratch:
                with contextlib.suppress(OSError):
                    self._scratch.rmdir()

    def _copy_data(self, keep: Path) -> None:
        try:
            shutil.copytree(self._scratch, keep, ignore=shutil.ignore_patterns(".disks"))
        except (OSError, shutil.Error) as error:
            raise CannotCreate(
                f"the nodes' data cannot be kept in {keep}: {error}\n\nhint: free some space"
            ) from error

    async def __aenter__(self) -> Lab:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


def _insist_on_a_sandbox() -> None:
    """Else root would build the trial's bridge and mount its data on the host itself."""
    if os.environ.get(init.NAMESPACE_VARIABLE) != init.own_network():
        raise UsageError(
            "a lab with isolation 'namespace' was started outside a sandbox\n\n"
            "hint: start the program with `seatrial.engine.lab.sandbox.run`"
        )
