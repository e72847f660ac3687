"""However a trial ends, nothing of it stays on the host; as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.host import Host, kill_hard, marked, ordinary_host, spaces

pytestmark = pytest.mark.lab

ISOLATIONS = ("namespace", "none")
KILLS = 4


@pytest.fixture(params=["root", "ordinary"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "root" and os.getuid() != 0:
        pytest.skip("the tests do not run as root")
    if request.param == "root":
        yield Host(tmp_path / "trial")
    else:
        with ordinary_host() as host:
            yield host


@pytest.fixture
def own_host(tmp_path: Path) -> Host:
    """The user that runs the tests."""
    return Host(tmp_path / "trial")


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_group_ends_the_trial_in_order(
    host: Host, isolation: str, number: int
) -> None:
    """The program gets it exactly once, the nodes do not, and files belong to the user."""
    with host.tool("hold", isolation) as process:
        made = host.ready(process)
        assert len(made & spaces()) == len(made)
        os.killpg(process.pid, number)
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert process.wait(timeout=30) == 0, host.stderr()
    expected = signal.SIGTERM if number == signal.SIGHUP else number
    assert said == {"received": [expected], "unplanned": []}
    host.assert_clean(made)
    assert not (host.folder / "data").exists()
    for name in ("own.txt", "logs/n1.log"):
        assert (host.folder / name).stat().st_uid == host.user


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_an_exception_inside_ends_the_trial(own_host: Host, isolation: str) -> None:
    with own_host.tool("crash", isolation) as process:
        assert process.wait(timeout=30) == 1
    assert "crash in the middle" in own_host.stderr()
    own_host.assert_clean(set())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_second_signal_kills_a_program_that_does_not_end(own_host: Host, isolation: str) -> None:
    with own_host.tool("stubborn", isolation) as process:
        made = own_host.ready(process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 137
    own_host.assert_clean(made)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_end_of_the_grace_kills_a_program_that_does_not_end(
    own_host: Host, isolation: str
) -> None:
    with own_host.tool("stubborn", isolation, "0.3") as process:
        made = own_host.ready(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 137
    own_host.assert_clean(made)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_that_left_their_parents_end_with_the_tool(
    host: Host, isolation: str, number: int
) -> None:
    with host.tool("stray", isolation) as process:
        made = host.ready(process)
        assert len(marked(host.mark)) >= 6
        process.send_signal(number)
        process.wait(timeout=30)
    host.assert_clean(made)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_sigkill_of_the_tool_at_random_moments_leaves_nothing(host: Host, isolation: str) -> None:
    """The moments cover the start of the tool, of the namespaces and of the nodes."""
    for seed in range(KILLS):
        with host.tool("hold", isolation) as process:
            time.sleep(random.Random(seed).uniform(0.0, 1.2))
            kill_hard(process)
        host.assert_clean(set())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_sigkill_of_every_process_in_turn_leaves_nothing(own_host: Host, isolation: str) -> None:
    """Whichever of the tool, the guard, init and the program dies first takes the rest along."""
    chain = {"namespace": 3, "none": 2}[isolation]  # guard, init, program; guard, program
    for turn in range(chain):
        with own_host.tool("hold", isolation) as process:
            made = own_host.ready(process)
            victim = sorted(pid for pid in marked(own_host.mark) if pid != process.pid)[turn]
            os.kill(victim, signal.SIGKILL)
            process.wait(timeout=30)
        own_host.assert_clean(made)
