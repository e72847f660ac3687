"""The lab's network, supervisor and faults, on real processes inside real sandboxes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from seatrial.engine.lab import sandbox
from seatrial.engine.lab.world import Lab
from seatrial.errors import Unavailable, UsageError
from tests.lab.host import Host, ordinary_host
from tests.lab.tiny import TinyTarget

pytestmark = pytest.mark.lab

BOTH = ("supervision", "bad_start", "process_faults", "etcd")


@pytest.mark.parametrize("isolation", sandbox.ISOLATIONS)
@pytest.mark.parametrize("scenario", BOTH)
def test_scenario(tmp_path: Path, scenario: str, isolation: str) -> None:
    """Each scenario says in its docstring what must hold."""
    Host(tmp_path).run(scenario, isolation)


@pytest.mark.parametrize("scenario", ["network", "partitions", "forbidden", "mounts_of_others"])
def test_scenario_of_namespaces(tmp_path: Path, scenario: str) -> None:
    """Each scenario says in its docstring what must hold."""
    Host(tmp_path).run(scenario, "namespace")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount on the host")
def test_scenario_of_the_host(tmp_path: Path) -> None:
    """The scenario says in its docstring what must hold."""
    Host(tmp_path).run("mounts_of_the_host", "none")


@pytest.mark.parametrize("scenario", ["network", "partitions", "supervision"])
def test_scenario_as_an_ordinary_user(scenario: str) -> None:
    """The same without root's rights."""
    with ordinary_host() as host:
        host.run(scenario, "namespace")


@pytest.mark.parametrize("isolation", sandbox.ISOLATIONS)
def test_two_trials_side_by_side_do_not_meet(tmp_path: Path, isolation: str) -> None:
    """The same scenario twice at a time: the same addresses, ports and names, no clash."""
    one, two = Host(tmp_path / "one"), Host(tmp_path / "two")
    with one.tool("supervision", isolation) as a, two.tool("supervision", isolation) as b:
        codes = a.wait(timeout=90), b.wait(timeout=90)
    assert codes == (0, 0), one.stderr() + two.stderr()


def test_the_program_sees_its_own_processes_and_interfaces_only() -> None:
    async def look() -> tuple[bytes, int]:
        inside = await sandbox.start(
            ["/bin/sh", "-c", "echo $$; echo /proc/[0-9]*; cat /proc/net/dev | tail -n +3; exit 7"],
            isolation="namespace",
            stdout=asyncio.subprocess.PIPE,
        )
        assert inside.process.stdout is not None
        text = await inside.process.stdout.read()
        return text, await inside.wait()

    text, code = asyncio.run(look())
    pid, processes, *devices = text.decode().splitlines()
    assert (pid, code) == ("2", 7)
    assert set(processes.split()) <= {"/proc/1", "/proc/2", "/proc/3"}
    assert [line.split(":")[0].strip() for line in devices if "lo:" not in line] == []


def test_a_program_that_is_not_there_is_said_to_be_missing() -> None:
    for isolation in sandbox.ISOLATIONS:
        with pytest.raises(Unavailable, match="cannot execute /nowhere/tool: No such file"):
            asyncio.run(sandbox.start(["/nowhere/tool"], isolation=isolation))


def test_a_lab_outside_a_sandbox_touches_nothing(tmp_path: Path) -> None:
    lab = Lab(
        TinyTarget(),
        ["n1"],
        scratch=tmp_path / "data",
        logs=tmp_path / "logs",
        isolation="namespace",
    )

    async def start() -> None:
        async with lab:
            raise AssertionError("it started")

    with pytest.raises(UsageError, match="outside a sandbox"):
        asyncio.run(start())
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_of_a_size_that_the_target_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be made of 2 nodes, but of 1, 3, 5"):
        Lab(TinyTarget(), ["n1", "n2"], scratch=tmp_path, logs=tmp_path, isolation="none")


def test_an_unknown_isolation_is_refused() -> None:
    with pytest.raises(UsageError, match="'docker' is none of namespace, none"):
        asyncio.run(sandbox.start(["true"], isolation="docker"))


def test_a_forked_child_that_keeps_the_pipe_does_not_keep_the_sandbox(tmp_path: Path) -> None:
    """`kill` does not rely on the end of the pipe being closed everywhere."""

    async def scenario() -> int:
        inside = await sandbox.start(["/bin/sleep", "100"], isolation="namespace")
        copy = os.dup(inside._liveness)  # type: ignore[arg-type]
        try:
            return await asyncio.wait_for(inside.kill(), 10)
        finally:
            os.close(copy)

    assert asyncio.run(scenario()) == 137
