"""A cluster that somebody else made: found by labels, counted, matched, broken and left alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.cli.main import main
from seatrial.engine.argo import paths, places, rights
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.site import ENGINE, ArgoSite
from seatrial.engine.argo.world import ClusterWorld
from seatrial.engine.site import ClusterRecord, PlacedNode
from seatrial.errors import Unavailable, UsageError
from seatrial.fault import PlannedFault
from seatrial.plan import Plan
from seatrial.runner.cleared import clear
from seatrial.runner.planner import Overrides, make_plan
from seatrial.targets.kubernetes import Running, found
from tests.kube.cluster import RUN, SHORT, ChaosMesh, ThreePods, pod
from tests.kube.server import Cluster, Object
from tests.kube.test_site import ENVIRONMENT

THERE = "production"
NODES = ("n1", "n2", "n3")
PORTS = {"client": 2379, "peer": 2380}
PODS = paths.pods(THERE)


def put(cluster: Cluster, *names: str, app: str = "etcd", **spec: object) -> None:
    """Pods of somebody's StatefulSet."""
    for number, name in enumerate(names, 1):
        body = pod("n1")
        body["metadata"] = {"name": name, "namespace": THERE, "labels": {"app": app}}
        body["spec"] |= {"hostname": name, "subdomain": "etcd", **spec}
        body["status"] |= {"podIP": f"10.1.0.{number}"}
        cluster.put(PODS, body)


def running(**more: object) -> Running:
    return Running.model_validate({"namespace": THERE, "selector": "app=etcd", **more})


def settled(api: Api, what: Running) -> tuple[dict[str, str], dict[str, str]]:
    """Pods and addresses by node."""
    place = asyncio.run(places.settle(api, found(what, NODES, PORTS), NODES))
    return dict(place.pods), dict(place.addresses)


# ── which pods ───────────────────────────────────────────────────────────────────────────────


def test_pods_are_found_by_labels_and_sorted_by_name_and_number(cluster: Cluster, api: Api) -> None:
    """`db-10` comes after `db-9`; others' pods and those that have ended are no nodes."""
    put(cluster, "db-10", "db-2", "db-9")
    put(cluster, "other-1", app="other")
    put(cluster, "db-0")
    cluster.change(f"{PODS}/db-0", lambda body: body["status"].update(phase="Failed"))

    pods, addresses = settled(api, running())

    assert pods == {"n1": "db-2", "n2": "db-9", "n3": "db-10"}
    assert addresses["n3"] == "db-10.etcd.production.svc"


@pytest.mark.parametrize("names", [(), ("db-0",), ("db-0", "db-1", "db-2", "db-3")])
def test_another_number_of_pods_is_refused(
    cluster: Cluster, api: Api, names: tuple[str, ...]
) -> None:
    """What is found is named, and how many the trial has."""
    put(cluster, *names)
    with pytest.raises(Unavailable, match=rf"finds {len(names)} pods?.*the trial has 3 nodes"):
        settled(api, running())


def test_endpoints_belong_to_the_pods_of_their_name_or_address(cluster: Cluster, api: Api) -> None:
    """In whatever order they are given; ports go along."""
    put(cluster, "db-0", "db-1", "db-2")
    given = running(endpoints=["db-2.etcd:23", "10.1.0.1:21", "db-1.etcd.production.svc:22"])
    place = asyncio.run(places.settle(api, found(given, NODES, PORTS), NODES))

    assert place.addresses == {
        "n1": "10.1.0.1",
        "n2": "db-1.etcd.production.svc",
        "n3": "db-2.etcd",
    }
    assert [place.node_ports[node]["client"] for node in NODES] == [21, 22, 23]
    assert place.ports == PORTS


def test_an_endpoint_of_no_pod_is_refused(cluster: Cluster, api: Api) -> None:
    """A load balancer's name: nobody knows whom a fault would have to hit."""
    put(cluster, "db-0", "db-1", "db-2")
    given = running(endpoints=["db-0:1", "db-1:1", "lb.example.com:1"])
    with pytest.raises(Unavailable, match=r"^lb\.example\.com: an endpoint of none of 3 pods"):
        settled(api, given)


