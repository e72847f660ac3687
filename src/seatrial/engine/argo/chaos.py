"""The life of a Chaos Mesh object: made, injected, recovered, deleted; each within a bound.

What Chaos Mesh says of itself is in `status`: `conditions` (in no order) and
`experiment.containerRecords`, one for each victim and selector, whose `events` hold the reason of
what failed. `AllInjected` is also false when nothing was selected, and `AllRecovered` is true
before anything was injected: neither is read without the records. Argo's `successCondition` can
name neither, so they are awaited here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, Object, TimedOut
from seatrial.engine.argo.run import Run
from seatrial.errors import CannotCreate, SeatrialError, Unavailable
from seatrial.verdict import Json


@dataclass(frozen=True, slots=True)
class Bounds:
    """In seconds: until all victims are injected; until all are recovered; until the object is
    gone; until it is gone once it was told to let go, and once its finalizers were removed; until
    a node is seen to be down (it may use its time of grace)."""

    inject_s: float = 30.0
    recover_s: float = 30.0
    delete_s: float = 15.0
    force_s: float = 10.0
    down_s: float = 25.0

    @property
    def end_s(self) -> float:
        """How long the end of an object may take."""
        return self.recover_s + self.delete_s + 2 * self.force_s


BOUNDS: Final = Bounds()
#: How much longer than planned the cluster lets a fault act if nobody ends it.
SWITCH_S: Final = 60.0

_PAUSE: Final = "experiment.chaos-mesh.org/pause"
_FORCE: Final = "chaos-mesh.chaos-mesh.org/cleanFinalizer"
#: Actions that are over at once: there is nothing to recover, and pausing means nothing to them.
ONE_SHOT: Final = frozenset(
    {
        ("PodChaos", "pod-kill"),
        ("PodChaos", "container-kill"),
        ("AWSChaos", "ec2-restart"),
        ("AzureChaos", "vm-restart"),
        ("GCPChaos", "node-reset"),
    }
)


@dataclass(slots=True)
class Injury:
    """One object of Chaos Mesh, and what was last seen of it."""

    kind: str
    name: str
    action: str = ""
    seen: Object = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def one_shot(self) -> bool:
        """Whether it is over at once."""
        return (self.kind, self.action) in ONE_SHOT

    def see(self, found: Object | None) -> Object | None:
        """Remember the newest state of the object."""
        if found is not None:
            self.seen = found
        return found

    def evidence(self) -> dict[str, Json]:
        """The object's word for itself: conditions by type, and its records, whole."""
        status = self.seen.get("status") or {}
        return {
            "kind": self.kind,
            "name": self.name,
            "action": self.action,
            "spec": self.seen.get("spec") or {},
            "conditions": conditions(self.seen),
            "containerRecords": [*records(self.seen)],
            "desiredPhase": (status.get("experiment") or {}).get("desiredPhase", ""),
            "notes": [*self.notes],
        }


def records(found: Object) -> Sequence[Object]:
    """`containerRecords`."""
    return ((found.get("status") or {}).get("experiment") or {}).get("containerRecords") or ()


def conditions(found: Object) -> dict[str, Json]:
    """Status by type, in order of the types' names."""
    listed = (found.get("status") or {}).get("conditions") or ()
    return {str(one["type"]): one["status"] for one in sorted(listed, key=lambda one: one["type"])}


def is_injected(found: Object) -> bool:
    """Whether every victim was selected and injected."""
    said = conditions(found)
    return said.get("AllInjected") == "True" and bool(records(found))


def is_recovered(found: Object) -> bool:
    """Whether every victim is recovered, by condition and records."""
    whole = all(one.get("phase") == "Not Injected" for one in records(found))
    return conditions(found).get("AllRecovered") == "True" and whole


def has_recovered(found: Object) -> bool:
    """Whether it has ended, and no victim suffers from it any more."""
    experiment = (found.get("status") or {}).get("experiment") or {}
    return experiment.get("desiredPhase") == "Stop" and is_recovered(found)


