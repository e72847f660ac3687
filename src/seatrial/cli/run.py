"""`seatrial run` and `seatrial plan`."""

from __future__ import annotations

from pathlib import Path

import click

from seatrial.cli import planning, words
from seatrial.errors import Interrupted, UsageError
from seatrial.runner import display, outside
from seatrial.runner.store import DEFAULT_STORE


@click.command(
    epilog="Example: seatrial plan etcd-register --seed 7",
    context_settings={"auto_envvar_prefix": "SEATRIAL_PLAN"},
)
@planning.plan_options
@planning.engine_option
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Write it there as plan.json, with its seed, faults and checkers in files of their own.",
)
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON on standard output.")
def plan(
    case: str,
    target: str | None,
    engine: str,
    faults: str | None,
    time_limit: float | None,
    concurrency: int | None,
    rate: float | None,
    seed: int | None,
    nodes: int | None,
    binary: str | None,
    isolation: str,
    into: Path | None,
    as_json: bool,
) -> int:
    """Print all that a trial of CASE would do, touching nothing.

    The same case, options and seed print the same bytes. Each option may come from a variable of
    the environment, SEATRIAL_PLAN_SEED and so on; an empty one is not set.
    """
    chosen = planning.overrides(
        target, engine, faults, time_limit, concurrency, rate, nodes, binary, isolation
    )
    made = planning.make(case, seed, chosen)
    if engine != "argo":  # where trials are workflows, the plan is made here all the same
        outside.check_unavailable(made)
    if into is not None:
        planning.write_into(into, made)
    click.echo(made.to_text() if as_json else words.plan_text(made), nl=False)
    return 0


@click.command(
    epilog="Example: seatrial run etcd-register --faults kill,partition --time-limit 60s"
)
@planning.plan_options
@planning.engine_option
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where trials are kept.",
)
@click.option("--keep", is_flag=True, help="Keep the nodes' data folders in the trial's folder.")
@click.option("--namespace", help="Where workflows run (engine argo; default: seatrial).")
@click.option("--image", help="The image of all steps (engine argo).")
@click.option(
    "--settings",
    "file",
    type=click.Path(path_type=Path),
    help="A YAML file with settings of the cluster, as `render` takes it (engine argo).",
)
@click.option("--context", metavar="NAME", help="Of the kubeconfig (engine argo).")
@click.option(
    "--endpoint", metavar="URL", help="Where the artifact store is reached from here (engine argo)."
)
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON on standard output.")
def run(
    case: str,
    target: str | None,
    engine: str,
    faults: str | None,
    time_limit: float | None,
    concurrency: int | None,
    rate: float | None,
    seed: int | None,
    nodes: int | None,
    binary: str | None,
    isolation: str,
    store: Path,
    keep: bool,
    namespace: str | None,
    image: str | None,
    file: Path | None,
    context: str | None,
    endpoint: str | None,
    as_json: bool,
) -> int:
    """Carry out a trial of CASE and judge it.

    With --engine argo it is a Workflow of a cluster: submitted, followed, fetched and judged here.

    Exit status: 0 valid, 1 invalid, 2 unknown, 64 and up: used wrongly or could not start.
    """
    chosen = planning.overrides(
        target, engine, faults, time_limit, concurrency, rate, nodes, binary, isolation
    )
    if engine == "argo":
        from seatrial.cli import far

        if keep:
            raise UsageError(
                "--keep copies folders of this machine, and nodes of a cluster have none\n\n"
                "hint: --keep-target on-failure"
            )
        where = far.Where(namespace, image, file, context, endpoint)
        return far.run_there(case, seed, chosen, where, store, as_json=as_json)
    if namespace or image or file or context or endpoint:
        raise UsageError("options of a cluster without a cluster\n\nhint: --engine argo")
    made = planning.make(case, seed, chosen)
    outside.check_unavailable(made)
    shown = display.make(quiet=as_json)
    shown.say(f"seed    {made.seed}")
    try:
        judgement = outside.run_trial(made, store, shown, keep=keep)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted while judging\n\nhint: the trial is kept: seatrial check "
            f"{store / 'latest'}"
        ) from None
    finally:
        shown.close()
    words.say_judgement(judgement, as_json=as_json, repeat=made.repeat)
    return judgement.verdict.exit_code
