"""A linter for what neither Hera, nor a schema, nor a server's dry run sees in a workflow.

Pure: documents in, problems out. Each family of rules is a module; each rule was met on a live
cluster, or follows from how Argo reads a workflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from seatrial.workflows.lint import ends, limits, references, resources, teardown
from seatrial.workflows.lint.scene import KINDS, Node, Problem, read

#: Rule → what it says, for `seatrial lint --rules` and the reference.
RULES: Mapping[str, str] = {
    "reference": "every `{{…}}` leads to something that is known where it stands",
    "template": "every template that is named exists",
    "entrypoint": "a Workflow has an entrypoint",
    "depends": "every task in `depends` exists, and none waits for itself",
    "unknown-input": "a call gives only what its template takes",
    "missing-input": "a call gives all that its template needs",
    "output-default": "every output has a default, every output artifact is optional",
    "ends-in-verdict": "where failures are tolerated, the verdict is the only leaf and runs always",
    "repeated": "no load, fault, final read or verdict is retried, nor `create`",
    "hidden-message": "no retry expression, which would replace a node's message",
    "manifest": "what stands in a `resource` template is a Kubernetes object",
    "condition-on-chaos": "no successCondition on a Chaos Mesh kind: Argo guesses its plural wrong",
    "condition": "conditions are label selectors over keys and indexes",
    "run-label": "every object and pod has the run's label",
    "owner": "every object is owned by its Workflow",
    "duration": "every fault ends by itself",
    "action": "a fault's kind and action are Chaos Mesh's",
    "unbounded": "every pod is bounded in time",
    "command": "every container says its command",
    "teardown": "the exit handler removes every kind that the run makes",
    "teardown-stops": "the exit handler goes on when a step of it fails",
    "keep": "`teardown` is told how the workflow ended, and nothing skips it",
    "teardown-needs-store": "the exit handler needs no artifact store",
    "name": "names are within their limits, and unique",
    "label": "labels are labels",
    "dropped-field": "no field that Argo 4 dropped",
    "cron": "schedules and time zones parse",
    "packed": "what a browser shows is not packed",
    "size": "the object fits etcd",
}


def lint(document: Node) -> list[Problem]:
    """All problems of one document, in the order of its parts; none for other kinds.

    O(n²) in the tasks of one graph.
    """
    if document.get("kind") not in KINDS:
        return []
    return [*_lint(document)]


def _lint(document: Node) -> Iterator[Problem]:
    scene = read(document)
    size = len(json.dumps(document))
    if size > limits.OBJECT_BYTES_MAX:
        yield Problem(
            "size",
            scene.title,
            f"{size:,} bytes; Argo and etcd take about {limits.OBJECT_BYTES_MAX:,}",
            "templates and parameters instead of copies",
        )
    yield from limits.check(scene)
    yield from references.check(scene)
    yield from ends.check(scene)
    yield from resources.check(scene)
    yield from teardown.check(scene)
