"""Kubernetes as an engine of steps: pods for nodes, Chaos Mesh for faults, a ConfigMap for board.

`provision` makes the target's objects, owned by the Workflow, and waits until its pods are ready.
Every later step finds them through `cluster.json`; the steps of the exit handler, which are given
no room, through the plan, which says the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from seatrial import faults as shelf
from seatrial import targets
from seatrial.engine.argo import (
    capacity,
    chaos,
    claims,
    effects,
    kinds,
    labels,
    orderly,
    paths,
    pausing,
    places,
    pods,
    rights,
)
from seatrial.engine.argo.api import APPLY, Api, ApiError, Object, TimedOut, connect, selector
from seatrial.engine.argo.board import ConfigMapBoard
from seatrial.engine.argo.chaos import BOUNDS, Bounds
from seatrial.engine.argo.pods import PodState
from seatrial.engine.argo.run import RUN_LABEL, Run, of_environment
from seatrial.engine.argo.world import ClusterWorld
from seatrial.engine.site import Board, ClusterRecord, Line, PlacedNode
from seatrial.errors import Absent, SeatrialError, Unavailable
from seatrial.fault import FaultKind, World
from seatrial.plan import Plan
from seatrial.target import Node, Placed, Placement, Target
from seatrial.trial import write_text
from seatrial.verdict import Json

#: How long all pods of a target may take until they are ready; those of one that runs already.
READY_S = 900.0
RUNNING_S = 60.0
#: How soon a node that is only an endpoint must answer to count as alive in the audit.
ANSWER_S = 5.0
#: How long what a target is made of may take to go.
GONE_S = 120.0
#: How much longer than its bounds one injection or healing may take: look-ups around it.
ACT_SLACK_S = 15.0
#: The notice of what Chaos Mesh said of faults that their own steps did not end, and what the
#: whole board is kept as beside the logs.
INJURIES = "injuries"
BOARD = "board.json"
#: Where the step with the load listens.
LINE_PORT = 7433
MANAGER = "seatrial"
#: The container of a step's pod that runs the step, as Argo calls it.
MAIN = "main"
#: What we made is ours to change, whoever touched it since.
FORCE = {"fieldManager": MANAGER, "force": "true"}


class PodMark(BaseModel):
    """Which pod a node was when the trial began, and how often its containers had been started."""

    uid: str
    restarts: int
    name: str = ""


class ArgoSite:
    """`seatrial.engine.site.Site` on a cluster."""

    def __init__(
        self,
        api: Api,
        run: Run,
        target: Target,
        placement: Placement,
        nodes: Sequence[PlacedNode],
        bounds: Bounds = BOUNDS,
        untouched: Mapping[str, PodMark] | None = None,
        broken_by: Collection[str] = (),
        pauses: bool = False,
    ) -> None:
        self._pauses = pauses and bool(placement.container and placement.process)
        self._untouched, self._broken_by = untouched or {}, broken_by
        self._bounds = bounds
        self._api, self._run, self._placement = api, run, placement
        self._target = target
        self._nodes = tuple(node.node() for node in nodes)
        self._world = ClusterWorld(api, target, self._nodes, placement, run)
        self._board = ConfigMapBoard(api, run)

    @property
    def world(self) -> World:
        """What faults act on."""
        return cast(World, self._world)

    @property
    def board(self) -> Board:
        """The trial's board."""
        return self._board

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, as clients reach them."""
        return self._nodes

    @property
    def stays(self) -> str:
        """Why nothing is taken down: it ran before."""
        return "" if self._placement.objects else "it ran before, and is left as it is"

    @property
    def act_timeout_s(self) -> float:
        """How long one injection or healing may take."""
        return max(self._bounds.inject_s, self._bounds.end_s, orderly.ROLL_S) + ACT_SLACK_S

    @property
    def recovery_timeout_s(self) -> float:
        """How long it may take to see that a fault is over and its victims are back."""
        return kinds.READY_S + ACT_SLACK_S

    @property
    def heal_timeout_s(self) -> float:
        """How long removing all faults may take: side by side, so as long as one."""
        return self._bounds.end_s + ACT_SLACK_S

    def kind(self, name: str) -> FaultKind:
        """A kind of fault as it is done here."""
        own = orderly.kind(
            name, self._api, self._target, self._placement, self._nodes, self._world.ready
        )
        return own or kinds.kind(name, self._run, self.locate, self._bounds)

    async def locate(self) -> Mapping[str, tuple[str, ...]]:
        """Roles as they are now."""
        return await self._world.roles()

    async def heal_everything(self) -> tuple[str, ...]:
        """Remove every fault of this run, whoever made it; what did not end in order.

        Where the plan pauses, every process that is stopped runs on.
        """
        release = asyncio.create_task(self._release())
        try:
            found = await self._injuries()
            told = await chaos.end_all(self._api, self._run, found, self._bounds)
            await self._note(found)
        finally:
            held = await release
        return (*held, *told)

    async def _note(self, ended: Sequence[chaos.Injury]) -> None:
        """Keep what Chaos Mesh said of faults whose own step cannot: with the object it is gone."""
        if not ended:
            return
        with contextlib.suppress(Unavailable):  # healing goes on where nothing can be noted
            before = await self._board.read(INJURIES)
            known = {} if before is None else before.document
            now: dict[str, Json] = {one.name: one.evidence() for one in ended}
            await self._board.post(INJURIES, {**known, **now})

    async def audit(self) -> tuple[str, ...]:
        """Faults of this run that are still there, and pods that are not ready."""
        left = [f"{one.kind} {one.name} is still there" for one in await self._injuries()]
        left += await pausing.standing(self._world) if self._pauses else ()
        if not self._placement.breakable:
            answers = [(n, await self._world.ready(n, ANSWER_S)) for n in self._world.nodes]
            return (*left, *(f"{node} does not answer" for node, there in answers if not there))
        for node in self._world.nodes:
            seen = await self._world.pod(node)
            if seen is None:
                left.append(f"{node} has no pod")
            elif not seen.ready:
                left.append(f"{node} is not ready ({seen.phase or 'no phase'})")
        return tuple(left)

    async def unplanned(self) -> tuple[str, ...]:
        """Pods that were made anew, or whose containers were started again, without a fault.

        Of nodes that no fault on processes can have met; others' restarts are theirs to explain.
        """
        told = []
        for node, before in self._untouched.items():
            now = await self._world.pod(node)
            if now is None or now.uid != before.uid:
                told.append(f"{node}: its pod is not the one of the beginning, and no fault did it")
            elif now.restarts > before.restarts:
                told.append(
                    f"{node}: started {now.restarts - before.restarts} times more, by no fault"
                )
        return tuple(told)

    async def collect(self, into: Path) -> tuple[str, ...]:
        """The logs of the nodes' pods, and the trial's board with what steps told each other."""
        brought = []
        with contextlib.suppress(ApiError):
            if there := await self._board.read_all():
                told = {name: dict(one.document) for name, one in sorted(there.items())}
                write_text(into / BOARD, json.dumps(told, indent=2) + "\n")
                brought.append(BOARD)
        for pod in self._placement.pods.values():
            try:
                found = await pods.logs(self._api, self._placement.namespace, pod)
            except ApiError:
                continue
            for name, text in found.items():
                write_text(into / name, text.decode(errors="replace"))
                brought.append(name)
        return tuple(brought)

    async def teardown(self, keep: Path | None) -> tuple[str, ...]:
        """Remove what made the target, last first, and wait until it is gone.

        Volumes that a StatefulSet or an operator asked for go too, and the trial's board: nobody
        can repeat a load on what is gone. A target that ran before is left alone, and the board
        stays. `keep` has no meaning here: data stays on volumes, which go with the target.
        """
        left: list[str] = []
        for body in reversed([self._owned(one) for one in self._placement.objects]):
            left += await _remove(self._api, body)
        if self._placement.objects:
            left += await self._remove_volumes()
            await self._board.remove()
        return tuple(left)

    async def close(self) -> None:
        """Let go of the connections."""
        self._api.close()

    def _owned(self, body: Mapping[str, Any]) -> Object:
        return self._run.owned(body)

    async def _release(self) -> tuple[str, ...]:
        return await pausing.release(self._world, self._run) if self._pauses else ()

    async def _injuries(self) -> list[chaos.Injury]:
        label = selector({RUN_LABEL: self._run.name})
        return await chaos.of_run(self._api, self._run.namespace, label, self._broken_by)

    async def _remove_volumes(self) -> list[str]:
        made = claims.clusters(self._placement.objects)
        try:
            found = await claims.of_run(self._api, self._run.namespace, self._run.name, made)
        except ApiError as error:
            return [f"volumes were not looked for: {error}"]
        left = await asyncio.gather(*(_remove(self._api, one) for one in found))
        return [problem for problems in left for problem in problems]


class ArgoEngine:
    """`seatrial.engine.site.Engine` on Kubernetes."""

    async def preflight(self, plan: Plan) -> Mapping[str, str]:
        """The cluster answers, knows the kinds that the plan needs, and lets this account use them.

        Raises `Unavailable` with everything that is missing at once, or where the plan is too much.
        """
        capacity.refuse(plan)
        run, target = of_environment(), _target(plan)
        placement = _placement(target, plan, run)
        api = await asyncio.to_thread(connect)
        try:
            version = await api.get("/version")
            made = {(str(one["apiVersion"]), str(one["kind"])) for one in placement.objects}
            wanted = rights.of_plan(plan, run.namespace, placement.namespace, sorted(made))
            missing = await rights.missing(api, wanted)
            if not missing:
                placement = await places.settle(api, placement, plan.target.nodes)
                missing = await orderly.missing(api, plan.faults, placement)
            await labels.tell(api, run, plan)
        finally:
            api.close()
        if missing:
            raise Unavailable(
                "the cluster cannot carry it out: "
                + "; ".join(missing)
                + "\n\nhint: seatrial doctor --cluster"
            )
        return {"kubernetes": str(version.get("gitVersion", "unknown"))}

    def unseen(self, plan: Plan) -> tuple[str, ...]:
        """Faults whose effect no probe can see here, by target and placement; no cluster needed."""
        target = _target(plan)
        if not isinstance(target, Placed):
            return ()
        return effects.unseen(plan, target, target.place(plan.target.nodes, "run", "trial"))

    async def provision(self, plan: Plan, folder: Path, lease_s: float) -> ClusterRecord:
        """Make the target, or find the one that runs; its life ends with the Workflow's."""
        run = of_environment()
        api = await asyncio.to_thread(connect)
        try:
            target = _target(plan, await own_image(api, run))
            placement = _placement(target, plan, run)
            for body in placement.objects:
                await apply(api, run.owned(body))
            placement = await places.settle(api, placement, plan.target.nodes)
            try:
                ready = await _all_ready(api, placement)
            finally:
                await claims.adopt(api, run, claims.clusters(placement.objects))
        finally:
            api.close()
        nodes = _placed(placement, ready)
        return ClusterRecord(
            engine="argo",
            nodes=nodes,
            versions=await orderly.versions(target, [one.node() for one in nodes]),
            site={
                "namespace": placement.namespace,
                "run": run.name,
                "pods": {
                    n: PodMark(uid=p.uid, restarts=p.restarts, name=p.name).model_dump()
                    for n, p in ready.items()
                },
            },
        )

    async def open(self, cluster: ClusterRecord | None, plan: Plan, folder: Path) -> ArgoSite:
        """Reach the cluster; without a record the plan says where the nodes are."""
        run, target = of_environment(), _target(plan)
        placement = _placement(target, plan, run)
        marks = {} if cluster is None else _marks(cluster)
        api = await asyncio.to_thread(connect)
        if marks:
            placement = replace(placement, pods={n: mark.name for n, mark in marks.items()})
        elif cluster is None:
            placement = await places.settle_if_there(api, placement, plan.target.nodes)
        nodes = cluster.nodes if cluster is not None else _placed(placement, {})
        return ArgoSite(
            api,
            run,
            target,
            placement,
            nodes,
            untouched=_untouched(marks, plan),
            broken_by=rights.chaos_kinds(plan),
            pauses=any(fault.kind in effects.BY_COMMAND for fault in plan.faults),
        )

    def entry(self, cluster: ClusterRecord, folder: Path) -> Sequence[str] | None:
        """A pod of a step is where clients reach the nodes."""
        return None

    def line(self, folder: Path) -> Line:
        """TCP on the pod's own address."""
        address = of_environment().pod_address
        if not address:
            raise Unavailable("SEATRIAL_POD_IP is not set: other steps could not find the load")
        return Line(f"tcp:0.0.0.0:{LINE_PORT}", f"tcp:{address}:{LINE_PORT}")


