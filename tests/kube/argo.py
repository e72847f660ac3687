"""Argo played for Workflows of the server: graphs, exit handlers, pods as processes.

What Argo does is done here as it does it: tags are replaced, artifacts go from the store into the
pod and back (all of them, in order, or the node is an Error), a node's outputs and message stand
in the Workflow's status, a retry is for Errors only, a DAG's phase is that of its leaves, `stop`
ends the pods and begins the exit handler. A task with items is as many as it has; a graph in a
graph is walked beside the others; a `resource` template makes its object with the rights of its
account, and a Workflow that it makes (perhaps of a template that is installed) is carried out.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from seatrial.engine.argo import paths
from seatrial.workflows.names import DISPLAY_NAME
from tests.kube.cluster import NAMESPACE, kubeconfig
from tests.kube.server import Cluster, Object
from tests.steps.walker import holds

MESSAGE = "/dev/termination-log"
API = "argoproj.io/v1alpha1"
#: A walk that takes longer hangs.
WALK_TIMEOUT_S = 900.0
_TAG = re.compile(r"\{\{([^{}]+)\}\}")
_STATE = re.compile(r"([\w-]+)\.(\w+)")
GOOD, BAD, ERROR = "Succeeded", "Failed", "Error"
#: Phases by the words of `depends`.
WORDS = {ERROR: "Errored"}


@dataclass
class Pod:
    """One attempt at a node."""

    name: str
    template: Object
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    phase: str = "Running"
    message: str = ""
    began: str = ""
    attempt: int = 0
    #: Begins the next attempt.
    again: Callable[[], Pod] | None = None

    @property
    def said(self) -> str:
        """Its log."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@dataclass
class Branch:
    """A graph in a graph, walked in a thread of its own."""

    name: str
    phase: str = "Running"
    thread: threading.Thread | None = None


@dataclass
class Group:
    """A task that has begun: itself, or one for each of its items."""

    members: list[Pod | Branch]

    @property
    def phase(self) -> str:
        """The worst of its members'; nothing to do is no success."""
        phases = {one.phase for one in self.members}
        if not phases:
            return "Skipped"
        return next((one for one in ("Running", ERROR, BAD) if one in phases), GOOD)


