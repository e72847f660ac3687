"""`seatrial run --engine argo`: submitted, followed and fetched in one, and judged here."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seatrial.cli import planning, words
from seatrial.cli.clusters import STATUS, on_cluster, progress
from seatrial.cli.fetch import brought
from seatrial.cli.render import settings_of
from seatrial.cli.watch import followed
from seatrial.errors import Interrupted, SeatrialError
from seatrial.plan import Plan
from seatrial.runner import display, outside
from seatrial.runner.planner import Overrides
from seatrial.trial import TrialFolder
from seatrial.verdict import Validity, join

if TYPE_CHECKING:
    from seatrial.engine.argo.api import Api, Object
    from seatrial.engine.argo.runs import WorkflowState


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster, what is special about it, and where its artifacts are reached from here."""

    namespace: str | None
    image: str | None
    settings: Path | None
    context: str | None
    endpoint: str | None


def run_there(
    case: str, seed: int | None, chosen: Overrides, where: Where, store: Path, *, as_json: bool
) -> int:
    """Carry out a trial as a Workflow and judge what it brings home; the exit status.

    Where its artifacts cannot be fetched the cluster's verdict stands. Ctrl-C stops the Workflow,
    which heals first.
    """
    from seatrial.workflows import documents
    from seatrial.workflows.trial import trial

    settings, _ = settings_of(
        where.settings, (), None, namespace=where.namespace, image=where.image
    )
    chosen = replace(chosen, keep_target=chosen.keep_target or settings.keep)
    settings = settings.model_copy(update={"keep": chosen.keep_target})
    plan = planning.make(case, seed, chosen)
    progress(f"seed    {plan.seed}")
    context = where.context
    image = type(settings)().image if where.image is None else ""
    name, namespace = _submit(context, documents.document(trial(plan, settings)), image)
    progress(f"workflow {name} in {namespace}")
    try:
        end, _ = followed(context, namespace, name)
    except KeyboardInterrupt:
        _stop(context, namespace, name)
        raise Interrupted(
            f"interrupted: {name} is stopped, and its exit handler heals and clears up\n\n"
            f"hint: seatrial watch {name} --namespace {namespace}"
        ) from None
    folder = store / name
    try:
        brought(context, namespace, name, folder, where.endpoint)
    except SeatrialError as error:
        progress(f"not fetched: {error}")
        return _say_state(end, plan, as_json=as_json)
    return _judge(folder, plan, end, as_json=as_json)


def _submit(context: str | None, document: Object, image: str) -> tuple[str, str]:
    from seatrial.engine.argo import runs

    async def act(api: Api) -> Any:
        return (await runs.submit(api, document, default_image=image))["metadata"]

    made = on_cluster(context, act)
    return str(made["name"]), str(made["namespace"])


def _stop(context: str | None, namespace: str, name: str) -> None:
    from seatrial.engine.argo import runs

    async def act(api: Api) -> tuple[str, ...]:
        return await runs.stop(api, namespace, name, "Ctrl-C", progress)

    for told in on_cluster(context, act):
        progress(told)


def _judge(folder: Path, plan: Plan, end: WorkflowState, *, as_json: bool) -> int:
    """Judge it here by the same functions; a cluster that says otherwise keeps it from green."""
    shown = display.make(quiet=True)
    try:
        judgement = outside.finish(TrialFolder(folder.absolute()), shown)
    finally:
        shown.close()
    words.say_judgement(judgement, as_json=as_json, repeat=plan.repeat)
    if judgement.verdict.value != end.verdict:
        progress(f"the cluster said {end.verdict}: {end.sentence}")
    return join([judgement.verdict, Validity(end.verdict)]).exit_code


def _say_state(end: WorkflowState, plan: Plan, *, as_json: bool) -> int:
    if as_json:
        document = {
            "schema": "seatrial/verdict/1",
            "verdict": end.verdict,
            "cause": end.sentence,
            "checkers": {},
            "case": plan.case,
            "target": plan.target.name,
            "seed": plan.seed,
            "workflow": end.name,
        }
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(f"{end.verdict}: {end.sentence.removeprefix(f'{end.verdict}: ')}")
    return STATUS[end.verdict]
