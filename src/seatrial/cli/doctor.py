"""`seatrial doctor`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seatrial.cli.clusters import cluster_options, on_cluster
from seatrial.doctor import Finding, examine
from seatrial.runner.store import DEFAULT_STORE

if TYPE_CHECKING:
    from seatrial.engine.argo.api import Api

#: How long a cluster that does not answer is asked again.
PATIENCE_S = 3.0
SIGN = {"ok": "✓", "limited": "!", "missing": "✗"}
COLOUR = {"ok": "green", "limited": "yellow", "missing": "red"}


@click.command(epilog="Example: seatrial doctor --json")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where trials will be kept.",
)
@click.option("--cluster", is_flag=True, help="Look at a Kubernetes cluster instead.")
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="A JSON array on standard output.")
def doctor(store: Path, cluster: bool, namespace: str, context: str | None, as_json: bool) -> int:
    """Say what this machine can and cannot do, what that means, and how to mend it.

    --cluster: what a Kubernetes cluster has and lacks for trials: CRDs and their versions, rights,
    chaos daemon, artifact store, clock.
    """
    findings = _cluster(namespace, context) if cluster else asyncio.run(examine(store))
    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in findings], ensure_ascii=False))
        return 0
    for finding in findings:
        sign = click.style(SIGN[finding.status], fg=COLOUR[finding.status])
        click.echo(f"{sign} {finding.name:<24} {finding.meaning}")
        if finding.mend:
            click.echo(f"  {'':<24} mend: {finding.mend}")
    return 0


def _cluster(namespace: str, context: str | None) -> tuple[Finding, ...]:
    from seatrial.engine.argo import diagnosis, finding
    from seatrial.engine.argo.rights import Right
    from seatrial.workflows.deployment import rights
    from seatrial.workflows.settings import Settings

    accounts = {
        account: [Right(namespace, *what, verb) for what, verbs in grants.items() for verb in verbs]
        for account, grants in rights.wanted(Settings(namespace=namespace)).items()
    }
    wanted = finding.Wanted(namespace, accounts)

    async def act(api: Api) -> tuple[finding.Finding, ...]:
        return await diagnosis.examine(api, wanted)

    found = on_cluster(context, act, PATIENCE_S)
    return tuple(Finding(one.name, one.status, one.meaning, one.mend) for one in found)