def why_over(found: Object | None) -> str:
    """Why an object does not act on all its victims (any more), "" while it does."""
    if found is None:
        return "it was removed"
    metadata = found["metadata"]
    if "deletionTimestamp" in metadata:
        return "it was deleted"
    if (metadata.get("annotations") or {}).get(_PAUSE) == "true":
        return "it was paused"
    experiment = (found.get("status") or {}).get("experiment") or {}
    if experiment.get("desiredPhase") == "Stop":
        return "it was stopped, or its own duration was over"
    if any(one.get("recoveredCount") for one in records(found)):
        return "it was paused for a while"
    return "" if is_injected(found) else "not all its victims are injected"


def complaints(found: Object) -> tuple[str, ...]:
    """Why something failed, by the records' events, each reason once."""
    told = [
        f"{one.get('id', '?')}: {event.get('operation', '')} failed: {event['message']}"
        for one in records(found)
        for event in one.get("events") or ()
        if event.get("message")
    ]
    return tuple(dict.fromkeys(told))


def parts(manifest: Mapping[str, Json]) -> list[Object]:
    """A manifest as objects that each have records: a Workflow of Chaos Mesh is taken apart.

    Its templates that run side by side become objects of their own, with its deadline as duration.
    """
    whole: Object = dict(manifest)
    if whole["kind"] != "Workflow":
        return [whole]
    made = []
    for template in whole["spec"]["templates"]:
        kind = template["templateType"]
        if kind == "Parallel":
            continue
        spec = next(v for k, v in template.items() if k.lower() == kind.lower())
        metadata = {
            **whole["metadata"],
            "name": f"{whole['metadata']['name']}-{template['name']}",
        }
        made.append(
            {
                "apiVersion": whole["apiVersion"],
                "kind": kind,
                "metadata": metadata,
                "spec": {**spec, "duration": template["deadline"]},
            }
        )
    return made


async def make(api: Api, run: Run, manifest: Object) -> Injury:
    """Make the object, once: one of an earlier attempt is refused. Raises `CannotCreate`."""
    body = run.owned(manifest)
    body["metadata"]["name"] = run.object_name(manifest["metadata"]["name"])
    kind, name = body["kind"], body["metadata"]["name"]
    injury = Injury(kind, name, str(body["spec"].get("action", "")))
    try:
        injury.see(await api.create_once(paths.chaos(kind, run.namespace), body))
    except ApiError as error:
        if error.status != 409:
            raise
        raise CannotCreate(
            f"{kind} {name} is there already: this fault has begun before\n\n"
            "hint: a new trial: seatrial submit"
        ) from None
    return injury


async def await_injected(api: Api, run: Run, injury: Injury, bounds: Bounds = BOUNDS) -> None:
    """Wait until it acts on all its victims; raises `Unavailable` with Chaos Mesh's reason."""

    def good(found: Object | None) -> bool | None:
        if injury.see(found) is None:
            raise Unavailable(f"{injury.kind} {injury.name} was removed before it acted")
        return True if is_injected(injury.seen) else None

    try:
        await api.until(paths.chaos(injury.kind, run.namespace), injury.name, good, bounds.inject_s)
    except TimedOut:
        said = conditions(injury.seen)
        why = "; ".join(complaints(injury.seen)) or (
            "it selected no pod" if said.get("Selected") == "False" else "no reason was given"
        )
        raise Unavailable(
            f"{injury.kind} {injury.name} did not act on all victims within "
            f"{bounds.inject_s:g} s: {why}"
        ) from None


async def ended_early(api: Api, run: Run, injuries: Sequence[Injury]) -> list[str]:
    """Those that do not act any more though nobody here has ended them, in sentences.

    What is over at once cannot end early. Raises `ApiError`.
    """
    lasting = [one for one in injuries if not one.one_shot]
    found = await asyncio.gather(
        *(api.find(f"{paths.chaos(one.kind, run.namespace)}/{one.name}") for one in lasting)
    )
    told = [(one, why_over(one.see(now))) for one, now in zip(lasting, found, strict=True)]
    return [f"{one.kind} {one.name} had ended before its end: {why}" for one, why in told if why]


