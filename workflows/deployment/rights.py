"""Service accounts and the rights they have, from what the cases need; all in one namespace.

Three accounts, as in `Settings.accounts`. `judge` can only report outputs to Argo, `load` also
reads and writes the trial's board, `cluster` makes and removes targets and faults. Nobody may
read Secrets, do anything outside of the namespace, or give rights away. A new fault or target in a
case grows the Role when the files are made anew, and a person sees it in the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from seatrial import faults as shelf
from seatrial import targets
from seatrial.cases import CASES, case
from seatrial.engine.argo import orderly
from seatrial.engine.argo.rights import by_command
from seatrial.errors import SeatrialError
from seatrial.fault import CLUSTER, PlannedFault
from seatrial.faults.chaos.catalogue import FAMILIES
from seatrial.schedule import FaultChoice, leaves
from seatrial.target import Placed
from seatrial.verdict import Json
from seatrial.workflows.names import MANAGED_BY
from seatrial.workflows.settings import Settings

ARGO, CHAOS_MESH, CORE = "argoproj.io", "chaos-mesh.org", ""
READ = ("get", "list", "watch")
#: Server-side apply of an object that is not there yet asks for `create` as well as `patch`; the
#: end of one is watched; what a run left is looked for by its label.
MAKE = (*READ, "create", "patch", "delete")
#: Plurals of what targets are made of, which no rule of English gives.
PLURALS: Mapping[str, str] = {
    "ConfigMap": "configmaps",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Service": "services",
    "StatefulSet": "statefulsets",
    "TidbCluster": "tidbclusters",
}
#: Names of nodes to ask targets and faults with; any would do.
NODES = ("n1", "n2", "n3")

#: (group, resource) → verbs.
Grants = dict[tuple[str, str], tuple[str, ...]]


def judge() -> Grants:
    """What every step may do: Argo's executor reports its outputs."""
    return {(ARGO, "workflowtaskresults"): ("create", "patch")}


def load() -> Grants:
    """The step that sends ops finds the others on the trial's board."""
    return {**judge(), (CORE, "configmaps"): ("get", "create", "update")}


def cluster(cases: Iterable[str]) -> Grants:
    """Making and removing the targets and faults of `cases`."""
    made: Grants = {
        **load(),
        # The trial's board goes with its target.
        (CORE, "configmaps"): ("get", "list", "create", "update", "delete"),
        (CORE, "pods"): READ,
        (CORE, "pods/log"): ("get",),
        # Pausing a process, measuring a link: commands inside of a target's pod.
        (CORE, "pods/exec"): ("create", "get"),
        # What a StatefulSet asked for may outlive it; an operator's is made the run's own.
        (CORE, "persistentvolumeclaims"): ("get", "list", "watch", "patch", "delete"),
        # Campaigns make trials and stop them; the reaper asks which runs are over.
        (ARGO, "workflows"): ("get", "list", "create", "patch"),
    }
    names = tuple(cases)
    for group, resource in sorted({*target_kinds(names), *chaos_kinds(names)}):
        verbs = (*MAKE, "update") if group == CHAOS_MESH else MAKE
        made[group, resource] = _more(made.get((group, resource), ()), verbs)
    return made


def there(settings: Settings, namespace: str, faults: Sequence[str]) -> list[dict[str, Json]]:
    """Role and RoleBinding in the namespace of a cluster that runs already, for the steps' account.

    Enough to look at its pods, to break them in these ways and to measure it; nothing of it can be
    made, and removed only pods by faults that restart them. The objects of Chaos Mesh stand in the
    trials' namespace, but its webhook asks whether who makes them might make them here. In the
    trials' own namespace this is what faults take that no case has, besides `documents`.
    """
    grants: Grants = {(CORE, "pods"): READ, (CORE, "pods/log"): ("get",)}
    chosen = [FaultChoice(kind=name) for name in faults]
    if by_command([_example(choice.kind, {}) for choice in chosen]):
        grants[CORE, "pods/exec"] = ("create", "get")
    if {"rolling-restart", *orderly.CHANGING} & set(faults):
        grants[CORE, "pods"] = (*READ, "delete")
    chaos = (*MAKE, "update") if namespace == settings.namespace else ("create", "update")
    for choice in chosen:
        family = FAMILIES.get(choice.kind)
        for kind in sorted(_manifests(choice) if family is None else {family.kind}):
            grants[CHAOS_MESH, kind.lower()] = chaos
    name = f"{settings.accounts.cluster}-{settings.namespace}"
    _, role, binding = _account(namespace, name, grants)
    subject: dict[str, Json] = {
        "kind": "ServiceAccount",
        "name": settings.accounts.cluster,
        "namespace": settings.namespace,
    }
    return [role, {**binding, "subjects": [subject]}]


