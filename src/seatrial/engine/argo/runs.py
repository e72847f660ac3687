"""Workflows as a person at a terminal sees them: submitted, watched, stopped.

A Workflow's `status` says everything: its phase and its nodes. A large one is kept compressed
(`compressedNodes`: gzip, base64).
"""

from __future__ import annotations

import asyncio
import base64
import copy
import gzip
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seatrial.engine.argo import chaos, paths
from seatrial.engine.argo.api import Api, ApiError, Object, selector
from seatrial.engine.argo.board import ConfigMapBoard
from seatrial.engine.argo.run import RUN_LABEL, Run
from seatrial.engine.argo.site import apply
from seatrial.engine.site import Notice
from seatrial.errors import NoInput, Unavailable
from seatrial.verdict import Json

#: On the trials of a campaign: the name of its Workflow.
CAMPAIGN_LABEL: Final = "seatrial/campaign"
#: The installed WorkflowTemplate of any trial.
TRIALS: Final = "seatrial-trial"
#: What is appended to a prefix: as Kubernetes does, with no vowels and nothing easily misread.
SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_CHARS: Final = 5
#: The exit handler's last node, as `NodeState.task` calls it.
TEARDOWN: Final = "exit-teardown"
#: What Argo appends to the name of an attempt where a node may be tried again.
ATTEMPT: Final = re.compile(r"\(\d+\)$")
#: What targets are made of, in the order in which they are removed.
TARGET_KINDS: Final = (
    ("pingcap.com/v1alpha1", "TidbCluster"),
    ("apps/v1", "StatefulSet"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "ConfigMap"),
)
#: How often a Workflow is looked at.
POLL_S: Final = 2.0
#: How long faults may take to heal by themselves once they are asked to, before they are ended.
HEAL_S: Final = 45.0
#: So many looks in a row may fail before a Workflow is given up.
LOST_MAX: Final = 10
ENDED: Final = ("Succeeded", "Failed", "Error")
#: In the names of the exit handler's nodes, which may have the display names of others.
EXIT: Final = ".onExit"


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node that is a pod; `name` is its task's, `exit-TASK` in the exit handler."""

    name: str
    phase: str
    message: str = ""
    began: str = ""
    ended: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """Its name without the number of the attempt."""
        return ATTEMPT.sub("", self.name)


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """A Workflow at a moment."""

    name: str
    namespace: str
    uid: str
    phase: str
    message: str
    nodes: tuple[NodeState, ...]
    #: Its nodes are kept elsewhere: nobody here can know how they ended.
    offloaded: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more, its exit handler included."""
        return self.phase in ENDED

    @property
    def handled(self) -> bool:
        """Whether its exit handler took the target down, or kept it on purpose; or may have."""
        done = (one for one in self.nodes if one.task == TEARDOWN and one.phase == "Succeeded")
        return self.offloaded or any(done)

    @property
    def verdict(self) -> str:
        """The trial's verdict by its last leaf; `unknown` where it never got there.

        What has no such leaf (a campaign, a recheck) is `valid` if all of its pods succeeded.
        """
        said = [node.outputs.get("verdict", "") for node in self.nodes if node.name == "verdict"]
        if not said and self.phase == "Succeeded" and self.nodes:
            return "valid" if all(one.phase == "Succeeded" for one in self.nodes) else "unknown"
        return said[-1] if said and said[-1] in ("valid", "invalid") else "unknown"

    @property
    def sentence(self) -> str:
        """The verdict's one sentence, or why there is none."""
        for node in self.nodes:
            if node.name == "verdict" and node.outputs.get("message"):
                return node.outputs["message"].strip()
        return self.message or f"the workflow is {self.phase or 'not begun'}"

    def run(self) -> Run:
        """As its own steps know it."""
        return Run(self.name, self.namespace, self.name, self.uid)


def state(found: Object) -> WorkflowState:
    """What the object says."""
    metadata, status = found["metadata"], found.get("status") or {}
    nodes = status.get("nodes") or {}
    if status.get("compressedNodes"):
        nodes = json.loads(gzip.decompress(base64.b64decode(status["compressedNodes"])))
    pods = [_node(one) for one in nodes.values() if one.get("type") == "Pod"]
    return WorkflowState(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata.get("uid", ""),
        phase=status.get("phase", ""),
        message=status.get("message", ""),
        nodes=tuple(sorted(pods, key=lambda one: (one.began, one.name))),
        offloaded=bool(status.get("offloadNodeStatusVersion")),
    )


def _node(found: Object) -> NodeState:
    outputs = (found.get("outputs") or {}).get("parameters") or ()
    whole = str(found.get("name", ""))
    shown = str(found.get("displayName") or whole)
    return NodeState(
        name=f"exit-{shown}" if EXIT in whole else shown,
        phase=str(found.get("phase", "")),
        message=str(found.get("message", "")),
        began=str(found.get("startedAt") or ""),
        ended=str(found.get("finishedAt") or ""),
        outputs={one["name"]: str(one.get("value", "")) for one in outputs},
    )