async def end(api: Api, run: Run, injury: Injury, bounds: Bounds = BOUNDS) -> None:
    """Recover all victims, then delete the object; safe to call twice.

    Where it does not let go it is removed all the same, last by taking its finalizers away, and
    then `Unavailable` is raised: nobody knows whether its injury is mended.
    """
    where = paths.chaos(injury.kind, run.namespace)
    path = f"{where}/{injury.name}"
    problems = []
    if injury.see(await api.find(path)) is None:
        return
    if not injury.one_shot:
        problems += await _recover(api, where, injury, bounds.recover_s)
    await api.delete(path)
    if not await _gone(api, where, injury, bounds.delete_s):
        problems += await _force(api, where, injury, bounds)
    injury.notes += problems
    if problems:
        raise Unavailable(f"{injury.kind} {injury.name}: {'; '.join(problems)}")


async def _recover(api: Api, where: str, injury: Injury, timeout_s: float) -> list[str]:
    """Ask for recovery and wait for it, so that the records of it are seen."""

    def good(found: Object | None) -> bool | None:
        return True if injury.see(found) is None or is_recovered(injury.seen) else None

    try:
        await api.patch(f"{where}/{injury.name}", {"metadata": {"annotations": {_PAUSE: "true"}}})
        await api.until(where, injury.name, good, timeout_s)
    except TimedOut:
        why = "; ".join(complaints(injury.seen)) or "no reason was given"
        return [f"it did not recover all victims within {timeout_s:g} s: {why}"]
    except ApiError as error:
        return [] if error.status == 404 else [str(error)]
    return []


async def _gone(api: Api, where: str, injury: Injury, timeout_s: float) -> bool:
    try:
        await api.until(
            where, injury.name, lambda found: True if injury.see(found) is None else None, timeout_s
        )
    except TimedOut:
        return False
    return True


async def _force(api: Api, where: str, injury: Injury, bounds: Bounds) -> list[str]:
    """Remove what does not go: first Chaos Mesh's own way, last its finalizers."""
    stuck = ", ".join((injury.seen.get("metadata") or {}).get("finalizers") or ()) or "nothing"
    problems = [f"it was not gone {bounds.delete_s:g} s after its deletion, held by {stuck}"]
    ways: Sequence[tuple[str, Mapping[str, Json]]] = (
        ("let go by force", {"metadata": {"annotations": {_FORCE: "forced"}}}),
        ("its finalizers were removed", {"metadata": {"finalizers": None}}),
    )
    for way, body in ways:
        try:
            await api.patch(f"{where}/{injury.name}", body)
        except ApiError as error:
            if error.status != 404:
                return [*problems, str(error)]
        if await _gone(api, where, injury, bounds.force_s):
            return [*problems, f"{way}: what it did may still be in place"]
    return [*problems, "it is still there"]


async def of_run(
    api: Api,
    namespace: str,
    label: str,
    must: Collection[str] = (),
    unseen: list[str] | None = None,
) -> list[Injury]:
    """All objects of Chaos Mesh that a selector finds.

    A kind that is not installed has none, nor has one that the run's own account may not look at,
    since none can have been made; but for kinds in `must`, which the run makes: there `ApiError` is
    raised. Who is not the run gives `unseen`, to which kinds that may not be looked at are added.
    """

    async def of_kind(kind: str) -> list[Injury]:
        try:
            objects = await api.items(paths.chaos(kind, namespace), label)
        except ApiError as error:
            if error.status not in (403, 404) or kind in must:
                raise
            if error.status == 403 and unseen is not None:
                unseen.append(kind)
            return []
        return [
            Injury(
                kind, one["metadata"]["name"], str((one.get("spec") or {}).get("action", "")), one
            )
            for one in objects
        ]

    found = await asyncio.gather(*map(of_kind, paths.CHAOS_KINDS))
    return [injury for injuries in found for injury in injuries]


async def end_all(
    api: Api, run: Run, injuries: Sequence[Injury], bounds: Bounds = BOUNDS
) -> tuple[str, ...]:
    """End objects side by side; what did not end in order, in sentences."""

    async def one(injury: Injury) -> str:
        try:
            await end(api, run, injury, bounds)
        except SeatrialError as error:
            return str(error).partition("\n")[0]
        return ""

    return tuple(told for told in await asyncio.gather(*map(one, injuries)) if told)
