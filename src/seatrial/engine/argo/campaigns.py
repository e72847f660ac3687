"""A campaign as the sum of its trials: one verdict, and a sentence that names those against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, selector
from seatrial.engine.argo.runs import CAMPAIGN_LABEL, WorkflowState, state

#: So many trials are named in the sentence.
NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class End:
    """How a Workflow ended: a trial by its own last leaf, a campaign by its trials'."""

    verdict: str
    sentence: str
    #: Trial → verdict; empty for what is no campaign.
    trials: dict[str, str]


async def end_of(api: Api, now: WorkflowState) -> End:
    """The end of a Workflow that has ended."""
    if any(node.task == "verdict" for node in now.nodes):
        return End(now.verdict, now.sentence, {})
    try:
        label = selector({CAMPAIGN_LABEL: now.name})
        found = await api.items(paths.workflows(now.namespace), label)
    except ApiError:
        found = []  # no right to list them: what its own nodes say remains
    return joined(now, [state(one) for one in found])


def joined(now: WorkflowState, trials: Sequence[WorkflowState]) -> End:
    """The verdict of all: one invalid trial beats any unknown one, and none of them is unknown.

    Valid only if the campaign itself succeeded as well: a trial that was never made, or whose
    Workflow is gone, is in its nodes.
    """
    if not trials:
        return End(now.verdict, now.sentence, {})
    said = {one.name: one.verdict for one in trials}
    count = Counter(said.values())
    if count["invalid"]:
        verdict = "invalid"
    elif count["unknown"] or now.phase != "Succeeded":
        verdict = "unknown"
    else:
        verdict = "valid"
    told = ", ".join(f"{count[one]} {one}" for one in ("valid", "invalid", "unknown") if count[one])
    bad = sorted((one for one in trials if one.verdict != "valid"), key=lambda one: one.verdict)
    named = [f"{one.name}: {one.sentence}" for one in bad[:NAMED_MAX]]
    rest = [f"and {len(bad) - NAMED_MAX} more"] if len(bad) > NAMED_MAX else []
    if not bad and verdict == "unknown":
        named = [f"the campaign itself: {now.sentence}"]
    words = f"{verdict}: of {len(trials)} trials {told}"
    return End(verdict, "; ".join([words, *named, *rest]), said)