@dataclass
class Argo:
    """The controller. `image` are the environment variables of the image of all steps."""

    cluster: Cluster
    folder: Path
    image: Mapping[str, str]
    hosts: Path
    #: Words that are added to the command of a node, for bounds that a test can wait for.
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Told of each phase of each node, in the controller's thread.
    when: Callable[[str, str], None] = lambda _node, _phase: None
    #: Folders that all pods share, by their path: what a machine keeps between two pods.
    shared: Mapping[str, Path] = field(default_factory=dict)
    #: Whether the artifact store answers.
    store_up: bool = True
    pods: dict[str, Pod] = field(default_factory=dict)
    #: The Workflows that its Workflow has made, by name.
    trials: dict[str, Argo] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = self.folder / "store"
        self.store.mkdir(parents=True, exist_ok=True)
        self._stopped = threading.Event()
        self._number = itertools.count(1)
        self._walking: list[threading.Thread] = []

    def stop(self) -> None:
        """`argo stop`: no more than the exit handler from now on."""
        self._stopped.set()

    # ── a workflow ───────────────────────────────────────────────────────────────────────────

    def run(self, name: str) -> Object:
        """Carry it out to its end; the Workflow as it is then."""
        self.path = f"{paths.workflows(NAMESPACE)}/{name}"
        workflow = self.cluster.objects[self.path]
        self.spec = self._whole(workflow["spec"])
        self.templates = {one["name"]: one for one in self.spec["templates"]}
        given = self.spec.get("arguments", {}).get("parameters", [])
        assert all("value" in one for one in given), f"a parameter has no value: {given}"
        self.values = {
            "workflow.name": name,
            "workflow.uid": workflow["metadata"]["uid"],
            "workflow.namespace": NAMESPACE,
            **{f"workflow.parameters.{one['name']}": str(one["value"]) for one in given},
        }
        self._label()
        self._tell(phase="Running")
        phase = self.walk(self.spec["entrypoint"], "", {})
        if self._stopped.is_set():
            phase = BAD
        self.values["workflow.status"] = phase
        self._stopped.clear()
        after = self.walk(self.spec["onExit"], "exit-", {})
        self._tell(phase=phase if phase != GOOD else after)
        for thread in self._walking:
            thread.join(WALK_TIMEOUT_S)
        return self.cluster.objects[self.path]

    def _whole(self, spec: Object) -> Object:
        """With what the WorkflowTemplate has that it is made of; its own goes first."""
        if "workflowTemplateRef" not in spec:
            return spec
        name = spec["workflowTemplateRef"]["name"]
        there = self.cluster.objects[
            f"{paths.collection(API, 'WorkflowTemplate', NAMESPACE)}/{name}"
        ]
        given = {
            one["name"]: one
            for source in (there["spec"], spec)
            for one in source.get("arguments", {}).get("parameters", [])
        }
        whole = {**there["spec"], **spec, "arguments": {"parameters": [*given.values()]}}

        def keep(body: Object) -> None:
            body.setdefault("status", {})["storedWorkflowTemplateSpec"] = whole

        self.cluster.change(self.path, keep)
        return whole

    def _label(self) -> None:
        """`workflowMetadata`, before anything of it begins."""
        wanted = self.spec.get("workflowMetadata", {})
        labels = {
            **wanted.get("labels", {}),
            **{k: self.values[v["expression"]] for k, v in wanted.get("labelsFrom", {}).items()},
        }

        def change(body: Object) -> None:
            body["metadata"].setdefault("labels", {}).update(labels)

        self.cluster.change(self.path, change)

    def walk(self, name: str, prefix: str, given: Mapping[str, str]) -> str:
        """One template of any kind to its end; its phase. `given` are its inputs."""
        template = self.templates[name]
        if "dag" in template:
            return self.graph(template["dag"]["tasks"], prefix, given)
        return self.graph([{"name": name, "template": name}], prefix, given)

    def graph(self, listed: Sequence[Object], prefix: str, given: Mapping[str, str]) -> str:
        """One DAG; its phase is that of its leaves."""
        tasks = {one["name"]: one for one in listed}
        known = dict(given)
        states: dict[str, str] = {}
        begun: dict[str, Group] = {}
        deadline = time.monotonic() + WALK_TIMEOUT_S
        try:
            while len(states) < len(tasks) and not self._stopped.is_set():
                assert time.monotonic() < deadline, self.story()
                for task in tasks.values():
                    self._advance(prefix, task, states, begun, known)
                time.sleep(0.01)
        finally:
            for group in begun.values():
                for one in group.members:
                    self._end(one)
        before = {one for task in tasks.values() for one in _before(task)}
        leaves = {states.get(one, BAD) for one in tasks if one not in before}
        return BAD if leaves & {BAD, "Errored"} else GOOD

    def _advance(
        self,
        prefix: str,
        task: Object,
        states: dict[str, str],
        begun: dict[str, Group],
        known: dict[str, str],
    ) -> None:
        name = task["name"]
        if name in states:
            return
        if name in begun:
            self._look_at(begun[name])
            phase = begun[name].phase
            if phase != "Running":
                states[name] = WORDS.get(phase, phase)
                known |= self._outputs(name, begun[name])
            return
        if not _before(task) <= set(states):
            return
        depends = task.get("depends")
        if depends and not holds(depends, states):
            states[name] = "Omitted"
        elif not self._wanted(task):
            states[name] = "Skipped"
        else:
            items = self._items(task, known)
            begun[name] = Group([self._begin_one(prefix, task, {**known, **one}) for one in items])

    def _look_at(self, group: Group) -> None:
        for place, one in enumerate(group.members):
            again = self._look(one) if isinstance(one, Pod) else None
            if again is not None:
                group.members[place] = again

    def _items(self, task: Object, known: Mapping[str, str]) -> list[dict[str, str]]:
        """The values of `item` for each of what the task is; one without if it has no items."""
        found = task.get("withItems")
        if "withParam" in task:
            found = json.loads(self._filled(task["withParam"], known, plain=True))
        if found is None:
            return [{}]
        return [
            {f"item.{key}": str(value) for key, value in one.items()}
            if isinstance(one, dict)
            else {"item": str(one)}
            for one in found
        ]

    def _outputs(self, task: str, group: Group) -> dict[str, str]:
        """Of a task that is one pod: what others may refer to."""
        if len(group.members) != 1 or not isinstance(group.members[0], Pod):
            return {}
        pod = group.members[0]
        found = {}
        for one in pod.template.get("outputs", {}).get("parameters", []):
            value = _value(one, pod)
            found[f"tasks.{task}.outputs.parameters.{one['name']}"] = value
            if "globalName" in one:
                self.values[f"workflow.outputs.parameters.{one['globalName']}"] = value
        return found

    def _begin_one(self, prefix: str, task: Object, known: Mapping[str, str]) -> Pod | Branch:
        given = {
            f"inputs.parameters.{one['name']}": self._filled(str(one["value"]), known, plain=True)
            for one in task.get("arguments", {}).get("parameters", [])
        }
        template = self.templates[task["template"]]
        shown = template.get("annotations", {}).get(DISPLAY_NAME, task["name"])
        node = prefix + self._filled(shown, given, plain=True)
        if "dag" in template:
            return self._branch(node, task["template"], given)
        return self._begin(node, task["template"], given)

    def _branch(self, node: str, template: str, given: Mapping[str, str]) -> Branch:
        found = Branch(node)

        def walk() -> None:
            phase = ERROR
            try:
                phase = self.walk(template, "", given)
            finally:
                found.phase = phase

        found.thread = threading.Thread(target=walk, name=node)
        found.thread.start()
        return found

    def _wanted(self, task: Object) -> bool:
        if "when" not in task:
            return True
        left, _, right = self._filled(task["when"], {}, plain=True).partition(" == ")
        return left.strip() == right.strip()

    # ── a pod ────────────────────────────────────────────────────────────────────────────────

    def _begin(self, node: str, name: str, given: Mapping[str, str], attempt: int = 0) -> Pod:
        plain = {k: v for k, v in self.templates[name].items() if k != "metrics"}
        template = json.loads(self._filled(json.dumps(plain), given))
        if "podSpecPatch" in self.spec and "container" in template:
            (patch,) = json.loads(self.spec["podSpecPatch"])["containers"]
            assert patch.pop("name") == "main"
            template["container"] |= patch
        folder = self.folder / "pods" / f"{next(self._number):02d}-{node}"
        for place in ("trial", "tmp", "root"):
            (folder / place).mkdir(parents=True)
        (folder / "message").touch()
        pod = Pod(node, template, folder, began=_now())
        pod.again = lambda: self._begin(node, name, given, attempt + 1)
        pod.attempt = attempt
        self.pods[node] = pod
        problem = self._bring(pod)
        if problem:
            pod.phase, pod.message = ERROR, problem
        elif "resource" in template:
            self._make(pod)
        else:
            self._start(pod)
        self._show(pod)
        self.when(node, "Running")
        return pod

    # ── an object ────────────────────────────────────────────────────────────────────────────

    def _make(self, pod: Pod) -> None:
        """`kubectl apply` of its manifest, as the executor does it: look, then create."""
        resource = pod.template["resource"]
        assert (resource["action"], resource["setOwnerReference"]) == ("apply", True)
        assert not {"successCondition", "failureCondition"} & set(resource)
        body = yaml.safe_load(resource["manifest"])
        owner = {"name": self.values["workflow.name"], "uid": self.values["workflow.uid"]}
        body["metadata"]["ownerReferences"] = [{"kind": "Workflow", **owner}]
        account, where = pod.template["serviceAccountName"], paths.collection_of(body)
        name = body["metadata"]["name"]
        try:
            if self._asks(account, "GET", f"{where}/{name}") == 404:
                self._asks(account, "POST", where, body)
        except HTTPError as error:
            pod.phase, pod.message = BAD, f"Error (exit code 1): {error}"
            return
        pod.phase = GOOD
        if name not in self.trials:
            more = {"folder": self.folder / name, "pods": {}, "trials": {}}
            self.trials[name] = replace(self, **more)
            self.trials[name].store = self.store
            thread = threading.Thread(target=self.trials[name].run, args=(name,), name=name)
            self._walking.append(thread)
            thread.start()

    def _asks(self, account: str, method: str, path: str, body: Object | None = None) -> int:
        """The API's status; raises `HTTPError` for a refusal."""
        headers = {"Authorization": f"Bearer {account}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.cluster.url + path, data, headers, method=method)
        try:
            with urlopen(request, timeout=30.0) as answer:
                return int(answer.status)
        except HTTPError as error:
            if error.code == 404:
                return 404
            raise

    # ── a process ────────────────────────────────────────────────────────────────────────────

    def _start(self, pod: Pod) -> None:
        template, folder = pod.template, pod.folder
        account = template["serviceAccountName"]
        self.cluster.put(paths.pods(NAMESPACE), _object(pod))
        kubeconfig(folder / "tmp", self.cluster, account)
        container = template["container"]
        environment = {
            **self.image,
            "KUBECONFIG": "/tmp/kubeconfig",  # in place of the account's token
            **{one["name"]: self._variable(one, pod) for one in container["env"]},
        }
        own = {
            "/trial": str(folder / "trial"),
            "/tmp": str(folder / "tmp"),
            MESSAGE: str(folder / "message"),
            "/etc/hosts": str(self.hosts),
            **{path: str(there) for path, there in self.shared.items()},
        }
        for path in self.shared:
            (folder / path.lstrip("/")).mkdir(parents=True)
        spec = {"root": str(folder / "root"), "own": own, "environment": environment}
        words = [*container["command"], *container["args"], *self.more.get(pod.name, ())]
        with (folder / "log").open("wb") as log:
            pod.process = subprocess.Popen(
                [sys.executable, "-m", "tests.kube.pod", json.dumps(spec), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _variable(self, one: Object, pod: Pod) -> str:
        if "value" in one:
            return str(one["value"])
        fields = {"metadata.name": pod.folder.name, "status.podIP": "127.0.0.1"}
        return fields[one["valueFrom"]["fieldRef"]["fieldPath"]]

    def _look(self, pod: Pod) -> Pod | None:
        """Finish it if it has ended; the next attempt if there is one."""
        if pod.process is not None:
            if pod.process.poll() is None:
                return None
            self._finish(pod)
            self._show(pod)
            self.when(pod.name, pod.phase)
        strategy = pod.template.get("retryStrategy")
        if pod.phase == ERROR and strategy and pod.attempt < strategy["limit"]:
            assert strategy["retryPolicy"] == "OnError"
            assert pod.again is not None
            return pod.again()
        return None

    def _finish(self, pod: Pod) -> None:
        assert pod.process is not None
        code, pod.process = pod.process.returncode, None
        pod.phase = GOOD if code == 0 else BAD
        last = (pod.folder / "message").read_text(encoding="utf-8").strip()
        pod.message = "" if code == 0 else f"Error (exit code {code}): {last or pod.said[-2000:]}"
        problem = self._store(pod)
        if problem:
            pod.phase, pod.message = ERROR, problem

    def _end(self, pod: Pod | Branch) -> None:
        """Its last hour has come: as a pod whose grace is over."""
        if isinstance(pod, Branch):
            assert pod.thread is not None
            pod.thread.join(WALK_TIMEOUT_S)
        elif pod.process is not None:
            pod.process.send_signal(signal.SIGKILL)
            pod.process.wait()
            pod.process = None
            pod.phase, pod.message = BAD, "workflow shutdown with strategy:  Stop"
            self._show(pod)

    # ── artifacts ────────────────────────────────────────────────────────────────────────────

    def _bring(self, pod: Pod) -> str:
        """Its inputs; what went wrong."""
        for artifact in pod.template.get("inputs", {}).get("artifacts", []):
            path = _inside(artifact["path"], pod)
            path.parent.mkdir(parents=True, exist_ok=True)
            if "raw" in artifact:
                path.write_text(artifact["raw"]["data"], encoding="utf-8")
                continue
            if not self.store_up:
                return f"artifact {artifact['name']} failed to load: connection refused"
            stored = self.store / artifact["s3"]["key"]
            if stored.is_dir():
                shutil.copytree(stored, path, dirs_exist_ok=True)
            elif stored.is_file():
                shutil.copy(stored, path)
            elif not artifact.get("optional"):
                return f"artifact {artifact['name']} failed to load: no such key"
        return ""

    def _store(self, pod: Pod) -> str:
        """Its outputs, and its log as `archiveLogs` has it; what went wrong."""
        if not self.store_up:
            return "failed to put file: connection refused"
        for artifact in pod.template.get("outputs", {}).get("artifacts", []):
            path, stored = _inside(artifact["path"], pod), self.store / artifact["s3"]["key"]
            assert artifact["archive"] == {"none": {}}
            stored.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, stored, dirs_exist_ok=True)
            elif path.is_file():
                shutil.copy(path, stored)
            elif not artifact.get("optional"):
                return f"{artifact['name']} is not there"
        return ""

    # ── status ───────────────────────────────────────────────────────────────────────────────

    def _show(self, pod: Pod) -> None:
        parameters = [
            {"name": one["name"], "value": _value(one, pod)}
            for one in pod.template.get("outputs", {}).get("parameters", [])
        ]
        node = {
            "type": "Pod",
            "name": f"{self.values['workflow.name']}.{pod.name}",
            "displayName": pod.name,
            "phase": pod.phase,
            "message": pod.message,
            "startedAt": pod.began,
            "finishedAt": None if pod.phase == "Running" else _now(),
            "outputs": {"parameters": parameters},
        }

        def change(body: Object) -> None:
            body.setdefault("status", {}).setdefault("nodes", {})[pod.folder.name] = node

        self.cluster.change(self.path, change)

    def _tell(self, **status: str) -> None:
        self.cluster.change(self.path, lambda body: body.setdefault("status", {}).update(status))

    def _filled(self, text: str, given: Mapping[str, str], *, plain: bool = False) -> str:
        """Tags replaced; in JSON unless it is `plain` text."""

        def value(match: re.Match[str]) -> str:
            word = match[1].strip()
            found = {**self.values, **given}.get(word)
            assert found is not None, f"nobody knows {match[0]}"
            return found if plain else json.dumps(found)[1:-1]

        return _TAG.sub(value, text)

    def story(self) -> str:
        """What every node has said, for a failed test."""
        own = [
            f"{one.name}: {one.phase} {one.message}: {one.said[-1500:]}"
            for one in self.pods.values()
        ]
        return "\n".join([*own, *(f"{n}:\n{a.story()}" for n, a in self.trials.items())])


def _object(pod: Pod) -> Object:
    containers = [{"name": "wait", "image": "argoexec"}]
    containers.append({"name": "main", "image": pod.template["container"]["image"]})
    return {"metadata": {"name": pod.folder.name}, "spec": {"containers": containers}}


def _before(task: Object) -> set[str]:
    return {one for one, _ in _STATE.findall(task.get("depends") or "")}


def _inside(path: str, pod: Pod) -> Path:
    assert path.startswith("/trial/") or path == "/trial", path
    return pod.folder / path.lstrip("/")


def _value(parameter: Object, pod: Pod) -> str:
    """An output; a template's own path, or its default."""
    source: Any = parameter["valueFrom"]
    path = _inside(source["path"], pod)
    return path.read_text(encoding="utf-8") if path.exists() else str(source["default"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