def target_kinds(cases: Sequence[str]) -> set[tuple[str, str]]:
    """(group, resource) of what the targets of `cases` are made of."""
    found = set()
    for name in sorted({case(one).target for one in cases}):
        target = targets.make(name)
        if not isinstance(target, Placed):
            continue
        for body in target.place(NODES, "run", "namespace").objects:
            group = str(body["apiVersion"]).rpartition("/")[0]
            group = group if "/" in str(body["apiVersion"]) else CORE
            found.add((group, PLURALS[str(body["kind"])]))
    return found


def chaos_kinds(cases: Sequence[str]) -> set[tuple[str, str]]:
    """(group, resource) of the Chaos Mesh objects that the faults of `cases` become."""
    found: set[tuple[str, str]] = set()
    for name in cases:
        for choice in leaves(case(name).schedule.root):
            found |= {(CHAOS_MESH, kind.lower()) for kind in _manifests(choice)}
    return found


def _manifests(choice: FaultChoice) -> set[str]:
    kinds: set[str] = set()
    fault_kind = shelf.kind(choice.kind)
    for options in choice.options or ({},):
        if fault_kind.unavailable(CLUSTER, NODES, options):
            continue
        try:
            manifest = fault_kind.manifest(
                _example(choice.kind, options), NODES[:1], NODES, "namespace"
            )
        except SeatrialError:
            continue  # done by a command in the pod, or not on a cluster at all
        kinds |= set(_kinds(manifest))
    return kinds


def _example(kind: str, options: Mapping[str, Json]) -> PlannedFault:
    return PlannedFault(
        id="fault-1",
        kind=kind,
        victims="one",
        nodes=NODES[:1],
        start_s=0.0,
        duration_s=5.0,
        options=options,
    )


def _kinds(manifest: Mapping[str, Json]) -> Iterable[str]:
    """The manifest's kind, or those inside of a Chaos Mesh Workflow, which is made part by part."""
    if manifest["kind"] != "Workflow":
        yield str(manifest["kind"])
        return
    spec = cast(Mapping[str, Json], manifest["spec"])
    for template in cast(Sequence[Mapping[str, Json]], spec["templates"]):
        kind = str(template["templateType"])
        if kind.endswith("Chaos"):
            yield kind


def wanted(settings: Settings, cases: Iterable[str] = ()) -> dict[str, Grants]:
    """What each account needs for `cases` (all if none is named)."""
    accounts = settings.accounts
    return {
        accounts.judge: judge(),
        accounts.load: load(),
        accounts.cluster: cluster(tuple(cases) or tuple(CASES)),
    }


def documents(settings: Settings, cases: Iterable[str] = ()) -> list[dict[str, Json]]:
    """ServiceAccounts, Roles and RoleBindings for `cases` (all if none is named)."""
    made: list[dict[str, Json]] = []
    for name, grants in wanted(settings, cases).items():
        made += _account(settings.namespace, name, grants)
    return made


def _account(namespace: str, name: str, grants: Grants) -> list[dict[str, Json]]:
    metadata: dict[str, Json] = {
        "name": name,
        "namespace": namespace,
        "labels": {**MANAGED_BY},
    }
    rules: list[Json] = [
        {"apiGroups": [group], "resources": [resource], "verbs": [*verbs]}
        for (group, resource), verbs in sorted(grants.items())
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def _more(before: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *more)))
