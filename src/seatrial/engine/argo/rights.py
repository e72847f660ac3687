"""What a plan needs of a cluster: kinds that it knows, and verbs that this account may use.

Kinds are read from discovery, rights asked one by one of the API (`SelfSubjectAccessReview`),
which answers for the very account that asks, whatever roles it has them from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from seatrial.engine.argo import chaos, claims, orderly, paths
from seatrial.engine.argo.api import Api, ApiError, path_of
from seatrial.engine.argo.effects import BY_COMMAND, WITHOUT_COMMANDS
from seatrial.errors import SeatrialError
from seatrial.fault import PlannedFault
from seatrial.faults import FAULTS
from seatrial.faults import kind as kind_of
from seatrial.plan import Plan
from seatrial.verdict import Json

REVIEW: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_ALL: Final = ("get", "list", "watch", "create", "patch", "delete")
#: In the namespace of the pods: what Chaos Mesh 2.8 asks for an object that is made or changed.
_THERE: Final = ("create", "update")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A verb on a resource of a namespace."""

    namespace: str
    group: str
    resource: str
    verb: str

    @property
    def sentence(self) -> str:
        """As a person says it."""
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where} in {self.namespace}"


def of_plan(
    plan: Plan, own: str, target_namespace: str, made: Iterable[tuple[str, str]]
) -> tuple[Right, ...]:
    """All rights that carrying out a plan takes: its faults, its target, board and logs.

    `own` is the trial's namespace; `made` are the kinds that its target is made of.
    `target_namespace` is "" for one whose pods are not known.
    """
    found = _rights(own, "", "configmaps", ("get", "create", "update", "delete"))
    if target_namespace:
        found += _rights(target_namespace, "", "pods", ("get", "list", "watch"))
        found += _rights(target_namespace, "", "pods/log", ("get",))
    for kind in sorted(chaos_kinds(plan)):
        found += _rights(own, paths.CHAOS_MESH, kind.lower(), _ALL)
        # Its webhook asks whether who breaks pods of a namespace might make the object there too.
        found += _rights(target_namespace, paths.CHAOS_MESH, kind.lower(), _THERE)
    if any(_by_command(fault.kind) for fault in plan.faults):
        # A WebSocket begins with a GET, for which "get" is asked, by newer servers "create" too.
        found += _rights(target_namespace, "", "pods/exec", ("get", "create"))
    made = tuple(made)
    names = {fault.kind for fault in plan.faults}
    if names & {"rolling-restart", *orderly.CHANGING}:
        found += _rights(target_namespace, "", "pods", ("delete",))
    if names & {*orderly.CHANGING}:
        found += _rights(own, "apps", "statefulsets", ("get", "list", "watch", "patch"))
    if "member-change" in names:
        found += _rights(own, "", "persistentvolumeclaims", ("delete",))
    for version, kind in made:
        group = version.partition("/")[0] if "/" in version else ""
        verbs = ("get", "watch", "create", "patch", "delete")
        found += _rights(own, group, paths.PLURALS[version, kind], verbs)
    if any(kind in ("StatefulSet", claims.TIDB_CLUSTER) for _, kind in made):
        volumes = ("get", "list", "watch", "delete")
        found += _rights(own, "", "persistentvolumeclaims", volumes)
    if any(kind == claims.TIDB_CLUSTER for _, kind in made):
        # The operator's claims are made the run's own.
        found += _rights(own, "", "persistentvolumeclaims", ("patch",))
    return tuple(sorted(set(found)))


def _by_command(kind: str) -> bool:
    """Whether it is done, or measured, by commands in the pods."""
    return kind not in WITHOUT_COMMANDS and kind not in orderly.NAMES


def by_command(faults: Iterable[PlannedFault]) -> tuple[str, ...]:
    """Kinds among `faults` that need a container in the pods where commands are carried out."""
    return tuple(dict.fromkeys(fault.kind for fault in faults if _by_command(fault.kind)))


def chaos_kinds(plan: Plan) -> set[str]:
    """The Chaos Mesh kinds that a plan's faults become; empty for what is done otherwise."""
    found: set[str] = set()
    for fault in plan.faults:
        if fault.kind in BY_COMMAND or fault.kind not in FAULTS:
            continue
        nodes = [*plan.target.nodes]
        victims = fault.nodes or nodes[:1]
        try:
            manifest = kind_of(fault.kind).manifest(fault, victims, nodes, "default")
        except SeatrialError:
            continue  # preflight says of each fault why it cannot be done
        found |= {str(part["kind"]) for part in chaos.parts(manifest)}
    return found


def _rights(namespace: str, group: str, resource: str, verbs: Sequence[str]) -> list[Right]:
    return [Right(namespace, group, resource, verb) for verb in verbs]


async def missing(api: Api, wanted: Sequence[Right]) -> tuple[str, ...]:
    """What is not there: whole groups of kinds first, then single rights, in sentences."""
    groups = {right.group for right in wanted if right.group.endswith((".org", ".io", ".com"))}
    known = {group: await resources(api, group) for group in sorted(groups)}
    told = [f"{group} is not installed" for group, found in known.items() if not found]
    ask = []
    for right in wanted:
        names = known.get(right.group)
        if names is None:
            ask.append(right)
        elif names and right.resource not in names:
            told.append(f"{group_name(right)} is not installed")
        elif names:
            ask.append(right)
    answers = await asyncio.gather(*(allowed(api, right) for right in ask))
    told += [right.sentence for right, yes in zip(ask, answers, strict=True) if not yes]
    return tuple(dict.fromkeys(told))


def group_name(right: Right) -> str:
    """The resource with its group."""
    return f"{right.resource}.{right.group}"


async def resources(api: Api, group: str) -> frozenset[str]:
    """Plurals of all kinds of a group, in its preferred version; empty if it is not installed."""
    try:
        found = await api.get(path_of("apis", group))
        version = str(found["preferredVersion"]["version"])
        listed = await api.get(path_of("apis", group, version))
    except ApiError as error:
        if error.status == 404:
            return frozenset()
        raise
    return frozenset(str(one["name"]) for one in listed.get("resources") or ())


async def allowed(api: Api, right: Right) -> bool:
    """Whether this account has the right."""
    body: dict[str, Json] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes(right)},
    }
    answer = await api.create(REVIEW, body)
    return bool((answer.get("status") or {}).get("allowed"))


def attributes(right: Right) -> dict[str, Json]:
    """A right as a review of access asks for it."""
    resource, _, sub = right.resource.partition("/")
    made: dict[str, Json] = {
        "namespace": right.namespace,
        "group": right.group,
        "resource": resource,
        "verb": right.verb,
    }
    return {**made, "subresource": sub} if sub else made
