"""`pause` on a cluster: the scripts are carried out by a real shell on a real process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.cli.main import main
from seatrial.engine.argo import pausing
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.site import ArgoSite
from seatrial.engine.site import PlacedNode
from seatrial.errors import Unavailable
from seatrial.fault import FaultKind, PlannedFault, Proof
from seatrial.runner.planner import Overrides, make_plan
from seatrial.target import Node, Placement
from tests.kube.cluster import NAMESPACE, NODES, RUN, SHORT, ThreePods
from tests.kube.server import Cluster, Process
from tests.kube.test_site import ENVIRONMENT

BOUND_S = 10.0


class Database(ThreePods):
    """n2's process: one of this machine, under a name of its own; it answers while it runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.process = f"db{os.getpid()}"
        sleep = shutil.which("sleep")
        assert sleep is not None
        self._program = folder / self.process
        shutil.copy(Path(sleep).resolve(), self._program)
        self.start()

    def start(self) -> None:
        """Start it (anew)."""
        self.running = subprocess.Popen([str(self._program), "300"])
        until(lambda: Path(f"/proc/{self.running.pid}/comm").read_text().strip() == self.process)

    def end(self) -> None:
        """SIGKILL."""
        self.running.kill()
        self.running.wait(BOUND_S)

    @property
    def state(self) -> str:
        """The kernel's letter."""
        stat = Path(f"/proc/{self.running.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]

    @property
    def switches(self) -> list[int]:
        """Processes that would let it run on."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"seatrial-switch" in words and self.process.encode() in words:
                found.append(int(path.parent.name))
        return found

    def spawn(self, pod: str, container: str, argv: list[str]) -> Process:
        """A command in a pod; the others' processes are not the same."""
        assert container == "helm"
        line = argv if pod == "db-n2" else ["true"]
        pipe = subprocess.PIPE
        return subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe)

    async def ready(self, node: Node, timeout_s: float) -> bool:
        return node.name != "n2" or self.state != "T"

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        return replace(super().place(nodes, run, namespace), process=self.process)


