"""Walks a rendered workflow as Argo would, with processes in place of pods.

Each task gets a folder of its own, filled with nothing but the artifacts that its template names,
and what its template puts out goes to a folder that stands for the artifact store. So a step that
reads what it was not given fails here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hera.workflows import Workflow

POD = "/trial"
MESSAGE = "/dev/termination-log"
#: A walk that takes longer hangs.
WALK_TIMEOUT_S = 300.0
_STATE = re.compile(r"([\w-]+)\.(\w+)")
_OUTER = re.compile(r"\{\{(workflow\.parameters|inputs\.parameters|workflow)\.([\w-]+)\}\}")


@dataclass
class Node:
    """A task that has begun."""

    process: subprocess.Popen[bytes]
    folder: Path
    template: Mapping[str, Any]
    state: str = "Running"

    @property
    def output(self) -> str:
        """What it said so far."""
        return (self.folder / "output").read_text(encoding="utf-8")


@dataclass
class Walk:
    """One workflow under way. `environment` goes to every process."""

    workflow: Workflow
    root: Path
    environment: Mapping[str, str]
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        document = self.workflow.to_dict()["spec"]
        self.templates = {one["name"]: one for one in document["templates"]}
        self.entry, self.handler = document["entrypoint"], document["onExit"]
        given = document.get("arguments", {}).get("parameters", [])
        self.parameters = {one["name"]: str(one["value"]) for one in given}
        self.store = self.root / "store"
        self.store.mkdir(parents=True)
        self.nodes: dict[str, Node] = {}

    def run(self) -> None:
        """All of it: the graph, then the exit handler."""
        self.graph(self.entry)
        self.graph(self.handler)

    def graph(self, name: str) -> None:
        """Carry out one DAG template."""
        tasks = {one["name"]: one for one in self.templates[name]["dag"]["tasks"]}
        states: dict[str, str] = {}
        deadline = time.monotonic() + WALK_TIMEOUT_S
        try:
            while len(states) < len(tasks):
                assert time.monotonic() < deadline, self.story()
                self._advance(name, tasks, states)
                time.sleep(0.01)
        finally:
            for node in self.nodes.values():
                node.process.kill()
                node.process.wait()

    def _advance(self, graph: str, tasks: Mapping[str, Any], states: dict[str, str]) -> None:
        """End what has ended, begin what may begin, leave out what never will."""
        for task in tasks.values():
            name = task["name"]
            key = name if graph == self.entry else f"exit-{name}"
            if name in states:
                continue
            if key in self.nodes:
                if self.nodes[key].process.poll() is not None:
                    states[name] = self._finish(self.nodes[key])
                continue
            depends = task.get("depends") or ""
            before = {one for one, _ in _STATE.findall(depends)}
            if not before <= set(states):
                continue
            if not depends or holds(depends, states):
                self.nodes[key] = self._begin(key, task)
            else:
                states[name] = "Omitted"

    def _begin(self, key: str, task: Mapping[str, Any]) -> Node:
        template = self.templates[task["template"]]
        given = {
            one["name"]: one["value"] for one in task.get("arguments", {}).get("parameters", [])
        }
        folder = self.root / "pods" / key
        folder.mkdir(parents=True)
        resolved = json.loads(self._resolve(json.dumps(template), given))
        for artifact in resolved.get("inputs", {}).get("artifacts", []):
            self._bring(artifact, folder)
        argv = [_inside(word, folder) for word in resolved["container"]["args"]]
        argv = [str(folder / "message") if word == MESSAGE else word for word in argv]
        argv += self.more.get(key, ())
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "seatrial", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment},
            )
        return Node(process, folder, resolved)

    def _resolve(self, text: str, given: Mapping[str, str]) -> str:
        values = {"workflow.parameters": self.parameters, "inputs.parameters": given}

        def value(match: re.Match[str]) -> str:
            return json.dumps(values.get(match[1], {}).get(match[2], match[2]))[1:-1]

        return _OUTER.sub(value, text)

    def _bring(self, artifact: Mapping[str, Any], folder: Path) -> None:
        path = Path(_inside(artifact["path"], folder))
        path.parent.mkdir(parents=True, exist_ok=True)
        if "raw" in artifact:
            path.write_text(artifact["raw"]["data"], encoding="utf-8")
            return
        stored = self.store / artifact["s3"]["key"]
        if stored.is_dir():
            shutil.copytree(stored, path, dirs_exist_ok=True)
        elif stored.is_file():
            shutil.copy(stored, path)
        else:
            assert artifact.get("optional"), f"{artifact['name']} is not in the store"

    def _finish(self, node: Node) -> str:
        for artifact in node.template.get("outputs", {}).get("artifacts", []):
            path = Path(_inside(artifact["path"], node.folder))
            stored = self.store / artifact["s3"]["key"]
            if path.is_dir():
                shutil.copytree(path, stored, dirs_exist_ok=True)
            elif path.is_file():
                stored.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, stored)
            else:
                assert artifact.get("optional"), f"{artifact['name']} was not put out"
        node.state = "Succeeded" if node.process.returncode == 0 else "Failed"
        return node.state

    def message(self, name: str) -> str:
        """What a node's pod left as its last words."""
        return (self.nodes[name].folder / "message").read_text(encoding="utf-8")

    def fetched(self) -> Path:
        """The trial's folder as it comes back from the store."""
        (found,) = {path.parent for path in self.store.rglob("plan.json")}
        return found

    def story(self) -> str:
        """What every node has said, for a failed test."""
        return "\n".join(
            f"{name}: {node.state} {node.process.returncode}: {node.output[-1500:]}"
            for name, node in self.nodes.items()
        )


def _inside(path: str, folder: Path) -> str:
    """A path of a pod's trial folder, as it is here."""
    return str(folder) + path.removeprefix(POD) if path.startswith(POD) else path


def holds(depends: str, states: Mapping[str, str]) -> bool:
    """Whether a `depends` holds: states of tasks, `&&`, `||`, `!` and brackets."""

    def truth(match: re.Match[str]) -> str:
        return str(states[match[1]] == match[2])

    text = _STATE.sub(truth, depends)
    text = text.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
    assert re.fullmatch(r"[\s()]*((True|False|and|or|not)[\s()]*)+", text), depends
    return bool(eval(text, {"__builtins__": {}}))  # only the words above