async def find(api: Api, namespace: str, name: str) -> Object:
    """The Workflow; raises `NoInput` with those that are there."""
    where = paths.workflows(namespace)
    found = await api.find(f"{where}/{name}")
    if found is None:
        there = [one["metadata"]["name"] for one in await api.items(where)]
        raise NoInput(
            f"there is no workflow {name} in {namespace}\n\n"
            f"hint: {', '.join(sorted(there)[-5:]) or 'seatrial submit CASE'}"
        )
    return found


async def submit(api: Api, document: Object, *, default_image: str = "") -> Object:
    """Make a Workflow (a new name each time); a template or a schedule is made or changed.

    The name is drawn here, not by the server: a request that is repeated since its answer was lost
    would make a second trial.

    Containers of `default_image`, which nobody asked for by name, get the image that is installed:
    that of the template of trials, where there is one.
    """
    if default_image:
        installed = await installed_image(api, document["metadata"]["namespace"])
        document = _with_image(document, default_image, installed or default_image)
    if prefix := document["metadata"].get("generateName"):
        rest = {k: v for k, v in document["metadata"].items() if k != "generateName"}
        name = prefix + "".join(secrets.choice(SUFFIX) for _ in range(SUFFIX_CHARS))
        named = {**document, "metadata": {**rest, "name": name}}
        return await api.create_once(paths.collection_of(document), named)
    return await apply(api, document)


async def installed_image(api: Api, namespace: str) -> str:
    """The image of the installed template of trials; "" if there is none, or it may not be read."""
    where = paths.collection("argoproj.io/v1alpha1", "WorkflowTemplate", namespace)
    try:
        found = await api.find(f"{where}/{TRIALS}")
    except ApiError as error:
        if error.status == 403:
            return ""
        raise
    templates = ((found or {}).get("spec") or {}).get("templates") or ()
    images = {str(one["container"]["image"]) for one in templates if one.get("container")}
    return images.pop() if len(images) == 1 else ""


def _with_image(document: Object, before: str, after: str) -> Object:
    """The document with one image for another; it may hold a Workflow's spec, or a schedule's."""
    made = copy.deepcopy(document)
    spec = made["spec"].get("workflowSpec") or made["spec"]
    for template in spec.get("templates") or ():
        container = template.get("container")
        if container and container.get("image") == before:
            container["image"] = after
    return made


async def follow(
    api: Api,
    namespace: str,
    name: str,
    tell: Callable[[WorkflowState, str], None],
    every_s: float = POLL_S,
) -> WorkflowState:
    """Tell how a Workflow stands until it has ended; with what its board says of load and faults.

    A look that fails is followed by the next one; raises `ApiError` after `LOST_MAX` of them.
    """
    lost = 0
    while True:
        try:
            now = state(await find(api, namespace, name))
            told = "" if now.ended else await _board_words(api, now)
            lost = 0
        except ApiError:
            lost += 1
            if lost > LOST_MAX:
                raise
        else:
            tell(now, told)
            if now.ended:
                return now
        await asyncio.sleep(every_s)


async def _board_words(api: Api, now: WorkflowState) -> str:
    """Load and faults in a line, as the steps tell each other."""
    try:
        there = await ConfigMapBoard(api, now.run()).read_all()
    except ApiError:
        return ""  # no right to read it: the phases are told all the same
    words = []
    load = there["workload"].document if "workload" in there else {}
    if load:
        words.append(f"{load.get('phase') or 'starting'}, {load.get('ops', 0):,} ops")
    return "; ".join([*words, *_acting(there)])


def _acting(there: Mapping[str, Notice]) -> list[str]:
    """The faults that act by the word of their steps, with their victims."""
    acting = there["acting"].document.get("acting") if "acting" in there else None
    if not isinstance(acting, dict):
        return []
    return [f"{fault} {_whom(one)}" for fault, one in sorted(acting.items())]


def _whom(one: Json) -> str:
    found = one if isinstance(one, dict) else {}
    victims = found.get("victims")
    names = ", ".join(map(str, victims)) if isinstance(victims, (list, tuple)) else ""
    return f"({found.get('kind', '?')} of {names})"


