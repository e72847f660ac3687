"""`seatrial watch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seatrial.cli.clusters import STATUS, cluster_options, on_cluster, progress
from seatrial.cli.messages import write_message

if TYPE_CHECKING:
    from seatrial.engine.argo.api import Api
    from seatrial.engine.argo.campaigns import End
    from seatrial.engine.argo.runs import WorkflowState


@click.command(epilog="Example: seatrial watch etcd-register-7-abcde")
@click.argument("workflow")
@cluster_options
@click.option(
    "--message-file",
    "files",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Write the verdict's sentence there too (in a pod: /dev/termination-log).",
)
@click.option("--json", "as_json", is_flag=True, help="The end as one JSON document.")
def watch(
    workflow: str, namespace: str, context: str | None, files: tuple[Path, ...], as_json: bool
) -> int:
    """Follow a WORKFLOW: phases, faults and ops as they happen, until it has ended.

    Exit status: the trial's verdict, 0 valid, 1 invalid, 2 unknown; of a campaign that of all its
    trials, where one invalid trial beats an unknown one; 66 if there is no such workflow, 69 if
    the cluster does not answer.
    """
    return follow(context, namespace, workflow, as_json=as_json, files=files)


def follow(
    context: str | None, namespace: str, name: str, *, as_json: bool, files: tuple[Path, ...] = ()
) -> int:
    """Follow a Workflow to its end; the exit status. Its sentence is written to `files` too."""
    now, end = followed(context, namespace, name)
    sentence = f"{end.verdict}: {end.sentence.removeprefix(f'{end.verdict}: ')}"
    for file in files:
        write_message(file, sentence)
    if as_json:
        document = {
            "workflow": now.name,
            "phase": now.phase,
            "verdict": end.verdict,
            "cause": end.sentence,
            "nodes": {node.name: node.phase for node in now.nodes},
            **({"trials": end.trials} if end.trials else {}),
        }
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(sentence)
    return STATUS[end.verdict]


def followed(context: str | None, namespace: str, name: str) -> tuple[WorkflowState, End]:
    """A Workflow at its end; what happened until then is told as it happens."""
    from seatrial.engine.argo import campaigns, runs

    teller = Teller()

    async def act(api: Api) -> tuple[WorkflowState, End]:
        now = await runs.follow(api, namespace, name, teller.tell)
        return now, await campaigns.end_of(api, now)

    return on_cluster(context, act)


class Teller:
    """Tells what is new since the last look, a line each."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}
        self._line = ""

    def tell(self, now: WorkflowState, board: str) -> None:
        """Nodes that changed their phase, and what the board says if it is new."""
        for node in now.nodes:
            if self._nodes.get(node.name) == node.phase:
                continue
            self._nodes[node.name] = node.phase
            why = node.outputs.get("message", "").strip() or node.message
            at = (node.ended or node.began)[11:19]
            progress(f"{at or '--:--:--'} {node.name:<34} {node.phase:<10} {why}".rstrip())
        if board and board != self._line:
            self._line = board
            progress(f"{'':8} {board}")
