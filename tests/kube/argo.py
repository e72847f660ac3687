"""Argo played for one Workflow of the server: its graph, its exit handler, its pods as processes.

What Argo does is done here as it does it: tags are replaced, artifacts go from the store into the
pod and back (all of them, in order, or the node is an Error), a node's outputs and message stand
in the Workflow's status, a retry is for Errors only, a DAG's phase is that of its leaves, `stop`
ends the pods and begins the exit handler.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial.engine.argo import paths
from tests.kube.cluster import NAMESPACE, kubeconfig
from tests.kube.server import Cluster, Object
from tests.steps.walker import holds

MESSAGE = "/dev/termination-log"
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

    @property
    def said(self) -> str:
        """Its log."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


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

    def __post_init__(self) -> None:
        self.store = self.folder / "store"
        self.store.mkdir(parents=True)
        self.outputs: dict[str, str] = {}
        self._stopped = threading.Event()
        self._number = 0

    def stop(self) -> None:
        """`argo stop`: no more than the exit handler from now on."""
        self._stopped.set()

    # ── a workflow ───────────────────────────────────────────────────────────────────────────

    def run(self, name: str) -> Object:
        """Carry it out to its end; the Workflow as it is then."""
        self.path = f"{paths.workflows(NAMESPACE)}/{name}"
        workflow = self.cluster.objects[self.path]
        self.spec = workflow["spec"]
        self.templates = {one["name"]: one for one in self.spec["templates"]}
        self.values = {
            "workflow.name": name,
            "workflow.uid": workflow["metadata"]["uid"],
            "workflow.namespace": NAMESPACE,
            **{
                f"workflow.parameters.{one['name']}": str(one["value"])
                for one in self.spec.get("arguments", {}).get("parameters", [])
            },
        }
        self._tell(phase="Running")
        phase = self.graph(self.spec["entrypoint"], prefix="")
        if self._stopped.is_set():
            phase = BAD
        self.values["workflow.status"] = phase
        self._stopped.clear()
        after = self.graph(self.spec["onExit"], prefix="exit-")
        self._tell(phase=phase if phase != GOOD else after)
        return self.cluster.objects[self.path]

    def graph(self, name: str, prefix: str) -> str:
        """One DAG; its phase is that of its leaves."""
        tasks = {one["name"]: one for one in self.templates[name]["dag"]["tasks"]}
        states: dict[str, str] = {}
        begun: dict[str, Pod] = {}
        deadline = time.monotonic() + WALK_TIMEOUT_S
        try:
            while len(states) < len(tasks) and not self._stopped.is_set():
                assert time.monotonic() < deadline, self.story()
                for task in tasks.values():
                    self._advance(prefix, task, states, begun)
                time.sleep(0.01)
        finally:
            for pod in begun.values():
                self._end(pod)
        before = {one for task in tasks.values() for one in _before(task)}
        leaves = {states.get(one, BAD) for one in tasks if one not in before}
        return BAD if leaves & {BAD, "Errored"} else GOOD

    def _advance(
        self, prefix: str, task: Object, states: dict[str, str], begun: dict[str, Pod]
    ) -> None:
        name = task["name"]
        if name in states:
            return
        if name in begun:
            again = self._look(begun[name])
            if again is not None:
                begun[name] = again
            elif begun[name].phase != "Running":
                states[name] = WORDS.get(begun[name].phase, begun[name].phase)
            return
        if not _before(task) <= set(states):
            return
        depends = task.get("depends")
        if depends and not holds(depends, states):
            states[name] = "Omitted"
        elif not self._wanted(task):
            states[name] = "Skipped"
        else:
            begun[name] = self._begin(prefix + name, task)

    def _wanted(self, task: Object) -> bool:
        if "when" not in task:
            return True
        left, _, right = self._filled(task["when"], {}).partition(" == ")
        return left.strip() == right.strip()

    # ── a pod ────────────────────────────────────────────────────────────────────────────────

    def _begin(self, node: str, task: Object, attempt: int = 0) -> Pod:
        given = {
            f"inputs.parameters.{one['name']}": self._filled(str(one["value"]), {})
            for one in task.get("arguments", {}).get("parameters", [])
        }
        plain = {k: v for k, v in self.templates[task["template"]].items() if k != "metrics"}
        template = json.loads(self._filled(json.dumps(plain), given))
        self._number += 1
        folder = self.folder / "pods" / f"{self._number:02d}-{node}"
        for name in ("trial", "tmp", "root"):
            (folder / name).mkdir(parents=True)
        (folder / "message").touch()
        pod = Pod(node, template, folder, began=_now())
        pod.template["attempt"], pod.template["task"] = attempt, task
        self.pods[node] = pod
        problem = self._bring(pod)
        if problem:
            pod.phase, pod.message = ERROR, problem
        else:
            self._start(pod)
        self._show(pod)
        self.when(node, "Running")
        return pod

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
        if pod.phase == ERROR and strategy and pod.template["attempt"] < strategy["limit"]:
            assert strategy["retryPolicy"] == "OnError"
            return self._begin(pod.name, pod.template["task"], pod.template["attempt"] + 1)
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

    def _end(self, pod: Pod) -> None:
        """Its last hour has come: as a pod whose grace is over."""
        if pod.process is not None:
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

    def _filled(self, text: str, given: Mapping[str, str]) -> str:
        def value(match: re.Match[str]) -> str:
            word = match[1].strip()
            found = {**self.values, **given}.get(word)
            assert found is not None, f"nobody knows {match[0]}"
            return json.dumps(found)[1:-1]

        return _TAG.sub(value, text)

    def story(self) -> str:
        """What every node has said, for a failed test."""
        return "\n".join(
            f"{one.name}: {one.phase} {one.message}: {one.said[-1500:]}"
            for one in self.pods.values()
        )


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
    source: Any = parameter["valueFrom"]
    path = _inside(source["path"], pod)
    return path.read_text(encoding="utf-8") if path.exists() else str(source["default"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