async def apply(api: Api, body: Object) -> Object:
    """Make an object or change it to what is wanted (server-side apply)."""
    path = f"{paths.collection_of(body)}/{body['metadata']['name']}"
    return await api.patch(path, body, APPLY, FORCE)


async def own_image(api: Api, run: Run) -> str:
    """The image that this pod runs, whoever named it: the container `probe` of a target's pods
    has the same. "" outside of a pod of Argo's."""
    found = await api.find(f"{paths.pods(run.namespace)}/{run.pod_name}") if run.pod_name else None
    containers = ((found or {}).get("spec") or {}).get("containers") or ()
    return next((str(one["image"]) for one in containers if one["name"] == MAIN), "")


def _target(plan: Plan, image: str = "") -> Target:
    """The plan's target; its `probe_image` is `image` where the plan names none."""
    target = targets.make(plan.target.name, plan.target.settings)
    if not image or not isinstance(target, Placed):
        return target
    given = plan.target.settings.get("kubernetes") or {}
    assert isinstance(given, Mapping), "the settings were checked"
    settings = {**plan.target.settings, "kubernetes": {"probe_image": image, **given}}
    return targets.make(plan.target.name, settings)


def _placement(target: Target, plan: Plan, run: Run) -> Placement:
    if not isinstance(target, Placed):
        raise Absent(f"target {target.name} cannot be made on Kubernetes\n\nhint: --engine lab")
    return target.place(plan.target.nodes, run.name, run.namespace)


