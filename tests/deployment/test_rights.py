"""What the accounts may do, and above all what they may not."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from seatrial import faults as shelf
from seatrial import targets
from seatrial.cases import CASES, case
from seatrial.engine.argo.rights import of_plan
from seatrial.fault import CLUSTER
from seatrial.runner.planner import Overrides, make_plan
from seatrial.schedule import leaves
from seatrial.target import Placed
from seatrial.workflows.deployment import rights
from seatrial.workflows.deployment.schedules import NIGHTLY_CASES
from seatrial.workflows.settings import Accounts, Settings

SETTINGS = Settings()
MADE = rights.documents(SETTINGS)
ALL_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def rules(account: str) -> list[dict[str, Any]]:
    (role,) = [d for d in MADE if d["kind"] == "Role" and d["metadata"]["name"] == account]  # type: ignore[index, call-overload]
    return list(role["rules"])  # type: ignore[arg-type]


def may(account: str, verb: str, group: str, resource: str) -> bool:
    return any(
        group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
        for rule in rules(account)
    )


ACCOUNTS = tuple(Accounts().model_dump().values())
#: Ways to become more than one is, to read what is secret, or to reach out of the namespace.
DANGEROUS = (
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "nodes"),
    ("", "namespaces"),
    ("", "persistentvolumes"),
    ("", "pods/attach"),
    ("", "pods/ephemeralcontainers"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("argoproj.io", "workflowtemplates"),
    ("argoproj.io", "cronworkflows"),
    ("chaos-mesh.org", "physicalmachinechaos"),
    ("chaos-mesh.org", "kernelchaos"),
    ("chaos-mesh.org", "awschaos"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_nobody_may_do_what_is_dangerous(account: str) -> None:
    allowed = [
        (verb, group, resource)
        for verb, (group, resource) in product(ALL_VERBS, DANGEROUS)
        if may(account, verb, group, resource)
    ]

    assert allowed == []


def test_there_is_nothing_beyond_the_namespace_and_no_wildcard() -> None:
    assert {d["kind"] for d in MADE} == {"ServiceAccount", "Role", "RoleBinding"}
    assert {d["metadata"]["namespace"] for d in MADE} == {"seatrial"}  # type: ignore[index, call-overload]
    for account in ACCOUNTS:
        for rule in rules(account):
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not any("*" in word for word in words)
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(words)


def test_a_judge_only_reports_to_argo_and_a_load_only_adds_the_board() -> None:
    judge, load = (
        {(r["apiGroups"][0], r["resources"][0]): tuple(r["verbs"]) for r in rules(account)}
        for account in (SETTINGS.accounts.judge, SETTINGS.accounts.load)
    )

    assert judge == {("argoproj.io", "workflowtaskresults"): ("create", "patch")}
    assert load == {**judge, ("", "configmaps"): ("get", "create", "update")}


def test_pods_are_broken_by_chaos_mesh_and_made_by_controllers_never_by_us() -> None:
    cluster = SETTINGS.accounts.cluster

    assert may(cluster, "get", "", "pods")
    for verb in ("create", "update", "patch", "delete"):
        assert not may(cluster, verb, "", "pods")


def test_rights_follow_the_cases() -> None:
    """A case without partitions needs no NetworkChaos; every case's faults are covered."""
    without = rights.chaos_kinds(["etcd-replicas-kill"])

    assert without == {("chaos-mesh.org", "podchaos")}
    assert ("chaos-mesh.org", "networkchaos") in rights.chaos_kinds(["etcd-register"])
    cluster = SETTINGS.accounts.cluster
    for group, resource in rights.chaos_kinds(tuple(CASES)) | rights.target_kinds(tuple(CASES)):
        for verb in ("get", "watch", "create", "patch", "delete"):
            assert may(cluster, verb, group, resource)


@pytest.mark.parametrize("name", CASES)
def test_what_preflight_asks_for_is_granted(name: str) -> None:
    """For the faults of each case that a cluster can do."""
    wanted = case(name)
    faults = tuple(
        choice.kind
        for choice in leaves(wanted.schedule.root)
        if not shelf.kind(choice.kind).unavailable(CLUSTER, ("n1", "n2", "n3"), {})
    )
    plan = make_plan(wanted, 1, Overrides(engine="argo", faults=faults))
    target = targets.make(plan.target.name, plan.target.settings)
    if not isinstance(target, Placed):
        pytest.skip(f"target {target.name} has no place on a cluster")
    objects = target.place(plan.target.nodes, "run", "seatrial").objects
    made = {(str(one["apiVersion"]), str(one["kind"])) for one in objects}
    asked = of_plan(plan, "seatrial", "seatrial", sorted(made))
    cluster = SETTINGS.accounts.cluster

    assert asked
    assert [r.sentence for r in asked if not may(cluster, r.verb, r.group, r.resource)] == []


def test_the_night_runs_cases_that_exist() -> None:
    assert set(NIGHTLY_CASES) <= set(CASES)
