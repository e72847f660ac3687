"""One plan and seed, three endings: valid, invalid by tighter tolerances, unknown without data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from seatrial.cli.main import main

pytestmark = [
    pytest.mark.lab,
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus is installed"),
]

RUN = ("run", "etcd-steady", "--seed", "3", "--time-limit", "20s")
TIGHTER = """
- name: one change of leader at a time
  probe:
    source: prometheus
    query: max(increase(etcd_server_leader_changes_seen_total[10s]))
    excuse_victims: true
  continuously: {max: 0.5}
"""


def servers_of(store: Path) -> list[int]:
    """The processes of Prometheus that keep their data under `store`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if words[0].endswith("prometheus") and any(str(store) in word for word in words):
                found.append(int(entry.name))
    return found


def test_valid_and_by_tighter_tolerances_invalid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same trial: what was sampled is judged again, without Prometheus."""
    status = main([*RUN, "--store", str(tmp_path), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (status, document["verdict"]) == (0, "valid"), document["cause"]
    sampled = [s for s in document["steady_states"] if s["source"] == "prometheus"]
    assert len(sampled) == 5
    assert all(len(state["series"]["t_s"]) >= 15 for state in sampled)

    tighter = tmp_path / "tighter.yaml"
    tighter.write_text(TIGHTER, encoding="utf-8")
    trial = str(tmp_path / "latest")
    status = main(["check", trial, "--steady", str(tighter), "--json"])
    again = json.loads(capsys.readouterr().out)
    assert (status, again["verdict"]) == (1, "invalid")
    assert again["cause"].startswith("one change of leader at a time was 1.")
    assert "; at most 0.5 allowed" in again["cause"]


def test_unknown_where_prometheus_was_stopped_in_the_middle(tmp_path: Path) -> None:
    """The same plan and seed; the server is killed while the leader is down."""
    command = [sys.executable, "-m", "seatrial", *RUN, "--store", str(tmp_path)]
    process = subprocess.Popen(
        [*command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    killed = False
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            if not killed and "faults: kill" in line:
                (pid,) = servers_of(tmp_path)
                os.kill(pid, signal.SIGKILL)
                killed = True
    status = process.wait()
    watchdog.cancel()

    assert killed
    document = json.loads((tmp_path / "latest" / "verdict.json").read_text(encoding="utf-8"))
    assert (status, document["verdict"]) == (2, "unknown"), document["cause"]
    answers = {s["name"]: s["verdict"] for s in document["steady_states"]}
    assert answers.pop("clients are served again") == "valid"
    assert set(answers.values()) == {"unknown"}
    causes = " ".join(state["cause"] for state in document["steady_states"])
    assert "cannot be reached: Connection refused" in causes
