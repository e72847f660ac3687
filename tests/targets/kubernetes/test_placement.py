"""What targets are made of on Kubernetes: goldens, CRDs, and that values stay values.

`SEATRIAL_REWRITE_GOLDENS=1` writes the goldens anew; a missing one fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial import targets, yaml_text
from seatrial.errors import UsageError
from seatrial.target import Placed, Placement
from seatrial.targets import kubernetes
from seatrial.verdict import Json
from seatrial.workflows.deployment.rights import PLURALS
from tests.workflows.validator import VALIDATOR, refused

GOLDENS = Path(__file__).parent / "goldens"
REWRITE = os.environ.get("SEATRIAL_REWRITE_GOLDENS") == "1"
NODES = ("n1", "n2", "n3")
RUN = "etcd-register-x7k2p"
PARTS = ("pd", "tikv", "tidb")
STOP_S = 10.0
RUNNING: Mapping[str, Json] = {
    "namespace": "production",
    "nodes": [
        {"pod": f"db-{number}", "address": f"db-{number}.db.production.svc"} for number in range(3)
    ],
    "ports": {"client": 2379},
    "container": "shell",
    "process": "etcd",
}
#: Name of the golden → target and settings.
CASES: Mapping[str, tuple[str, Mapping[str, Json]]] = {
    "etcd": ("etcd", {}),
    "etcd-without-volume": (
        "etcd",
        {"quota_bytes": 1 << 20, "pre_vote": True, "kubernetes": {"storage": ""}},
    ),
    "tidb": ("tidb", {}),
    "tidb-one-class": ("tidb", {"part": "tidb", "kubernetes": {"storage_class": "fast"}}),
    "mariadb-galera": ("mariadb-galera", {}),
}


def place(name: str, settings: Mapping[str, Json], run: str = RUN) -> Placement:
    target = targets.make(name, settings)
    assert isinstance(target, Placed)
    return target.place(NODES, run, "seatrial")


@pytest.mark.parametrize("name", CASES)
def test_what_is_made_is_the_golden(name: str) -> None:
    text = yaml_text.to_yaml(place(*CASES[name]).objects)
    golden = GOLDENS / f"{name}.yaml"
    if REWRITE:
        GOLDENS.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")

    assert golden.is_file(), "no golden: SEATRIAL_REWRITE_GOLDENS=1 writes it"
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.skipif(not VALIDATOR, reason="SEATRIAL_CRD_VALIDATOR names no CRD validator")
@pytest.mark.parametrize("name", ["tidb", "tidb-one-class"])
def test_the_operators_crd_accepts_it_and_no_unknown_field(name: str, tmp_path: Path) -> None:
    objects = [dict(one) for one in place(*CASES[name]).objects]

    assert refused(tmp_path, *objects) == ""


@pytest.mark.parametrize("name", CASES)
def test_everything_is_in_the_namespace_labelled_and_known_to_the_rights(name: str) -> None:
    for body in place(*CASES[name]).objects:
        metadata = cast(dict[str, Any], body["metadata"])
        assert metadata["namespace"] == "seatrial"
        assert metadata["labels"]["seatrial/run"] == RUN
        assert metadata["name"].startswith(RUN)
        assert body["kind"] in PLURALS


def pod_of(body: Mapping[str, Json]) -> dict[str, Any]:
    return cast(Any, body)["spec"]["template"]["spec"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", [name for name, (target, _) in CASES.items() if target != "tidb"])
def test_pods_have_no_rights_no_root_and_are_not_restarted_for_being_slow(name: str) -> None:
    (stateful,) = [b for b in place(*CASES[name]).objects if b["kind"] == "StatefulSet"]
    pod = pod_of(stateful)

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {c["name"] for c in pod["containers"]} == {"node", "probe"}
    for container in pod["containers"]:
        assert "livenessProbe" not in container
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def probes(name: str) -> list[dict[str, Any]]:
    """The containers `probe` of what is made."""
    bodies = [cast(Any, body)["spec"] for body in place(*CASES[name]).objects]
    pods = [b["template"]["spec"]["containers"] for b in bodies if "template" in b]
    pods += [b[part]["additionalContainers"] for b in bodies for part in PARTS if part in b]
    return [one for containers in pods for one in containers if one["name"] == kubernetes.PROBE]


@pytest.mark.parametrize("name", CASES)
def test_a_probe_ends_at_once_when_its_pod_is_stopped_also_as_pid_1(name: str) -> None:
    """kubelet stops a pod's containers one after the other; the kernel keeps from PID 1 what it
    has no handler for."""
    found = probes(name)
    assert len(found) == (len(PARTS) if name.startswith("tidb") else 1)
    for probe in found:
        words = [
            "unshare",
            "--user",
            "--map-root-user",
            "--fork",
            "--pid",
            "--kill-child",
            *probe["command"],
        ]
        running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        try:
            first = first_process(running)
            os.kill(first, signal.SIGTERM)
            assert running.wait(STOP_S) == 0
        finally:
            running.kill()
            _, said = running.communicate(timeout=STOP_S)
            if "unshare failed" in said:
                pytest.skip("no user namespaces here")


def first_process(running: subprocess.Popen[str]) -> int:
    """PID 1 of the namespace that `unshare` made, as it is called out here, once it sleeps."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    deadline = time.monotonic() + STOP_S
    while running.poll() is None and time.monotonic() < deadline:
        for first in children.read_text().split():
            if Path(f"/proc/{first}/task/{first}/children").read_text() or in_sleep(first):
                return int(first)
        time.sleep(0.01)
    pytest.skip("no user namespaces here")