def until(good: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + BOUND_S
    while not good():
        assert time.monotonic() < deadline, "not so within the bound"
        time.sleep(0.01)


@pytest.fixture
def database(cluster: Cluster, tmp_path: Path) -> Iterator[Database]:
    """Of three nodes, of which n2 can be broken."""
    made = Database(tmp_path)
    cluster.spawn = made.spawn
    yield made
    made.end()
    for pid in made.switches:
        os.kill(pid, signal.SIGKILL)


def fault(duration_s: float = 5.0) -> PlannedFault:
    return PlannedFault(
        id="fault-1", kind="pause", victims="one", nodes=("n2",), start_s=0, duration_s=duration_s
    )


def site_of(api: Api, target: ThreePods) -> ArgoSite:
    """What a step of a plan with pauses opens."""
    nodes = [PlacedNode(name=n, address="10.0.0.1", ports={"client": 2379}) for n in NODES]
    place = target.place(NODES, RUN.name, NAMESPACE)
    return ArgoSite(api, RUN, target, place, nodes, SHORT, pauses=True)


def paused(
    api: Api, target: ThreePods, act: Callable[[ArgoSite, FaultKind], Awaitable[None]]
) -> None:
    """Stop n2, and do something then."""

    async def run() -> None:
        site = site_of(api, target)
        kind = site.kind("pause")
        await kind.inject(site.world, fault(), ["n2"])
        await act(site, kind)

    asyncio.run(run())


def test_pause_is_a_signal_sent_inside_of_the_pod(api: Api, database: Database) -> None:
    """SIGSTOP and SIGCONT; the kernel's letter and the silence are the proof. No switch is left."""
    proofs: list[Proof] = []

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        until(lambda: database.state == "T")
        assert len(database.switches) == 1
        proofs.append(await kind.prove_injected(site.world, fault(), ["n2"]))
        await kind.heal(site.world, fault(), ["n2"])
        assert database.state != "T"
        await kind.heal(site.world, fault(), ["n2"])
        proofs.append(await kind.prove_healed(site.world, fault(), ["n2"]))

    paused(api, database, act)
    assert [proof.seen for proof in proofs] == [True, True], proofs
    until(lambda: not database.switches)


def test_a_process_whose_step_died_runs_on_by_itself(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead man's switch, when the fault is long over."""
    monkeypatch.setattr(pausing, "SWITCH_S", 1.0)

    async def act() -> None:
        site = site_of(api, database)
        await site.kind("pause").inject(site.world, fault(0.5), ["n2"])

    asyncio.run(act())
    until(lambda: database.state == "T")
    until(lambda: database.state != "T")


def test_the_switch_signals_no_other_process_of_the_number(database: Database) -> None:
    """Numbers come again; together with its start a process is one only."""
    pid = database.running.pid
    start = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    os.kill(pid, signal.SIGSTOP)
    until(lambda: database.state == "T")

    def fire(of: int) -> None:
        argv = ["sh", "-c", pausing._SWITCH, "switch", str(pid), str(of), "0"]
        subprocess.run(argv, check=False, timeout=BOUND_S)

    fire(start + 1)
    assert database.state == "T"
    fire(start)
    until(lambda: database.state != "T")


def test_a_process_started_anew_was_not_paused_to_the_end(api: Api, database: Database) -> None:
    """The kubelet restarts what does not answer its probe; the new one is not credited."""

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        database.end()
        database.start()
        with pytest.raises(Unavailable, match="n2: its process was started anew meanwhile"):
            await kind.heal(site.world, fault(), ["n2"])

    paused(api, database, act)
    until(lambda: not database.switches)


def test_a_process_that_somebody_let_run_on_was_not_paused_to_the_end(
    api: Api, database: Database
) -> None:
    """By hand, or by the switch."""

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        until(lambda: database.state == "T")
        database.running.send_signal(signal.SIGCONT)
        with pytest.raises(Unavailable, match=r"n2: its process ran already \(state [RS]\)"):
            await kind.heal(site.world, fault(), ["n2"])
        await kind.heal(site.world, fault(), ["n2"])

    paused(api, database, act)


def test_every_step_that_heals_lets_stopped_processes_run_on(api: Api, database: Database) -> None:
    """The fault's own step is dead: the audit names the process, healing everything mends it."""

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        until(lambda: database.state == "T")
        fresh = site_of(api, database)
        stopped = f"n2's process {database.running.pid} is stopped"
        assert stopped in await fresh.audit()
        assert await fresh.heal_everything() == ()
        assert database.state != "T"
        assert await fresh.audit() == ()

    paused(api, database, act)
    until(lambda: not database.switches)


def test_who_cannot_be_let_run_on_is_told(cluster: Cluster, api: Api, database: Database) -> None:
    """No command can be carried out any more: nobody says that all is well."""

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        cluster.fail("GET", "/exec", 403, times=99, reason="Forbidden")
        told = await site.heal_everything()
        assert [one.partition(": ")[0] for one in told] == [*NODES]
        assert all("its process may still be stopped" in one for one in told)
        assert any("n2: nobody could look" in one for one in await site.audit())
        with pytest.raises(Unavailable, match="n2: exec in db-n2/helm"):
            await kind.heal(site.world, fault(), ["n2"])

    paused(api, database, act)


def test_the_first_process_of_a_pod_cannot_be_stopped(cluster: Cluster, api: Api) -> None:
    """From inside of its own namespace the kernel ignores it."""
    cluster.command = lambda *_: ("1 S 100\n", 0)
    with pytest.raises(Unavailable, match="first of its namespace"):
        paused(api, ThreePods(), _nothing)


async def _nothing(site: ArgoSite, kind: FaultKind) -> None:
    """Not reached."""


def test_a_step_hears_while_a_command_in_a_pod_takes_its_time(
    cluster: Cluster, api: Api, database: Database
) -> None:
    """A signal to the step is a callback of its loop: no proof stands still."""
    late: list[float] = []

    def slow(pod: str, container: str, argv: list[str]) -> Process:
        return database.spawn(pod, container, ["sh", "-c", 'sleep 1; exec "$@"', "sh", *argv])

    async def ticks() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            late.append(time.monotonic() - before)

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        cluster.spawn = slow
        ticking = asyncio.create_task(ticks())
        assert (await kind.prove_injected(site.world, fault(), ["n2"])).seen
        await kind.heal(site.world, fault(), ["n2"])
        assert (await kind.prove_healed(site.world, fault(), ["n2"])).seen
        ticking.cancel()

    paused(api, database, act)
    assert max(late) < 0.9


@pytest.mark.parametrize(("faults", "asks"), [(("pause",), True), (("partition",), False)])
def test_the_exit_handler_lets_processes_run_on_where_the_plan_pauses(
    cluster: Cluster,
    api: Api,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faults: tuple[str, ...],
    asks: bool,
) -> None:
    """In every node's pod; a plan without a pause may have no right to do so."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    plan = make_plan(case("etcd-register"), 1, Overrides(engine="argo", faults=faults))
    (tmp_path / "plan.json").write_text(plan.to_text())
    released: list[str] = []

    def command(pod: str, container: str, argv: list[str]) -> tuple[str, int]:
        if "kill -CONT" in argv[2]:
            released.append(pod)
        return "", 0

    cluster.command = command
    main(["step", "heal", "--exit", "--dir", str(tmp_path)])
    assert len(set(released)) == (len(plan.target.nodes) if asks else 0)
