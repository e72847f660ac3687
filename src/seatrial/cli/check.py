"""`seatrial check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from seatrial.checker import CheckOptions
from seatrial.cli import words
from seatrial.cli.types import Duration, Size, names
from seatrial.errors import UsageError
from seatrial.history import History
from seatrial.history.detect import load
from seatrial.history.merge import lift_keys
from seatrial.op import Value
from seatrial.runner import judge
from seatrial.runner.guess import guess_checkers
from seatrial.trial import TrialFolder
from seatrial.verdict import join

TIMEOUT_S = 60.0
MEMORY_BYTES = 4 << 30


@click.command(
    epilog="Example: seatrial check history.edn --checker list-append "
    "--consistency-model serializable"
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--checker", metavar="NAME[,NAME…]", help="Which checkers (default: as planned, or guessed)."
)
@click.option("--model", help="The model of `linearizable`: cas-register, fifo-queue, …")
@click.option("--initial", metavar="VALUE", help="The initial value, as JSON (default: null).")
@click.option("--consistency-model", metavar="C", help="What transactions are judged against.")
@click.option("--keyed", is_flag=True, help="Values are independent tuples [key value].")
@click.option(
    "--version-order",
    metavar="wfr,sequential,linearizable",
    help="What rw-register may infer from.",
)
@click.option("--group-size", type=int, help="Keys a group of `long-fork`.")
@click.option("--negative-balances", is_flag=True, help="`bank` may go below zero.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "jsonl", "json", "edn", "arrow"]),
    default="auto",
    show_default=True,
)
@click.option("--timeout", type=Duration(), help="Bound on each checker's time.")
@click.option("--memory", type=Size(), help="Bound on each checker's memory.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a path, a line each.")
def check(
    paths: tuple[Path, ...],
    checker: str | None,
    model: str | None,
    initial: str | None,
    consistency_model: str | None,
    keyed: bool,
    version_order: str | None,
    group_size: int | None,
    negative_balances: bool,
    form: str,
    timeout: float | None,
    memory: int | None,
    as_json: bool,
) -> int:
    """Judge stored trials or any history files, without a target.

    A PATH is a trial's folder or a history: Arrow, JSON Lines, a JSON array, Jepsen's EDN.
    """
    options = CheckOptions(
        model=model,
        initial=_initial(initial),
        consistency_model=consistency_model,
        version_order=names(version_order),
        group_size=group_size,
        negative_balances=negative_balances,
    )
    judge.check_names(names(checker))
    answers = []
    for path in paths:
        judgement = _judge(path, names(checker), options, keyed, form, timeout, memory, as_json)
        words.say_judgement(
            judgement, as_json=as_json, path=str(path) if len(paths) > 1 else None, compact=True
        )
        answers.append(judgement.verdict)
    return join(answers).exit_code


def _judge(
    path: Path,
    chosen: tuple[str, ...],
    options: CheckOptions,
    keyed: bool,
    form: str,
    timeout: float | None,
    memory: int | None,
    quiet: bool,
) -> judge.Judgement:
    """One path's judgement. With several paths a bad one must not hide the others' answers."""

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    if (path / "plan.json").is_file():
        only = {name: options for name in chosen} or None
        return judge.judge_trial(
            TrialFolder(path), only=only, timeout_s=timeout, memory=memory, say=say
        )
    history = load(path, form)
    if keyed:
        history = lift_keys(history)
    wanted = _wanted(history, chosen, options, say, path)
    return judge.judge_history(
        history,
        wanted,
        timeout_s=TIMEOUT_S if timeout is None else timeout,
        memory=MEMORY_BYTES if memory is None else memory,
        say=say,
    )


def _wanted(
    history: History,
    chosen: tuple[str, ...],
    options: CheckOptions,
    say: object,
    path: Path,
) -> Mapping[str, CheckOptions]:
    if chosen:
        return {name: options for name in chosen}
    guessed = guess_checkers(history)
    if not guessed:
        raise UsageError(
            f"{path}: no checker fits these ops ({', '.join(history.names[:8]) or 'none'})\n\n"
            "hint: --checker NAME (seatrial list checkers)"
        )
    if callable(say):
        say(f"guessed from the ops: --checker {','.join(guessed)}")
    return {name: options for name in guessed}


def _initial(text: str | None) -> Value:
    if text is None:
        return None
    try:
        return judge.value_from(json.loads(text))
    except ValueError:
        return text
