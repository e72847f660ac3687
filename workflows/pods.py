"""Steps as Argo container templates: one image, one command line, rooms as artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hera.workflows import (
    Artifact,
    Container,
    NoneArchiveStrategy,
    Parameter,
    RawArtifact,
    S3Artifact,
)
from hera.workflows import models as m

from seatrial.workflows.metrics import Metric
from seatrial.workflows.names import ABOUT, DISPLAY_NAME, RUN, run_key
from seatrial.workflows.nodes import DIR, MESSAGE_FILE, ONCE, RETRY_LIMIT, Reads, Step
from seatrial.workflows.settings import Settings

#: Memory that a step takes besides what it judges.
BASE_MEMORY_MIB = 512
USER = 10001
TMP = "/tmp"

#: Room → the sub-path of `steps/` that a step reads.
ROOMS: Mapping[Reads, tuple[str, ...]] = {
    "nothing": (),
    "provision": ("provision",),
    "load": ("provision", "workload"),
    "all": ("",),
}


@dataclass(frozen=True, slots=True)
class PlanSource:
    """Where a step's `plan.json` comes from: always a value in the Workflow, never the store.

    `made` says that a node makes the plan in the cluster; else it is the workflow's parameter.
    """

    made: bool

    def parameters(self, *, exit: bool) -> list[Parameter]:
        """The input parameter that brings a plan made by a node of the same DAG."""
        return [Parameter(name="plan")] if self.made and not exit else []

    def artifact(self, *, exit: bool) -> RawArtifact:
        """The file itself."""
        if not self.made:
            data = "{{workflow.parameters.plan}}"
        elif exit:
            data = "{{workflow.outputs.parameters.plan}}"
        else:
            data = "{{inputs.parameters.plan}}"
        return RawArtifact(name="plan", path=f"{DIR}/plan.json", data=data)


def step_template(
    step: Step,
    settings: Settings,
    plan: PlanSource,
    *,
    seconds: int,
    labels: Mapping[str, str],
    memory_mib: int = BASE_MEMORY_MIB,
    outputs: Sequence[Artifact | Parameter] = (),
    metrics: Sequence[Metric] = (),
) -> Container:
    """The template of one step.

    `seconds` bounds the pod; `outputs` come beside the message and the room. The exit handler's
    steps keep their rooms to themselves (but for logs): it must go on without a store.
    """
    template = container(
        step.template,
        ["step", step.name, *_options(step)],
        settings,
        account=getattr(settings.accounts, step.account),
        seconds=seconds,
        labels=labels,
        memory_mib=memory_mib,
        retry=step.retry,
    )
    template.inputs = [
        *([Parameter(name=step.parameter)] if step.parameter else []),
        *([Parameter(name="node")] if step.parameter and plan.made else []),
        *plan.parameters(exit=step.exit),
        plan.artifact(exit=step.exit),
        *(_room_in(settings, room) for room in ROOMS[step.reads]),
        *([_own_room(settings, step)] if step.name in ONCE else []),
    ]
    room = f"{DIR}/steps/{step.room}"
    template.outputs = [
        Parameter(
            name="message", value_from=m.ValueFrom(path=f"{room}/message", default="no message")
        ),
        *([stored("room", room, run_key(settings, f"steps/{step.room}"))] if step.stores else []),
        *outputs,
    ]
    template.metrics = [*metrics] or None
    template.annotations = {ABOUT: step.about}
    if step.parameter and plan.made:
        template.annotations[DISPLAY_NAME] = "{{inputs.parameters.node}}"
    return template


def container(
    name: str,
    arguments: Sequence[str],
    settings: Settings,
    *,
    account: str,
    seconds: int,
    labels: Mapping[str, str],
    memory_mib: int = BASE_MEMORY_MIB,
    retry: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Container:
    """A container that runs `seatrial` with `arguments`: non-root, read-only root, bounded."""
    return Container(
        name=name,
        image=settings.image,
        image_pull_policy="IfNotPresent",
        command=["seatrial"],
        args=[*arguments],
        env=_environment(environment or {}),
        service_account_name=account,
        active_deadline_seconds=seconds,
        retry_strategy=retry_strategy() if retry else None,
        labels={**labels},
        resources=m.ResourceRequirements(
            requests={"cpu": m.Quantity("100m"), "memory": m.Quantity(f"{memory_mib // 2}Mi")},
            limits={"memory": m.Quantity(f"{memory_mib}Mi")},
        ),
        security_context=m.SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            capabilities=m.Capabilities(drop=["ALL"]),
        ),
        volume_mounts=[
            m.VolumeMount(name="trial", mount_path=DIR),
            m.VolumeMount(name="tmp", mount_path=TMP),
        ],
        termination_message_path=MESSAGE_FILE,
        termination_message_policy="FallbackToLogsOnError",
    )


def volumes() -> list[m.Volume]:
    """The two folders that a pod may write to."""
    return [m.Volume(name=name, empty_dir=m.EmptyDirVolumeSource()) for name in ("trial", "tmp")]


def pod_security() -> m.PodSecurityContext:
    """Nobody is root; files of init containers belong to the group of the step."""
    return m.PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        seccomp_profile=m.SeccompProfile(type="RuntimeDefault"),
    )


def retry_strategy() -> m.RetryStrategy:
    """Again when the cluster failed (a lost pod, an artifact store that hiccups), and only then.

    No `expression` by exit status: where it says no, Argo replaces the node's message by its own,
    and the sentence would be gone. No `maxDuration` either: Argo counts it from the beginning of
    the first attempt, so a step that runs longer would never be started again (and would have its
    message replaced), and a second attempt would be killed at its end.
    """
    return m.RetryStrategy(
        limit=m.IntOrString(root=RETRY_LIMIT),
        retry_policy="OnError",
        backoff=m.Backoff(duration="5s", factor=m.IntOrString(root=2)),
    )


def stored(name: str, path: str, key: str) -> S3Artifact:
    """An output that may be missing, uncompressed, under a key of its own."""
    return S3Artifact(name=name, path=path, key=key, optional=True, archive=NoneArchiveStrategy())


def _own_room(settings: Settings, step: Step) -> S3Artifact:
    """What an earlier attempt left: where it is there, the step refuses to begin again.

    So `argo retry`, which starts failed nodes anew, repeats no load silently.
    """
    room = f"steps/{step.room}"
    return S3Artifact(
        name="earlier",
        path=f"{DIR}/{room}",
        key=run_key(settings, room),
        optional=True,
        archive=NoneArchiveStrategy(),
    )


def _room_in(settings: Settings, room: str) -> S3Artifact:
    path = f"{DIR}/steps/{room}" if room else f"{DIR}/steps"
    return S3Artifact(
        name=f"room-{room}" if room else "rooms",
        path=path,
        key=run_key(settings, f"steps/{room}" if room else "steps"),
        optional=True,
        archive=NoneArchiveStrategy(),
    )


def _options(step: Step) -> list[str]:
    options = ["--plan", f"{DIR}/plan.json", "--dir", DIR, "--message-file", MESSAGE_FILE]
    if step.parameter:
        options += [f"--{step.parameter}", f"{{{{inputs.parameters.{step.parameter}}}}}"]
    if step.exit and step.name == "heal":
        options.append("--exit")
    if step.name == "teardown":
        options += ["--ended", "{{workflow.status}}"]
    return options


def _environment(more: Mapping[str, str]) -> list[m.EnvVar]:
    """Who owns what a step makes, where it is, and where it may write."""
    values = {
        **more,
        "SEATRIAL_RUN": "{{workflow.name}}",
        "SEATRIAL_OWNER_NAME": "{{workflow.name}}",
        "SEATRIAL_OWNER_UID": "{{workflow.uid}}",
        "SEATRIAL_NAMESPACE": "{{workflow.namespace}}",
        "HOME": TMP,
    }
    fields = {"SEATRIAL_POD_NAME": "metadata.name", "SEATRIAL_POD_IP": "status.podIP"}
    return [m.EnvVar(name=name, value=value) for name, value in values.items()] + [
        m.EnvVar(
            name=name,
            value_from=m.EnvVarSource(field_ref=m.ObjectFieldSelector(field_path=path)),
        )
        for name, path in fields.items()
    ]


def run_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """`labels` with the run's own, for pods."""
    return {**labels, RUN: "{{workflow.name}}"}
