"""What `kubectl apply -k deploy/` applies, made from the same code that renders workflows.

`files` gives each generated file with its text; `python -m seatrial.workflows.deployment DIR`
writes them. A test says when what is stored and what would be made differ. What is written by
hand (kustomizations, MinIO for kind) stays beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from seatrial.verdict import Json
from seatrial.workflows.deployment import monitoring, rights, storage
from seatrial.workflows.deployment.schedules import crons, templates
from seatrial.workflows.documents import to_yaml
from seatrial.workflows.names import MANAGED_BY
from seatrial.workflows.settings import Settings

#: First line of each generated YAML file.
HEAD = "# Made by `python -m seatrial.workflows.deployment deploy`; a test keeps it in step.\n"


def files(settings: Settings) -> Mapping[str, str]:
    """Path below `deploy/` → text of every generated file."""
    made: dict[str, tuple[dict[str, Json], ...]] = {
        "base/namespace.yaml": (namespace(settings),),
        "base/rights.yaml": tuple(rights.documents(settings)),
        "base/artifacts.yaml": (storage.repository(settings),),
        "base/templates.yaml": tuple(templates(settings)),
        "base/crons.yaml": tuple(crons(settings)),
        "monitoring/podmonitor.yaml": (monitoring.pod_monitor(settings),),
        "monitoring/rules.yaml": (monitoring.rules(settings),),
    }
    texts = {path: HEAD + to_yaml(*documents) for path, documents in made.items()}
    dashboard = json.dumps(monitoring.dashboard(), indent=2, ensure_ascii=False)
    return {**texts, "monitoring/dashboard.json": dashboard + "\n"}


def namespace(settings: Settings) -> dict[str, Json]:
    """The namespace of trials. No pod in it may be privileged; Chaos Mesh's daemon is elsewhere."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": settings.namespace,
            "labels": {
                **MANAGED_BY,
                "pod-security.kubernetes.io/enforce": "baseline",
                "pod-security.kubernetes.io/warn": "restricted",
            },
            # Where Chaos Mesh filters namespaces (enableFilterNamespace), it may break this one.
            "annotations": {"chaos-mesh.org/inject": "enabled"},
        },
    }