def test_a_container_that_is_not_there_is_refused(cluster: Cluster, api: Api) -> None:
    """Before anything is made, with those that there are."""
    put(cluster, "db-0", "db-1", "db-2")
    with pytest.raises(Unavailable, match="no container 'shell'\n\nhint: there is db"):
        settled(api, running(container="shell"))


def test_who_clears_up_never_fails_for_pods_that_are_gone(cluster: Cluster, api: Api) -> None:
    """The exit handler heals and audits what there is, also where it may not look."""
    put(cluster, "db-0")
    place = found(running(), NODES, PORTS)
    assert asyncio.run(places.settle_if_there(api, place, NODES)).pods == {"n1": "db-0"}
    cluster.fail("GET", "production/pods", 403, reason="Forbidden")
    assert asyncio.run(places.settle_if_there(api, place, NODES)).pods == {}


# ── what is said of it ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, "nothing says where the cluster is"),
        ({"selector": "app=etcd"}, "the pods' namespace is missing"),
        ({"selector": "app", "nodes": [{"pod": "a"}], "namespace": "x"}, "give one of them"),
        ({"selector": "app=etcd,", "namespace": "x"}, "no selector of labels"),
        ({"selector": "app in (a", "namespace": "x"}, "no selector of labels"),
        ({"endpoints": ["a"]}, "'a' is no endpoint"),
        ({"endpoints": ["a:0"]}, "'a:0' is no endpoint"),
        ({"endpoints": ["a:70000"]}, "'a:70000' is no endpoint"),
        ({"endpoints": ["http://a:1"]}, "is no endpoint"),
        ({"endpoints": ["a:1", "a:1"]}, "stands there twice"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Running.model_validate(given)


@pytest.mark.parametrize(
    "selector",
    ["app", "!app", "app=etcd", "app==etcd,tier!=test", "a.b/c in (d, e),f notin (g)", "app="],
)
def test_selectors_are_those_of_kubectl(selector: str) -> None:
    assert running(selector=selector).has_pods


def test_endpoints_alone_are_nodes_without_pods() -> None:
    """Each with its own port, also one with an IPv6 address."""
    place = found(
        Running.model_validate({"endpoints": ["a:1", "[::1]:2", "10.0.0.1:3"]}), NODES, PORTS
    )
    assert place.addresses == {"n1": "a", "n2": "::1", "n3": "10.0.0.1"}
    assert [place.node_ports[node]["client"] for node in NODES] == [1, 2, 3]
    assert not place.breakable


def test_clients_that_speak_to_other_pods_need_endpoints() -> None:
    """A store behind SQL servers: fewer endpoints than nodes are shared among clients."""
    with pytest.raises(UsageError, match="clients of this target speak to other pods"):
        found(running(), NODES, {"sql": 4000}, apart=True)
    place = found(running(endpoints=["a:4000", "b:4001"]), NODES, {"sql": 4000}, apart=True)
    assert [*place.addresses.values()] == ["a", "b", "a"]


def test_what_cannot_be_cleared_of_earlier_trials_is_not_loaded() -> None:
    """Their values would be read as ones that nobody wrote."""
    with pytest.raises(Unavailable, match="three-pods runs already, and what earlier trials wrote"):
        asyncio.run(clear(ThreePods(), ()))


# ── the plan ─────────────────────────────────────────────────────────────────────────────────


def plan(*faults: str, **more: object) -> Plan:
    given = Overrides(engine="argo", faults=faults, **more)  # type: ignore[arg-type]
    return make_plan(case("etcd-register"), 1, given)


def test_faults_on_endpoints_are_refused_when_the_plan_is_made() -> None:
    """Nothing says which pods to break."""
    endpoints = ("a:1", "b:1", "c:1")
    assert plan(endpoints=endpoints).target.nodes == NODES
    with pytest.raises(UsageError, match="only endpoints are known"):
        plan("kill", endpoints=endpoints)


def test_faults_that_take_commands_need_a_container() -> None:
    """Links are measured inside of the pods; a kill is seen from outside."""
    there = {"selector": "app=etcd", "target_namespace": THERE}
    plan("kill", **there)
    for faults, options in (
        (("partition",), ()),
        (("pause",), ("kubernetes.running.container=shell",)),
    ):
        with pytest.raises(UsageError, match=r"kubernetes\.running\.container=NAME"):
            plan(*faults, target_options=options, **there)
    both = ("kubernetes.running.container=shell", "kubernetes.running.process=etcd")
    plan("partition", "pause", target_options=both, **there)


def test_a_running_cluster_may_have_any_number_of_nodes() -> None:
    """A target is made of 1, 3 or 5; one that runs has as many as it has."""
    assert len(plan(endpoints=("a:1", "b:1", "c:1", "d:1")).target.nodes) == 4
    assert len(plan(selector="app", target_namespace=THERE, nodes=7).target.nodes) == 7


def test_the_command_that_repeats_it_says_where_it_runs() -> None:
    made = plan(
        "kill",
        selector="app in (a, b)",
        target_namespace=THERE,
        target_options=("election_ms=2000",),
        keep_target="on-failure",
    )
    assert made.repeat.endswith(
        "--faults kill --keep-target on-failure --target-option election_ms=2000 "
        "--selector 'app in (a, b)' --target-namespace production"
    )
    assert made.keep_target == "on-failure"


def test_rights_are_asked_in_both_namespaces() -> None:
    """Objects of Chaos Mesh are ours; its webhook asks for rights where the pods are."""
    made = plan("kill", selector="app=etcd", target_namespace=THERE)
    wanted = {
        (right.namespace, right.resource, right.verb)
        for right in rights.of_plan(made, RUN.namespace, THERE, [])
    }
    assert (RUN.namespace, "podchaos", "delete") in wanted
    assert {verb for where, what, verb in wanted if (where, what) == (THERE, "podchaos")} == {
        "create",
        "update",
    }
    assert (THERE, "pods", "list") in wanted
    assert not any(where == "" for where, _, _ in wanted)
    assert not [r for r in rights.of_plan(plan(endpoints=("a:1",)), "x", "", []) if not r.namespace]


# ── kept or not ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("keep", "ended", "stays"),
    [
        ("on-failure", "Failed", True),
        ("on-failure", "Error", True),
        ("on-failure", "Succeeded", False),
        ("on-failure", "", False),
        ("never", "Failed", False),
    ],
)
def test_the_target_of_a_trial_that_failed_is_kept_where_its_case_says_so(
    cluster: Cluster,
    api: Api,
    inside: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    keep: str,
    ended: str,
    stays: bool,
) -> None:
    """A verdict of invalid or unknown is a workflow that is Failed; the step says what it did."""
    sets = paths.collection("apps/v1", "StatefulSet", RUN.namespace)
    made = plan(keep_target=keep)
    for number in range(3):
        body = pod("n1")
        body["metadata"]["name"] = f"{RUN.name}-etcd-{number}"
        cluster.put(paths.pods(RUN.namespace), body)
    assert step(tmp_path, made, "provision") == 0
    assert step(tmp_path, made, "teardown", "--ended", ended) == 0

    assert (f"{sets}/{RUN.name}-etcd" in cluster.objects) is stays
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == (
        f"kept, as the case says: the workflow is {ended}; it goes when the Workflow is deleted"
        if stays
        else "the cluster is gone"
    )


