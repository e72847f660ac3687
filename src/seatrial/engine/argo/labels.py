"""What a trial's Workflow is found by, where only a step of it knows: the seed that was drawn."""

from __future__ import annotations

import contextlib

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError
from seatrial.engine.argo.run import Run
from seatrial.plan import Plan

SEED_LABEL = "seatrial/seed"
REPEAT = "seatrial/repeat"


async def tell(api: Api, run: Run, plan: Plan) -> None:
    """Label the run's Workflow with its plan's seed, and write on it how the plan is repeated.

    Labels are for people: where it cannot be done the trial goes on without.
    """
    metadata = {"labels": {SEED_LABEL: str(plan.seed)}, "annotations": {REPEAT: plan.repeat}}
    with contextlib.suppress(ApiError):
        await api.patch(f"{paths.workflows(run.namespace)}/{run.name}", {"metadata": metadata})
