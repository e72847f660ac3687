"""The root command, and how errors leave the process."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import shutil
import stat
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path

import click

from seatrial import __version__
from seatrial.errors import SeatrialError

#: Each command is loaded when it is asked for: `seatrial --help` imports none of them.
COMMANDS = {
    "run": ("seatrial.cli.run:run", "Carry out a trial and judge it."),
    "plan": ("seatrial.cli.run:plan", "Print what would happen, touching nothing."),
    "check": ("seatrial.cli.check:check", "Judge stored trials or history files."),
    "report": ("seatrial.cli.report:report", "Draw a trial's report again."),
    "export": ("seatrial.cli.export:export", "Write a history for other tools."),
    "list": ("seatrial.cli.listing:listing", "List cases, targets, faults, checkers, trials."),
    "render": ("seatrial.cli.render:render", "Print a case as an Argo workflow."),
    "lint": ("seatrial.cli.lint:lint", "Find in Argo objects what no schema sees."),
    "submit": ("seatrial.cli.submit:submit", "Start a case on a cluster."),
    "watch": ("seatrial.cli.watch:watch", "Follow a workflow: phases, faults, ops."),
    "fetch": ("seatrial.cli.fetch:fetch", "Bring a workflow's trial folder home."),
    "canary": ("seatrial.cli.canary:canary", "Plant bugs, and see which checker catches which."),
    "score": ("seatrial.cli.score:score", "Score cases and targets over the stored trials."),
    "import": ("seatrial.cli.importing:importing", "Turn a Chaos Toolkit hypothesis into ours."),
    "steady": ("seatrial.cli.steady:steady", "Print ready-made steady states, or check a file."),
    "step": ("seatrial.cli.step:step", "Carry out one step of a plan (a node of a workflow)."),
    "stop": ("seatrial.cli.stop:stop", "Heal all trials that run and forbid new faults."),
    "reap": ("seatrial.cli.reap:reap", "Clear what a crash of the tool left behind."),
    "coverage": ("seatrial.cli.coverage:coverage", "Say what was tried, and what was not."),
    "doctor": ("seatrial.cli.doctor:doctor", "Say what this machine can do, and the mend."),
}


class Commands(click.Group):
    """The commands of `COMMANDS`, in that order, loaded late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS:
            close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}?" if close else "seatrial --help"
            raise click.UsageError(f"there is no command {name!r}\n\nhint: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


#: Exit status of a defect in the tool itself (EX_SOFTWARE).
DEFECT = 70


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: seatrial run etcd-register --faults kill,partition --time-limit 60s",
)
@click.version_option(__version__, "-V", "--version", message="seatrial %(version)s")
def cli() -> None:
    """Sea trials for distributed databases: load, break, heal, judge.

    Exit status: 0 valid, 1 invalid, 2 unknown, 64 and up: used wrongly or could not start.
    """


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    _find_room_for_compiled_code()
    as_json = "--json" in arguments
    try:
        status = cli.main(args=arguments, prog_name="seatrial", standalone_mode=False)
    except click.UsageError as error:
        return _fail(_usage_text(error), 64, as_json)
    except click.ClickException as error:
        return _fail(error.format_message(), 64, as_json)
    except SeatrialError as error:
        return _fail(str(error), error.exit_code, as_json)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130, as_json)
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more can be said, and that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # 1 means `invalid`: a defect of the tool must never exit with it
        traceback.print_exc()
        return _fail(f"a defect of seatrial: {type(error).__name__}: {error}", DEFECT, as_json)
    return status if isinstance(status, int) else 0


def _find_room_for_compiled_code() -> None:
    """Where neither the package nor the home can be written, compiled checkers go to /tmp.

    Numba, which keeps them beside the source or in the user's cache, gives up where it cannot
    write to either (a container with a read-only root and a user of its own).
    """
    if wanted := os.environ.get("NUMBA_CACHE_DIR"):
        _bring_compiled_code(Path(wanted))
        return
    package = Path(__file__).resolve().parent.parent
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    while not home.exists() and home != home.parent:
        home = home.parent
    if not os.access(package, os.W_OK) and not os.access(home, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(_own_folder(f"seatrial-compiled-{os.getuid()}"))


def _bring_compiled_code(wanted: Path) -> None:
    """Copy the compiled checkers that an image has into a folder that is not there yet.

    Numba reads compiled code from a folder only that it can write to, and an image's root cannot
    be written. Without them each pod compiles what it judges with, for up to a minute.
    """
    brought = os.environ.get("SEATRIAL_COMPILED")
    if brought and not wanted.exists():
        part = wanted.with_name(f"{wanted.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # then they are compiled
            shutil.copytree(brought, part)
            part.rename(wanted)
        shutil.rmtree(part, ignore_errors=True)


def _own_folder(name: str) -> Path:
    """A folder in /tmp that nobody else can write: compiled code is loaded from it."""
    folder = Path(tempfile.gettempdir()) / name
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o77:
            return folder
    return Path(tempfile.mkdtemp(prefix="seatrial-compiled-"))


def _usage_text(error: click.UsageError) -> str:
    text = error.format_message()
    if "hint:" in text:
        return text
    possible = getattr(error, "possibilities", None)
    if possible:
        return f"{text.partition(' Did you mean')[0]}\n\nhint: did you mean {possible[0]!r}?"
    close = _nearest_choice(error)
    if close:
        return f"{text}\n\nhint: did you mean {close!r}?"
    where = error.ctx.command_path if error.ctx is not None else "seatrial"
    return f"{text}\n\nhint: {where} --help"


def _nearest_choice(error: click.UsageError) -> str | None:
    """The nearest of the words that an option or argument takes, if it takes some."""
    parameter = getattr(error, "param", None)
    if not isinstance(error, click.BadParameter) or parameter is None:
        return None
    if not isinstance(parameter.type, click.Choice):
        return None
    words = [str(word) for word in parameter.type.choices]
    wrong = error.message.partition("'")[2].partition("'")[0]
    return next(iter(difflib.get_close_matches(wrong, words, n=1, cutoff=0.4)), None)


def _fail(text: str, status: int, as_json: bool) -> int:
    print(f"seatrial: {text}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": text, "exit_status": status}, ensure_ascii=False))
    return status