@pytest.mark.parametrize(
    ("case_says", "file", "option", "expected"),
    [
        ("never", None, None, "never"),
        ("on-failure", None, None, "on-failure"),
        ("never", "on-failure", None, "on-failure"),
        ("never", "on-failure", "never", "never"),
        ("on-failure", None, "never", "never"),
    ],
)
def test_the_option_goes_before_the_file_and_the_file_before_the_case(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case_says: str,
    file: str | None,
    option: str | None,
    expected: str,
) -> None:
    kept = case("etcd-register").model_copy(update={"keep_target": case_says})
    monkeypatch.setattr("seatrial.cli.planning.cases.case", lambda _: kept)
    settings = tmp_path / "cluster.yaml"
    settings.write_text(f"keep: {file}\n" if file else "", encoding="utf-8")
    words = ["--keep-target", option] if option else []

    assert main(["render", "etcd-register", "--settings", str(settings), *words, "--json"]) == 0

    (parameter,) = json.loads(capsys.readouterr().out)["spec"]["arguments"]["parameters"]
    assert json.loads(parameter["value"])["keep_target"] == expected


# ── the steps ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pod of the Workflow."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def chaos_mesh_is_there(cluster: Cluster) -> None:
    cluster.groups["chaos-mesh.org"] = ("podchaos", "networkchaos")