async def stop(
    api: Api,
    namespace: str,
    name: str,
    reason: str,
    say: Callable[[str], None],
    heal_s: float = HEAL_S,
) -> tuple[str, ...]:
    """Heal what a Workflow broke, then stop it; what did not heal in order, in sentences.

    Its faults are asked to heal by its board, as they would be by its exit handler; what is still
    there after `heal_s` is ended from here. Then Argo stops it, and its exit handler runs. What
    could not be looked at, or has not said that it healed, is told as well.
    """
    now = state(await find(api, namespace, name))
    if now.ended:
        raise Unavailable(f"{name} has ended already: {now.sentence}")
    run = now.run()
    board = ConfigMapBoard(api, run)
    await board.post("stop", {"reason": reason})
    say("its faults are asked to heal")
    unseen: list[str] = []
    left, acting = await _healing(api, run, board, heal_s, unseen)
    told = _not_looked_at(run.name, unseen)
    if left:
        say(f"ended from here: {', '.join(one.name for one in left)}")
        told += await chaos.end_all(api, run, left)
    told += tuple(f"{one} has not said that it healed" for one in acting)
    await api.patch(f"{paths.workflows(namespace)}/{name}", {"spec": {"shutdown": "Stop"}})
    say("stopped; its exit handler audits, collects and takes the target down")
    return told


async def stop_campaign(
    api: Api, namespace: str, campaign: str, reason: str, say: Callable[[str], None]
) -> tuple[str, ...]:
    """Stop all trials of a campaign that still run, side by side; what did not heal in order.

    None of them: nothing to do, as after a campaign that ran to its end.
    """
    label = selector({CAMPAIGN_LABEL: campaign})
    found = [state(one) for one in await api.items(paths.workflows(namespace), label)]
    lives = [one.name for one in found if not one.ended and one.name != campaign]
    say(f"{len(lives)} of {len(found)} trials of {campaign} still run")

    async def one(name: str) -> tuple[str, ...]:
        try:
            return await stop(api, namespace, name, reason, lambda text: say(f"{name}: {text}"))
        except Unavailable as error:  # it ended meanwhile, or cannot be stopped
            return (f"{name}: {error}".partition("\n")[0],)

    told = await asyncio.gather(*map(one, lives))
    return tuple(problem for problems in told for problem in problems)


async def _healing(
    api: Api, run: Run, board: ConfigMapBoard, heal_s: float, unseen: list[str]
) -> tuple[Sequence[chaos.Injury], Sequence[str]]:
    """Faults that are left when all are healed, or `heal_s` are over: objects, and steps' words."""
    deadline = time.monotonic() + heal_s
    while True:
        unseen.clear()
        label = selector({RUN_LABEL: run.name})
        left = await chaos.of_run(api, run.namespace, label, unseen=unseen)
        acting = _acting(await board.read_all())
        if not (left or acting) or time.monotonic() > deadline:
            return left, acting
        await asyncio.sleep(min(POLL_S, heal_s))


def _not_looked_at(whose: str, unseen: Sequence[str]) -> tuple[str, ...]:
    """That a refusal is no answer, in a sentence.

    Who may look at some kinds has the rights that the cases need, as the reaper has: nobody in the
    namespace can have made the others.
    """
    if set(unseen) < set(paths.CHAOS_KINDS):
        return ()
    return (f"{whose}: what is left of its faults is not known: you may not look at Chaos Mesh's",)


async def reap(api: Api, namespace: str, dry: bool) -> tuple[tuple[str, str], ...]:
    """End faults whose Workflow is gone or over, and targets that no exit handler took down.

    Gives (what, why it is not cleared or ""). `argo terminate` leaves a Workflow without its exit
    handler, and the target would stay until the Workflow is deleted; a handler that failed is made
    up for. One that succeeded removed the target, or kept it on purpose. What a Workflow that is
    gone has made, Kubernetes collects. Nothing of one that still runs is touched.
    """
    there = {
        one["metadata"]["name"]: state(one) for one in await api.items(paths.workflows(namespace))
    }
    found, unseen = [], list[str]()
    for injury in await chaos.of_run(api, namespace, RUN_LABEL, unseen=unseen):
        owner = injury.seen["metadata"]["labels"][RUN_LABEL]
        now = there.get(owner)
        if now is not None and not now.ended:
            continue
        why = f"of {owner}, which is {'gone' if now is None else 'over'}"
        problem = (
            "" if dry else "; ".join(await chaos.end_all(api, Run(owner, namespace), [injury]))
        )
        found.append((f"{injury.kind} {injury.name} {why}", problem))
    left = [one for one in there.values() if one.ended and not one.handled]
    for now in left:
        found += await _take_down(api, now, dry)
    found += [("faults of any run", why) for why in _not_looked_at(namespace, unseen)]
    return tuple(found)


async def _take_down(api: Api, now: WorkflowState, dry: bool) -> list[tuple[str, str]]:
    """Remove what a run's target was made of; pods and volumes go with it."""
    label, told = selector({RUN_LABEL: now.name}), []
    for version, kind in TARGET_KINDS:
        where = paths.collection(version, kind, now.namespace)
        try:
            made = await api.items(where, label)
        except ApiError as error:
            if error.status in (403, 404):  # not installed, or never ours to make
                continue
            raise
        for one in made:
            name, problem = one["metadata"]["name"], ""
            try:
                if not dry:
                    await api.delete(f"{where}/{name}")
            except ApiError as error:
                problem = str(error)
            told.append((f"{kind} {name} of {now.name}, which is over", problem))
    return told
