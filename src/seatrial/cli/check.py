"""`seatrial check`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from seatrial import report
from seatrial.checker import CheckOptions
from seatrial.checkers.options import read
from seatrial.cli import words
from seatrial.cli.messages import write_message
from seatrial.cli.types import Duration, Size, names
from seatrial.errors import SeatrialError, UsageError
from seatrial.history import History
from seatrial.history.detect import load
from seatrial.history.merge import lift_keys
from seatrial.op import Value
from seatrial.runner import judge
from seatrial.runner.guess import guess_checkers
from seatrial.steady import shelf
from seatrial.steady_state import SteadyState
from seatrial.trial import TrialFolder, write_text
from seatrial.verdict import Json, Validity, join

TIMEOUT_S = 60.0
MEMORY_BYTES = 4 << 30


def _given(context: click.Context, parameter: click.Parameter, lists: tuple[str, ...]) -> None:
    """The first node of a recheck: whether there is anything to fan out over.

    Argo makes no node for an empty list, and the workflow would be green with nothing judged.
    """
    for text in lists:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not (isinstance(found, list) and found and all(isinstance(n, str) and n for n in found)):
            click.echo(f"unknown: nothing to judge: {text!r} is no JSON list of names")
            context.exit(Validity.UNKNOWN.exit_code)
    if lists:
        context.exit()


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
    "--option",
    "settings",
    metavar="CHECKER.NAME=VALUE",
    multiple=True,
    help="A setting of one checker, such as availability.min_fraction=0.99 (repeatable).",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "jsonl", "json", "edn", "arrow"]),
    default="auto",
    show_default=True,
)
@click.option("--timeout", type=Duration(), help="Bound on each checker's time.")
@click.option("--memory", type=Size(), help="Bound on each checker's memory.")
@click.option(
    "--steady",
    multiple=True,
    metavar="FILE|TEMPLATE",
    help="Judge a trial's steady states of these names by these tolerances.",
)
@click.option(
    "--report",
    "report_file",
    type=click.Path(path_type=Path),
    help="Draw the judgement of one history file as HTML.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the judgement of one path there: verdict.json, verdict, message.",
)
@click.option(
    "--message-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write its sentence there too (in a pod: /dev/termination-log).",
)
@click.option(
    "--given",
    metavar="LIST",
    multiple=True,
    is_eager=True,
    hidden=True,
    expose_value=False,
    callback=_given,
    help="Judge nothing, but say whether JSON lists of trials and checkers name any.",
)
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
    settings: tuple[str, ...],
    form: str,
    timeout: float | None,
    memory: int | None,
    steady: tuple[str, ...],
    report_file: Path | None,
    into: Path | None,
    message_file: Path | None,
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
    extra = _settings(settings)
    implied = ("linearizable",) if model is not None else tuple(extra)
    chosen = names(checker) or implied
    judge.check_names(chosen)
    for name in extra:
        if name not in chosen:
            raise UsageError(
                f"--option for checker {name!r}, which is not asked for\n\n"
                f"hint: --checker {','.join((*chosen, name))}"
            )
    if report_file is not None and len(paths) > 1:
        raise UsageError("--report draws one history\n\nhint: one PATH at a time")
    if (into or message_file) and len(paths) > 1:
        raise UsageError("--into and --message-file take one judgement\n\nhint: one PATH at a time")
    states = tuple(state for name in steady for state in shelf.load(name).states)
    request = _Request(
        chosen, options, extra, keyed, form, timeout, memory, report_file, as_json, states
    )
    answers, failures = [], []
    for path in paths:
        try:
            judgement = request.answer(path)
        except SeatrialError as error:
            if len(paths) == 1:
                raise
            failures.append(error.exit_code)
            judgement = judge.Judgement(Validity.UNKNOWN, str(error).partition("\n")[0], {})
        words.say_judgement(
            judgement, as_json=as_json, path=str(path) if len(paths) > 1 else None, compact=True
        )
        _keep(judgement, into, message_file)
        answers.append(judgement.verdict)
    return failures[0] if failures else join(answers).exit_code


def _keep(judgement: judge.Judgement, into: Path | None, message_file: Path | None) -> None:
    """Files for whoever started it and reads no output."""
    sentence = f"{judgement.verdict.value}: {judgement.cause}"
    if into is not None:
        write_text(into / "verdict.json", judge.dump(judgement.document()) + "\n")
        write_text(into / "verdict", judgement.verdict.value)
        write_text(into / "message", sentence)
    if message_file is not None:
        write_message(message_file, sentence)


@dataclass(frozen=True, slots=True)
class _Request:
    """What was asked of each path."""

    chosen: tuple[str, ...]
    options: CheckOptions
    extra: Mapping[str, Mapping[str, Json]]
    keyed: bool
    form: str
    timeout_s: float | None
    memory: int | None
    report_file: Path | None
    quiet: bool
    steady: tuple[SteadyState, ...] = ()

    def answer(self, path: Path) -> judge.Judgement:
        """The judgement of a trial's folder or a history file."""
        if (path / "plan.json").is_file():
            return self._trial(path)
        if self.steady:
            raise UsageError(f"{path} is no trial: --steady judges a trial's folder")
        history = load(path, self.form)
        if self.keyed:
            history = lift_keys(history)
        judgement = judge.judge_history(
            history,
            self._wanted(history, path),
            timeout_s=TIMEOUT_S if self.timeout_s is None else self.timeout_s,
            memory=MEMORY_BYTES if self.memory is None else self.memory,
            say=self._say,
        )
        if self.report_file is not None:
            self._draw(history, judgement, path, self.report_file)
        return judgement

    def _trial(self, path: Path) -> judge.Judgement:
        if self.report_file is not None:
            raise UsageError(f"{path} is a trial\n\nhint: seatrial report {path}")
        if not self.chosen and self.options != CheckOptions():
            raise UsageError(
                f"{path} is a trial: its plan says what its checkers judge\n\n"
                "hint: name the checker too: --checker NAME"
            )
        only = {name: self._of(name) for name in self.chosen} or None
        judge.check_options(only or {})
        return judge.judge_trial(
            TrialFolder(path),
            only=only,
            timeout_s=self.timeout_s,
            memory=self.memory,
            steady=self.steady,
            say=self._say,
        )

    def _wanted(self, history: History, path: Path) -> Mapping[str, CheckOptions]:
        chosen = self.chosen or guess_checkers(history)
        if not chosen:
            raise UsageError(
                f"{path}: no checker fits these ops ({', '.join(history.names[:8]) or 'none'})\n\n"
                "hint: --checker NAME (seatrial list checkers)"
            )
        if not self.chosen:
            self._say(f"guessed from the ops: --checker {','.join(chosen)}")
        wanted = {name: self._of(name) for name in chosen}
        judge.check_options(wanted)
        return wanted

    def _of(self, name: str) -> CheckOptions:
        """The options of one checker."""
        return replace(self.options, extra=self.extra.get(name, {}))

    def _draw(
        self, history: History, judgement: judge.Judgement, path: Path, report_file: Path
    ) -> None:
        pictures = {
            (name, number): anomaly.picture
            for name, verdict in judgement.checkers.items()
            for number, anomaly in enumerate(verdict.anomalies)
            if anomaly.picture
        }
        repeat = shlex.join(["seatrial", *sys.argv[1:]])
        text = report.render_history(
            history, judgement.document(), title=path.name, repeat=repeat, pictures=pictures
        )
        write_text(report_file, text)
        self._say(f"report  {report_file}")

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


def _settings(given: tuple[str, ...]) -> dict[str, dict[str, Json]]:
    """By checker, the settings that were given; raises `UsageError`."""
    out: dict[str, dict[str, Json]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        checker, dot, option = name.strip().partition(".")
        if not (equals and dot and option):
            raise UsageError(
                f"--option {text!r} is not CHECKER.NAME=VALUE\n\n"
                "hint: for instance --option availability.min_fraction=0.99"
            )
        judge.check_names((checker,))
        spelt, read_value = read(checker, option.strip(), value)
        if spelt in out.setdefault(checker, {}):
            raise UsageError(f"--option {checker}.{spelt} is given twice\n\nhint: give it once")
        out[checker][spelt] = read_value
    return out


def _initial(text: str | None) -> Value:
    if text is None:
        return None
    try:
        return judge.value_from(json.loads(text))
    except ValueError:
        return text
