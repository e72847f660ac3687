"""A cluster that runs elsewhere is loaded from this machine by its endpoints, and left as it is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aetcd import rpc

from seatrial import targets
from seatrial.cli.main import main
from seatrial.engine.lab import elsewhere
from seatrial.engine.lab.elsewhere import Elsewhere
from seatrial.errors import Unavailable
from seatrial.targets.etcd import binary
from seatrial.targets.etcd.channel import open_channel
from seatrial.verdict import Json
from tests.kube.test_members import free_ports

RUN = ["run", "etcd-register", "--faults", "none", "--time-limit", "3s", "--rate", "100", "--json"]
RUN += ["--seed", "7"]


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[str]:
    """An etcd that somebody started; where it listens."""
    client, peer = free_ports(2)
    with (tmp_path / "etcd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(binary.find(None)),
                f"--data-dir={tmp_path / 'data'}",
                f"--listen-client-urls={url(client)}",
                f"--advertise-client-urls={url(client)}",
                f"--listen-peer-urls={url(peer)}",
                f"--initial-advertise-peer-urls={url(peer)}",
                f"--initial-cluster=default={url(peer)}",
            ],
            stdout=log,
            stderr=log,
            env={k: v for k, v in os.environ.items() if not k.startswith("ETCD_")},
        )
    yield f"127.0.0.1:{client}"
    assert process.poll() is None, "it ended with the trial"
    process.kill()
    process.wait()


@pytest.mark.full
def test_a_cluster_that_runs_is_loaded_and_judged_and_goes_on(
    etcd: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its version is what it says itself, and the command that repeats it says where it is.

    A second trial with the same keys finds nothing of the first, and what is not ours stays.
    """

    async def theirs(value: int | None) -> object:
        settings: dict[str, Json] = {"kubernetes": {"running": {"endpoints": [etcd]}}}
        there = Elsewhere(targets.make("etcd", settings), ("n1",))
        await there.start()
        (node,) = there.nodes
        async with open_channel(node) as channel:
            kv: Any = channel.unary_unary
            if value is not None:
                put = kv("/etcdserverpb.KV/Put", rpc.PutRequest.SerializeToString, None)
                await put(rpc.PutRequest(key=b"r/0", value=b"theirs"), timeout=10)
            get = kv(
                "/etcdserverpb.KV/Range",
                rpc.RangeRequest.SerializeToString,
                rpc.RangeResponse.FromString,
            )
            return (await get(rpc.RangeRequest(key=b"r/0"), timeout=10)).kvs[0].value

    assert asyncio.run(theirs(1)) == b"theirs"
    for _ in range(2):
        status = main([*RUN, "--endpoints", etcd, "--store", str(tmp_path / "trials")])
        told = json.loads(capsys.readouterr().out)
        assert (status, told["verdict"]) == (0, "valid"), told["cause"]
    assert asyncio.run(theirs(None)) == b"theirs"
    assert told["checkers"]["linearizable"]["judged"] > 0
    trial = Path(told["trial"])
    record = json.loads((trial / "trial.json").read_text())
    assert record["versions"]["etcd"] == "3.5.1"
    assert record["nodes"]["n1"]["address"] == "127.0.0.1"
    plan = json.loads((trial / "plan.json").read_text())
    assert plan["isolation"] == "none" and f"--endpoints {etcd}" in plan["repeat"]


def test_endpoints_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "START_TIMEOUT_S", 0.3)
    (port,) = free_ports(1)
    settings: dict[str, Json] = {"kubernetes": {"running": {"endpoints": [f"127.0.0.1:{port}"]}}}
    with pytest.raises(Unavailable, match=rf"^n1 \(127\.0\.0\.1:{port}\): no answer within"):
        asyncio.run(Elsewhere(targets.make("etcd", settings), ("n1",)).start())


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--endpoints", "a:1,b:1,c:1", "--faults", "kill"], "cannot be done from this machine"),
        (["--selector", "a", "--target-namespace", "b", "--faults", "none"], "finds no pods"),
    ],
)
def test_what_cannot_be_done_from_here_is_refused_when_the_plan_is_made(
    words: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "etcd-register", *words]) == 64
    told = capsys.readouterr().err
    assert wrong in told and "--engine argo" in told
