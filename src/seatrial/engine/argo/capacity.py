"""How much of a plan a Workflow can carry: pods of faults at once, and what Argo keeps of them.

Each fault is a pod that waits for its moment from the first stretch on, so all are there together:
with memory that they ask for, and a place each (kubelet: 110 a machine). Argo keeps the status of a
Workflow packed (gzip, base64) and ends one with an error whose status is over 1 MiB; every node's
inputs hold the plan twice, and a copy that is farther back than gzip looks (32 KiB) costs anew.
A template with its inputs is given to its pod as a variable, or as a ConfigMap that Argo's
controller may not make, where it is longer than 128 KiB.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Final

from seatrial.errors import Unavailable
from seatrial.plan import Plan

#: Pods of faults that stand at once.
FAULTS_MAX: Final = 25
#: A plan as text: the rest of a template, and JSON's quoting, fit into 128 KiB beside it.
PLAN_BYTES_MAX: Final = 100_000
#: The packed status by inputs alone: a quarter of Argo's 1 MiB is for outputs and messages.
STATUS_BYTES_MAX: Final = 768 << 10
#: Nodes of a trial that are neither a fault nor a checker; a step that is tried again has two.
OTHER_NODES: Final = 30
#: What a node has besides its inputs, roughly.
NODE_TEXT: Final = "x" * 400


def refuse(plan: Plan) -> None:
    """Raise `Unavailable` where the plan is too much for one Workflow, with what to do instead.

    O(bytes of the status).
    """
    if reason := too_much(plan):
        raise Unavailable(f"{plan.case} is too much for one Workflow: {reason}\n\n{_hint(plan)}")


def too_much(plan: Plan) -> str:
    """Why no Workflow can carry the plan; "" if one can."""
    count = len(plan.faults)
    if count > FAULTS_MAX:
        return f"{count} faults are {count} pods at once, and {FAULTS_MAX} are the most"
    length = len(plan.to_text().encode())
    if length > PLAN_BYTES_MAX:
        return f"its plan has {length:,} bytes, and {PLAN_BYTES_MAX:,} are the most"
    status = status_bytes(plan)
    if status > STATUS_BYTES_MAX:
        return f"its status would have {status:,} bytes, and {STATUS_BYTES_MAX:,} are the most"
    return ""


def status_bytes(plan: Plan) -> int:
    """About how long the Workflow's status is at its end, as Argo packs it."""
    text = plan.to_text()
    nodes = {
        f"{plan.case}-{number}": {
            "id": f"{plan.case}-{number}",
            "inputs": {
                "parameters": [{"name": "plan", "value": text}],
                "artifacts": [{"name": "plan", "raw": {"data": text}}],
            },
            "message": NODE_TEXT,
        }
        for number in range(len(plan.faults) + len(plan.checkers) + OTHER_NODES)
    }
    return len(base64.b64encode(gzip.compress(json.dumps(nodes).encode())))


def _hint(plan: Plan) -> str:
    phases, count = plan.phases, max(len(plan.faults), 1)
    whole_s = phases.before_s + phases.faults_s + phases.after_s
    fits_s = max(10, int(0.8 * whole_s * FAULTS_MAX / count))
    kind = plan.faults[0].kind if plan.faults else "kill"
    return (
        f"hint: --time-limit {fits_s}s, or fewer and longer ones (--fault-option "
        f"{kind}.duration_s=20), or --engine lab"
    )
