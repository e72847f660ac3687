"""The safety lever and the list of trials that run: what every process of a user can see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.cli import main
from seatrial.errors import Unavailable
from seatrial.runner import audit, lever, outside, reaping, store
from seatrial.runner.display import Quiet
from seatrial.runner.halting import stop_all
from seatrial.runner.planner import Overrides, make_plan
from seatrial.trial import TrialFolder, TrialRecord

#: A program that holds a trial's lock and ends by itself when told to, or never.
HOLDER = """
import signal, sys, time
from pathlib import Path
from seatrial.runner import lever
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with lever.running(Path(sys.argv[1]), "a-case"):
    print("held", flush=True)
    while "obedient" not in sys.argv or lever.pulled() is None:
        time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "seatrial"


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    folder = tmp_path / "trials" / "a-trial"
    folder.mkdir(parents=True)
    return folder


class Holder:
    """A process that lives as a trial's tool does."""

    def __init__(self, trial: Path, how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(trial), how], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(params=["idle"])
def holder(request: pytest.FixtureRequest, trial: Path) -> Iterator[Holder]:
    made = Holder(trial, request.param)
    yield made
    made.end()


def test_a_pull_is_seen_until_it_is_lifted(state: Path) -> None:
    assert lever.pulled() is None

    pull = lever.pull("too loud")
    again = lever.pull("another reason")

    assert again == pull == lever.pulled()
    assert pull.sentence.endswith(": too loud")
    assert (state / "stop").is_file()
    assert lever.lift() == pull
    assert lever.pulled() is None
    assert lever.lift() is None


def test_a_lever_made_by_hand_counts(state: Path) -> None:
    """`touch` is enough in an emergency."""
    state.mkdir(parents=True)
    (state / "stop").touch()

    assert lever.pulled() is not None
    assert "exists" in lever.forbidden()


def test_no_trial_with_faults_starts_while_the_lever_is_pulled(tmp_path: Path) -> None:
    lever.pull("")
    plan = make_plan(case("etcd-register"), 1, Overrides())

    with pytest.raises(Unavailable, match=r"(?s)no fault may begin.*hint: seatrial stop --lift"):
        outside.run_trial(plan, tmp_path / "store", Quiet(), keep=False)

    assert not (tmp_path / "store").exists()


def test_a_trial_lives_as_long_as_its_process(trial: Path, holder: Holder) -> None:
    assert lever.lives(trial)
    (entry,) = lever.listed()
    assert (entry.trial, entry.pid, entry.case) == (trial, holder.process.pid, "a-case")

    os.kill(holder.process.pid, signal.SIGKILL)
    holder.process.wait()

    assert not lever.lives(trial)


def test_a_trial_lives_while_a_child_has_its_lock(trial: Path) -> None:
    """The sandbox inherits the lock: it may outlive the tool by a moment."""
    with lever.running(trial, "a-case") as lock:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
        copy = lever.LOCK
        os.link(trial / copy, trial / "kept")
    os.link(trial / "kept", trial / copy)
    try:
        assert lever.lives(trial)
    finally:
        child.kill()
        child.wait()
    assert not lever.lives(trial)


@pytest.mark.parametrize(
    ("holder", "how"), [("obedient", "healed"), ("idle", "terminated")], indirect=["holder"]
)
def test_stop_all_waits_for_trials_and_helps_those_that_do_not_end(
    holder: Holder, how: str
) -> None:
    (stopped,) = stop_all("enough", 1.0, lambda _: None)

    assert stopped.how == how
    assert holder.process.wait(timeout=5) is not None
    assert lever.pulled() is not None


