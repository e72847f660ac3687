"""What needs no sandbox: ports without namespaces, names of nodes, reading /proc."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.engine.lab.loopback import ADDRESS, Loopback
from seatrial.engine.lab.network import Network
from seatrial.engine.lab.process import Exit, read_stat
from seatrial.errors import Unavailable, UsageError

NAMES = ("n1", "n2", "n3")


async def _started() -> Loopback:
    links = Loopback(NAMES, ("client", "peer"))
    await links.start()
    return links


def all_ports(links: Loopback) -> list[int]:
    return [port for name in NAMES for port in links.ports(name).values()]


def test_trials_side_by_side_never_choose_the_same_port() -> None:
    """Also not before the first of them has bound it."""

    async def scenario() -> None:
        trials = [await _started() for _ in range(20)]
        ports = [port for links in trials for port in all_ports(links)]
        assert len(ports) == len(set(ports)) == 20 * 6
        for links in trials:
            await links.stop()

    asyncio.run(scenario())


def test_chosen_ports_can_be_bound_and_are_never_given_to_connections() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())

    async def scenario() -> None:
        links = await _started()
        for port in all_ports(links):
            assert port < low or port > high
            socket.create_server((ADDRESS, port)).close()
        await links.stop()

    asyncio.run(scenario())


def test_a_link_of_loopback_cannot_be_cut_and_says_so() -> None:
    async def scenario() -> None:
        links = await _started()
        assert await links.reaches("n1", "n2", 2.0)
        with pytest.raises(Unavailable, match=r"n1 → n2 cannot be broken.*isolation none"):
            await links.cut("n1", "n2")
        await links.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("names", [("n1", "client"), ("n1", "n1"), tuple(map(str, range(101)))])
def test_names_that_a_network_cannot_tell_apart_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="up to 100 nodes of different names"):
        Network(names, ("client",))


def test_a_process_with_a_spiteful_name_is_read_right() -> None:
    """The name in /proc/PID/stat may hold spaces and brackets."""
    rename = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b') T 1 (x'); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", rename], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        assert b") T 1 (x" in Path(f"/proc/{process.pid}/stat").read_bytes()
        stat = read_stat(process.pid)
        process.stdin.write(b"\n")
        process.stdin.close()
    assert stat is not None and stat[0] in "RS"
    own = read_stat(os.getpid())
    assert own is not None and own[1] <= stat[1]
    assert read_stat(process.pid) is None


def test_an_exit_is_told_in_a_sentence() -> None:
    killed = Exit("n1", 42, planned=False, code=None, signal=9, uptime_s=1.25, time_ns=0)
    assert killed.sentence == "n1 (pid 42) ended after 1.2 s: SIGKILL, unplanned"
    ended = Exit("n1", 42, planned=True, code=3, signal=None, uptime_s=0.0, time_ns=0)
    assert ended.sentence.endswith("exit status 3, planned")
