"""The steps before the load: `preflight`, `provision`, `prepare`."""

from __future__ import annotations

import asyncio

from seatrial import faults as shelf
from seatrial import targets
from seatrial.engine.site import UNKNOWN_AT_BEST, Foretells
from seatrial.errors import Unavailable
from seatrial.fault import CLUSTER
from seatrial.plan import Plan
from seatrial.runner.cleared import clear
from seatrial.runner.quiesce import quiesce
from seatrial.runner.steps.rooms import VersionsRecord
from seatrial.runner.steps.step import Outcome, Step
from seatrial.runner.target_options import runs_already

#: How long every node may take until it answers clients.
PREPARE_TIMEOUT_S = 60.0
#: How long a leader may take to be known.
ROLES_TIMEOUT_S = 30.0
_POLL_S = 0.1


async def preflight(step: Step) -> Outcome:
    """Whether the plan can be carried out here; nothing is made."""
    plan = step.plan
    if plan.ramps or plan.safety.aborts or plan.slo is not None or _aborting(plan):
        raise Unavailable(
            "a ramp, an abort or an error budget needs somebody who sees load and faults at once, "
            "which no step does\n\nhint: seatrial run, in the lab"
        )
    for fault in plan.faults:
        reason = shelf.kind(fault.kind).unavailable(
            CLUSTER if plan.engine == "argo" else plan.isolation, plan.target.nodes, fault.options
        )
        if reason:
            raise Unavailable(f"{fault.id} ({fault.kind}) cannot be done here: {reason}")
    versions = await step.engine.preflight(plan)
    step.rooms.write(step.room, "versions.json", VersionsRecord(versions=versions))
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    unseen = step.engine.unseen(plan) if isinstance(step.engine, Foretells) else ()
    but = f", but {'; '.join(unseen)}. {UNKNOWN_AT_BEST}" if unseen else ""
    return Outcome.done(f"{plan.engine} can carry out {plan.case} with {told}{but}")


def _aborting(plan: Plan) -> bool:
    return any(state.on_break == "abort" for state in plan.steady_states)


async def provision(step: Step) -> Outcome:
    """Make the cluster; it stands on when the step has ended."""
    cluster = await step.engine.provision(step.plan, step.rooms.folder.root, step.lease_s)
    step.rooms.write(step.room, "cluster.json", cluster)
    names = ", ".join(f"{node.name} ({node.address})" for node in cluster.nodes)
    return Outcome.done(f"{step.plan.target.name} runs on {names}")


async def prepare(step: Step) -> Outcome:
    """Every node answers clients, and each role of the plan is played by somebody.

    A cluster that runs already is cleared of what earlier trials wrote.
    """
    planned = step.plan.target
    async with step.site() as site:
        silent = await quiesce(site.world, PREPARE_TIMEOUT_S)
        if not silent and runs_already(planned.settings):
            await clear(targets.make(planned.name, planned.settings), site.nodes)
            silent = await quiesce(site.world, PREPARE_TIMEOUT_S)
        if silent:
            raise Unavailable(f"not ready for load: {'; '.join(silent)}")
        wanted = {fault.victims for fault in step.plan.faults if not fault.nodes}
        roles = await site.locate()
        try:
            async with asyncio.timeout(ROLES_TIMEOUT_S):
                while wanted - set(roles):
                    await asyncio.sleep(_POLL_S)
                    roles = await site.locate()
        except TimeoutError:
            missing = ", ".join(sorted(wanted - set(roles)))
            raise Unavailable(f"nobody is {missing} after {ROLES_TIMEOUT_S:g} s") from None
    told = "; ".join(f"{role} {', '.join(names)}" for role, names in roles.items())
    return Outcome.done(f"{len(step.plan.target.nodes)} nodes answer ({told})")
