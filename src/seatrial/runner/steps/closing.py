"""The steps that mend, look and clear away: `heal`, `quiesce`, `audit`, `collect`, `teardown`.

The last three, and `heal --exit`, are the exit handler's: they go on where there is nothing.
"""

from __future__ import annotations

import asyncio
import contextlib

from seatrial.engine.site import Site
from seatrial.errors import Absent, Unavailable
from seatrial.runner.quiesce import quiesce as quiesced
from seatrial.runner.steps import notices
from seatrial.runner.steps.notices import ActingNotice, HealNotice, StopNotice
from seatrial.runner.steps.rooms import AuditRecord
from seatrial.runner.steps.step import Outcome, Step

#: What Argo calls a workflow whose verdict is `valid`.
SUCCEEDED = "Succeeded"
#: What ends a cluster that is kept.
_GOES = {"argo": "it goes when the Workflow is deleted", "lab": "it goes when its lease is over"}


async def heal(step: Step) -> Outcome:
    """Undo all that faults did, say so, and look what is still broken.

    As exit handler it asks the steps that still run to end first, and heals also where they cannot
    be asked; a cluster that is not there needs no healing.
    """
    try:
        async with step.site() as site:
            if step.exit:
                wish = StopNotice(reason="the trial ends: its exit handler heals")
                with contextlib.suppress(Unavailable):
                    await notices.post(site.board, notices.STOP, wish)
            unhealed = await _heal_everything(site)
            if not step.exit:
                unhealed = await _with_earlier(site, unhealed)
            await notices.post(site.board, notices.ACTING, ActingNotice())
            leaks = await site.audit()
            healed = HealNotice(leaks=len(leaks) + len(unhealed), unhealed=unhealed)
            await notices.post(site.board, notices.HEAL, healed)
    except Absent as error:
        if not step.exit:
            raise
        return Outcome.done(f"nothing to heal: {error}".partition("\n")[0])
    step.rooms.write(step.room, "heal.json", AuditRecord(leaks=leaks, unhealed=unhealed))
    if unhealed or leaks:
        return Outcome.unproven(f"still broken after healing: {'; '.join([*unhealed, *leaks])}")
    return Outcome.done("everything is healed")


async def _heal_everything(site: Site) -> tuple[str, ...]:
    """What did not end in order, or not in time."""
    try:
        return await asyncio.wait_for(site.heal_everything(), site.heal_timeout_s)
    except TimeoutError:
        return (f"healing was not over within {site.heal_timeout_s:g} s",)


async def _with_earlier(site: Site, unhealed: tuple[str, ...]) -> tuple[str, ...]:
    """What an attempt before this one found as well: its room is gone, and so are the objects."""
    earlier = await notices.find(site.board, notices.HEAL, HealNotice)
    return tuple(dict.fromkeys((*(earlier.unhealed if earlier else ()), *unhealed)))


async def quiesce(step: Step) -> Outcome:
    """Wait until every node answers."""
    async with step.site() as site:
        silent = await quiesced(site.world, step.plan.phases.quiesce_timeout_s)
    step.rooms.write(step.room, "quiesce.json", AuditRecord(unplanned=silent))
    if silent:
        return Outcome.unproven("; ".join(silent))
    return Outcome.done(f"all {len(step.plan.target.nodes)} nodes answer without load")


async def audit(step: Step) -> Outcome:
    """What is still broken, and what happened that nobody planned; at the very end."""
    try:
        async with step.site() as site:
            found = AuditRecord(leaks=await site.audit(), unplanned=await site.unplanned())
    except Absent as error:
        return Outcome.done(f"nothing to audit: {error}".partition("\n")[0])
    step.rooms.write(step.room, "audit.json", found)
    if found.leaks:
        return Outcome.unproven(f"left behind: {'; '.join(found.leaks)}")
    return Outcome.done("nothing is left of any fault")


async def collect(step: Step) -> Outcome:
    """Bring the nodes' logs into the room."""
    try:
        async with step.site() as site:
            names = await site.collect(step.path / "logs")
    except Absent as error:
        return Outcome.done(f"nothing to collect: {error}".partition("\n")[0])
    return Outcome.done(f"{len(names)} files collected" if names else "all logs are here already")


async def teardown(step: Step) -> Outcome:
    """Take the cluster down; what is gone already is fine.

    Not one that ran before, nor that of a trial that failed where its case keeps it then.
    """
    keep = step.rooms.folder.nodes if step.keep else None
    if step.plan.keep_target == "on-failure" and step.ended not in ("", SUCCEEDED):
        return Outcome.done(
            f"kept, as the case says: the workflow is {step.ended}; {_GOES[step.plan.engine]}"
        )
    try:
        async with step.site() as site:
            left = await site.teardown(keep)
            stays = site.stays
    except Absent as error:
        return Outcome.done(f"nothing to take down: {error}".partition("\n")[0])
    step.rooms.write(step.room, "teardown.json", AuditRecord(leaks=left))
    if left:
        return Outcome.unproven(f"not taken down: {'; '.join(left)}")
    return Outcome.done(stays or "the cluster is gone")