def test_a_trial_that_obeys_in_the_same_moment_is_told_as_well(
    holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gone before anybody can look who lives."""
    pull = lever.pull

    def pulled_and_gone(reason: str) -> lever.Pull:
        done = pull(reason)
        holder.process.kill()
        holder.process.wait()
        return done

    monkeypatch.setattr(lever, "pull", pulled_and_gone)
    (stopped,) = stop_all("enough", 1.0, lambda _: None)
    assert stopped.how == "healed"


def test_stop_all_kills_what_ignores_it(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.runner.halting.TERM_TIMEOUT_S", 0.2)
    holder = Holder(trial, "stubborn")
    try:
        (stopped,) = stop_all("enough", 0.1, lambda _: None)
        assert stopped.how == "killed"
    finally:
        holder.end()


def test_the_command_pulls_and_lifts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "--all", "--reason", "lunch"]) == 0
    assert "no trial was running" in capsys.readouterr().out
    assert lever.forbidden().endswith(": lunch")
    assert main(["stop", "--lift"]) == 0
    assert lever.forbidden() == ""


# ── reap ─────────────────────────────────────────────────────────────────────────────────────


def stored(tmp_path: Path) -> TrialFolder:
    """A trial that began: a plan, a record that says running, and scratch."""
    import datetime

    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    folder = store.create(tmp_path / "trials", "a-case", 7, now)
    folder.plan.write_text("{}")
    store.write_record(folder, "running", now)
    (folder.data / "n1").mkdir(parents=True)
    (folder.data / "n1" / "wal").write_text("data")
    (folder.evidence / "fault-1.json.part").write_text("{")
    return folder


def test_reap_clears_what_a_dead_trial_left(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    holder = Holder(folder.root, "idle")
    holder.process.kill()
    holder.process.wait()
    holder.end()
    stray = subprocess.Popen(
        ["sleep", "60"], env={**os.environ, lever.TRIAL_VARIABLE: str(folder.root)}
    )

    seen = reaping.reap([tmp_path / "trials"], dry=True)
    assert not any(remain.cleared for remain in seen)
    assert folder.data.exists() and stray.poll() is None
    reaped = _reap_beside(tmp_path / "trials", stray)

    assert all(remain.cleared for remain in reaped), reaped
    kinds = {remain.kind for remain in reaped}
    assert kinds == {"process", "scratch", "lock", "record", "entry"}
    assert stray.wait(timeout=5) == -signal.SIGKILL
    assert not folder.data.exists() and not [*folder.root.rglob("*.part")]
    record = TrialRecord.model_validate_json(folder.record.read_text())
    assert (record.status, record.reason) == ("interrupted", reaping.REAPED)
    assert lever.listed() == ()
    assert reaping.reap([tmp_path / "trials"]) == ()


def _reap_beside(where: Path, child: subprocess.Popen[bytes]) -> tuple[reaping.Remain, ...]:
    """Reap while our own dead child is buried, as init would do it."""
    import threading

    burier = threading.Thread(target=child.wait)
    burier.start()
    try:
        return reaping.reap([where])
    finally:
        burier.join(10)


def test_reap_never_touches_a_trial_that_lives(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    holder = Holder(folder.root, "idle")
    try:
        assert reaping.reap([tmp_path / "trials"]) == ()
        assert holder.process.poll() is None
        assert (folder.data / "n1" / "wal").exists()
        record = TrialRecord.model_validate_json(folder.record.read_text())
        assert record.status == "running"
    finally:
        holder.end()


def test_reap_leaves_alone_what_it_cannot_see_to_be_dead(tmp_path: Path) -> None:
    """A process whose trial's folder is not here may belong to a trial of another container."""
    stray = subprocess.Popen(
        ["sleep", "60"], env={**os.environ, lever.TRIAL_VARIABLE: str(tmp_path / "elsewhere")}
    )
    try:
        _until_marked(stray.pid)
        left = reaping.reap([tmp_path], dry=False)
        assert stray.poll() is None
        assert not any(str(stray.pid) in remain.name for remain in left)
    finally:
        stray.kill()
        stray.wait()


def test_the_host_is_looked_at_after_a_trial(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    stray = subprocess.Popen(
        ["sleep", "60"], env={**os.environ, lever.TRIAL_VARIABLE: str(folder.root)}
    )
    try:
        _until_marked(stray.pid)
        left = audit.left_on_host(folder)
    finally:
        stray.kill()
        stray.wait()

    assert f"process {stray.pid} (mend: kill -9 {stray.pid}, or seatrial reap)" in left
    assert any("folder" in line and "mend: rm -r" in line for line in left)
    assert audit.left_on_host(folder) == ()
    assert not folder.data.exists()


def _until_marked(pid: int) -> None:
    """A child has its environment once it has executed its program."""
    deadline = time.monotonic() + 5
    while not audit.marked_as(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