def _placed(placement: Placement, seen: Mapping[str, PodState]) -> tuple[PlacedNode, ...]:
    found = []
    for node, name in placement.addresses.items():
        there = seen.get(node)
        address = name or ("" if there is None else there.address)
        ports = placement.node_ports.get(node, placement.ports)
        found.append(PlacedNode(name=node, address=address, ports=ports))
    return tuple(found)


def _marks(cluster: ClusterRecord) -> dict[str, PodMark]:
    """Each node's pod, as it was at the beginning."""
    marks = cluster.site.get("pods")
    found = marks if isinstance(marks, Mapping) else {}
    return {n: PodMark.model_validate(one) for n, one in found.items()}


def _untouched(marks: Mapping[str, PodMark], plan: Plan) -> dict[str, PodMark]:
    """Nodes that none of the plan's faults on processes can meet, as they were at the beginning."""
    harmful = [one for one in plan.faults if shelf.kind(one.kind).touches != "network"]
    met = {node for one in harmful for node in (one.nodes or plan.target.nodes)}
    return {node: mark for node, mark in marks.items() if node not in met}


async def _all_ready(api: Api, placement: Placement) -> dict[str, PodState]:
    bound_s = READY_S if placement.objects else RUNNING_S

    async def one(node: str, pod: str) -> tuple[str, PodState]:
        try:
            return node, await pods.await_ready(api, placement.namespace, pod, bound_s)
        except TimedOut:
            seen = await pods.read(api, placement.namespace, pod)
            told = "there is no pod" if seen is None else f"pod {seen.phase}, not ready"
            raise Unavailable(f"{node} ({pod}) after {bound_s:g} s: {told}") from None

    beside = {pod: pod for pod in placement.beside}
    made = await asyncio.gather(*(one(*pair) for pair in {**beside, **placement.pods}.items()))
    return {node: seen for node, seen in made if node in placement.pods}


async def _remove(api: Api, body: Object) -> list[str]:
    """Delete an object and wait until it is gone; what went wrong."""
    where, name = paths.collection_of(body), body["metadata"]["name"]
    try:
        if await api.delete(f"{where}/{name}"):
            await api.until(where, name, lambda found: True if found is None else None, GONE_S)
    except SeatrialError as error:
        return [f"{body['kind']} {name}: {error}".partition("\n")[0]]
    return []


ENGINE = ArgoEngine()
