"""The node that makes a plan in the cluster, for trials that begin with a case and a seed."""

from __future__ import annotations

from collections.abc import Mapping

from hera.workflows import Container, Parameter
from hera.workflows import models as m

from seatrial.workflows.graph import PLAN
from seatrial.workflows.names import run_key
from seatrial.workflows.nodes import DIR
from seatrial.workflows.parameters import PARAMETERS, variable
from seatrial.workflows.pods import container, stored
from seatrial.workflows.settings import Settings

PLAN_SECONDS = 300


def plan_template(settings: Settings, labels: Mapping[str, str]) -> Container:
    """`seatrial plan`, whose outputs are the plan and the lists that the graph fans out over."""
    made = container(
        PLAN,
        [
            *("plan", "{{workflow.parameters.case}}", "--engine", "argo", "--into", DIR),
            # Not by its variable: an empty one, whose lock would be nobody's, is refused.
            *("--target", "{{workflow.parameters.target}}"),
        ],
        settings,
        account=settings.accounts.judge,
        seconds=PLAN_SECONDS,
        labels=labels,
        retry=True,
        environment={
            variable(name): f"{{{{workflow.parameters.{name}}}}}"
            for name in PARAMETERS
            if name not in ("case", "target")
        },
    )
    made.outputs = [
        # Global, so that the exit handler has it without asking the artifact store.
        Parameter(
            name="plan",
            global_name="plan",
            value_from=m.ValueFrom(path=f"{DIR}/plan.json", default="{}"),
        ),
        Parameter(name="seed", value_from=m.ValueFrom(path=f"{DIR}/seed", default="")),
        Parameter(name="faults", value_from=m.ValueFrom(path=f"{DIR}/faults.json", default="[]")),
        Parameter(
            name="checkers", value_from=m.ValueFrom(path=f"{DIR}/checkers.json", default="[]")
        ),
        stored("plan", f"{DIR}/plan.json", run_key(settings, "plan.json")),
    ]
    return made