def in_sleep(process: str) -> bool:
    """Whether the process itself is `sleep`."""
    return Path(f"/proc/{process}/comm").read_text().strip() == "sleep"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_tidb_knows_how_much_memory_it_has(part: str) -> None:
    """TiKV gives its cache a share of what it may have: without a limit, of the machine."""
    (body,) = place("tidb", {}).objects
    spec = cast(Any, body)["spec"][part]
    assert spec["limits"] == {"memory": spec["requests"]["memory"]}


def test_nothing_stands_beside_tidb_that_ignores_its_end() -> None:
    """The operator's container for slow queries is a `tail`, PID 1 too."""
    (body,) = place("tidb", {}).objects
    assert cast(Any, body)["spec"]["tidb"]["separateSlowLog"] is False


def test_a_cluster_that_runs_is_found_and_nothing_is_made() -> None:
    found = place("etcd", {"kubernetes": {"running": RUNNING}})

    assert found.objects == ()
    assert found.namespace == "production"
    assert found.pods == {"n1": "db-0", "n2": "db-1", "n3": "db-2"}
    assert found.addresses["n2"] == "db-1.db.production.svc"
    assert (found.container, found.process) == ("shell", "etcd")
    assert found.ports == {"client": 2379, "peer": 2380}


def test_a_running_cluster_of_another_size_is_refused() -> None:
    target = targets.make("etcd", {"kubernetes": {"running": RUNNING}})
    assert isinstance(target, Placed)

    with pytest.raises(UsageError, match="3 nodes, the trial 1"):
        target.place(("n1",), RUN, "seatrial")


@given(st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True))
def test_names_begin_with_the_run_stay_short_and_differ(run: str) -> None:
    made = kubernetes.stem(run, "etcd")

    assert len(made) <= kubernetes.NAME_MAX
    assert made.startswith(run[: kubernetes.NAME_MAX - kubernetes.HASH_CHARS - 1].rstrip("-"))
    assert made != kubernetes.stem(run, "galera")


@pytest.mark.parametrize(
    "value", ["etcd\n- evil", 'x"}', "a b", "{{ x }}", "${HOME}"], ids=["newline", *"qsjd"]
)
def test_a_value_cannot_become_structure(value: str) -> None:
    with pytest.raises(UsageError, match="image"):
        place("etcd", {"kubernetes": {"image": value}})


def test_nodes_of_tidb_are_the_part_that_is_broken_and_clients_speak_to_sql() -> None:
    for part in ("tidb", "tikv", "pd"):
        made = place("tidb", {"part": part})
        assert all(f"-{part}-" in pod for pod in made.pods.values())
        assert all("-tidb-peer." in address for address in made.addresses.values())
        others = {"tidb", "tikv", "pd"} - {part}
        assert {pod.rsplit("-", 2)[1] for pod in made.beside} == others
        assert len(made.beside) == 6 and not set(made.beside) & set(made.pods.values())