def step(tmp_path: Path, made: Plan, *words: str) -> int:
    file = tmp_path / "plan.json"
    file.write_text(made.to_text(), encoding="utf-8")
    return main(["step", *words, "--plan", str(file), "--dir", str(tmp_path / "trial")])


def test_the_steps_find_the_pods_and_make_nothing(
    cluster: Cluster, api: Api, inside: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """preflight, provision, teardown: no object is made, changed or removed."""
    chaos_mesh_is_there(cluster)
    put(cluster, "db-0", "db-1", "db-2")
    made = plan("kill", selector="app=etcd", target_namespace=THERE)

    assert step(tmp_path, made, "preflight") == 0
    assert step(tmp_path, made, "provision") == 0
    assert step(tmp_path, made, "teardown", "--ended", "Failed") == 0

    assert "it ran before, and is left as it is" in capsys.readouterr().out
    record = json.loads((tmp_path / "trial/steps/provision/cluster.json").read_text())
    assert [(one["name"], one["address"], one["ports"]["client"]) for one in record["nodes"]] == [
        (node, f"db-{number}.etcd.production.svc", 2379) for number, node in enumerate(NODES)
    ]
    asked = [(method, path) for method, path, _ in cluster.requests if method != "GET"]
    its_own = f"{paths.workflows(RUN.namespace)}/{RUN.name}"  # a label: the plan's seed
    assert {path for _, path in asked} == {rights.REVIEW, its_own}


def test_preflight_says_how_many_pods_there_are(
    cluster: Cluster, api: Api, inside: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chaos_mesh_is_there(cluster)
    put(cluster, "db-0", "db-1")
    made = plan("kill", selector="app=etcd", target_namespace=THERE)
    assert step(tmp_path, made, "preflight") == 69
    assert "finds 2 pods (db-0, db-1) in production" in capsys.readouterr().out


def test_preflight_names_rights_that_are_missing_there(
    cluster: Cluster, api: Api, inside: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chaos_mesh_is_there(cluster)
    cluster.denied.add(("list", "pods"))
    made = plan("kill", selector="app=etcd", target_namespace=THERE)
    assert step(tmp_path, made, "preflight") == 69
    assert "list pods in production" in capsys.readouterr().out


def test_endpoints_need_nothing_of_the_cluster_but_a_board(
    cluster: Cluster, api: Api, inside: None, tmp_path: Path
) -> None:
    """No pods are looked at, and every endpoint is a node with its own port."""
    made = plan(endpoints=("10.9.0.1:1", "10.9.0.2:2", "10.9.0.3:3"))
    assert step(tmp_path, made, "preflight") == 0
    assert step(tmp_path, made, "provision") == 0
    record = json.loads((tmp_path / "trial/steps/provision/cluster.json").read_text())
    assert [one["ports"]["client"] for one in record["nodes"]] == [1, 2, 3]
    assert cluster.asked("GET", "/pods") == 0


def test_later_steps_keep_to_the_pods_of_the_beginning(
    cluster: Cluster, api: Api, inside: None, tmp_path: Path
) -> None:
    """Another pod with the same labels does not shift who is n1."""
    put(cluster, "db-1", "db-2", "db-3")
    made = plan("kill", selector="app=etcd", target_namespace=THERE)
    assert step(tmp_path, made, "provision") == 0
    put(cluster, "db-0")
    record = ClusterRecord.model_validate_json(
        (tmp_path / "trial/steps/provision/cluster.json").read_text()
    )

    async def act() -> dict[str, str | None]:
        site = await ENGINE.open(record, made, tmp_path)
        world = site.world
        assert isinstance(world, ClusterWorld)
        seen = {node: await world.pod(node) for node in NODES}
        await site.close()
        return {node: pod.name if pod else None for node, pod in seen.items()}

    assert asyncio.run(act()) == {"n1": "db-1", "n2": "db-2", "n3": "db-3"}


def test_a_fault_is_made_in_our_namespace_and_hits_pods_in_theirs(
    cluster: Cluster, api: Api
) -> None:
    """Owned by the Workflow, which an owner reference reaches only inside of its namespace."""
    put(cluster, "db-0", "db-1", "db-2")
    mesh = ChaosMesh(cluster)
    hurt: list[str] = []
    mesh.hurt = hurt.extend
    target = ThreePods()
    place = asyncio.run(places.settle(api, found(running(), NODES, PORTS), NODES))
    nodes = [PlacedNode(name=n, address="10.0.0.1", ports=PORTS) for n in NODES]
    site = ArgoSite(api, RUN, target, place, nodes, SHORT)
    fault = PlannedFault(
        id="fault-1", kind="kill", victims="one", nodes=("n2",), start_s=0, duration_s=5
    )

    asyncio.run(site.kind("kill").inject(site.world, fault, ("n2",)))

    (made,) = [body for path, body in cluster.objects.items() if "podchaos" in path]
    assert hurt == ["db-1"]
    assert made["metadata"]["namespace"] == RUN.namespace
    assert made["metadata"]["ownerReferences"][0]["uid"] == RUN.owner_uid
    assert made["spec"]["selector"] == {"pods": {THERE: ["db-1"]}}


def test_the_plan_goes_through_a_workflows_parameters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a schedule draws anew each night is the plan that the same options give here."""
    words = ["--selector", "app=etcd", "--target-namespace", THERE, "--faults", "kill"]
    words += ["--target-option", "election_ms=2000", "--target-option", "heartbeat_ms=50"]
    words += ["--keep-target", "on-failure", "--fault-option", "kill.duration_s=3"]
    assert main(["render", "etcd-register", *words, "--cron", "0 2 * * *", "--json"]) == 0
    spec: Object = json.loads(capsys.readouterr().out)["spec"]["workflowSpec"]
    given = {p["name"]: p["value"] for p in spec["arguments"]["parameters"]}
    assert main(["plan", "etcd-register", *words, "--seed", "7", "--engine", "argo", "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)

    for name, value in {**given, "seed": "7"}.items():
        monkeypatch.setenv(f"SEATRIAL_PLAN_{name.replace('-', '_').upper()}", value)
    assert main(["plan", "etcd-register", "--engine", "argo", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert {**found, "repeat": ""} == {**expected, "repeat": ""}


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--selector", "app=etcd"], "says which pods, and not where"),
        (["--target-namespace", "x"], "says where pods are, and not which"),
        (["--endpoints", "a:1,b"], "'b' is no endpoint"),
        (["--target-option", "election_ms"], "is no NAME=VALUE"),
        (["--target-option", "elections_ms=1"], "did you mean 'election_ms'"),
        (["--target-option", "election_ms.x=1", "--target-option", "election_ms=5"], "election_ms"),
        (["--keep-target", "always"], "'always' is not one of"),
        (["--cron", "@daily", "--target-option", "binary=a b"], "a value with spaces"),
        (["--cron", "@daily", "--steady", "etcd"], "--steady cannot be a parameter"),
    ],
)
def test_what_is_typed_wrong_is_named(
    words: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "etcd-register", "--faults", "kill", *words]) == 64
    told = capsys.readouterr().err
    assert wrong in told and "hint: " in told
