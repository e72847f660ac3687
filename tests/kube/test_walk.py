"""A rendered Workflow, walked as Argo would over the API server, with real pods and a real etcd.

What is played is Argo's controller and Chaos Mesh's, nothing of ours: each step is the process
that its template names, on a read-only root, as the image's user, with no more rights than
`deploy/base/rights.yaml` gives to its account; nodes and cut links are a lab's.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from tests.kube.access import Use, granted
from tests.kube.walks import DEPLOY
from tests.lab.host import Host, marked, mounts

pytestmark = [pytest.mark.lab, pytest.mark.full]

WALK_S = 1200.0
#: How long the last process of a walk may take to be gone.
END_S = 20.0


def walk(folder: Path, scenario: str) -> str:
    """Carry a scenario out in a sandbox; what it printed."""
    host = Host(folder)
    process = host.start_python("-m", "tests.kube.outer", scenario, str(folder))
    try:
        out, _ = process.communicate(timeout=WALK_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, host.stderr()
    deadline = time.monotonic() + END_S
    while marked(host.mark):
        assert time.monotonic() < deadline, marked(host.mark)
        time.sleep(0.02)
    assert mounts(folder) == []
    return str(out)


REPORT = "Argo's executor reports a node's outputs"
END = "an end that is not at once is watched"
WEBHOOK = "Chaos Mesh's webhook asks whether who makes it might change it"
REAPER = "the reaper takes down what a terminated run left"
TIDB = "this walk's target is etcd"
#: What is granted and not used by a green walk with a kill and a partition, and what it is for.
EXPLAINED: dict[str, dict[tuple[str, str], str]] = {
    "seatrial-judge": {("workflowtaskresults", verb): REPORT for verb in ("create", "patch")},
    "seatrial-load": {("workflowtaskresults", verb): REPORT for verb in ("create", "patch")},
    "seatrial-cluster": {
        **{("workflowtaskresults", verb): REPORT for verb in ("create", "patch")},
        ("configmaps", "create"): "whoever speaks first makes the board; here it was the load",
        ("pods", "list"): "the pods of a cluster that runs already, by a selector",
        ("podchaos", "watch"): END,
        ("networkchaos", "watch"): END,
        ("services", "watch"): END,
        ("statefulsets", "watch"): END,
        ("persistentvolumeclaims", "watch"): END,
        ("persistentvolumeclaims", "patch"): TIDB,
        ("podchaos", "update"): WEBHOOK,
        ("networkchaos", "update"): WEBHOOK,
        ("configmaps", "list"): REAPER,
        ("services", "list"): REAPER,
        ("statefulsets", "list"): REAPER,
        **{
            ("tidbclusters", verb): TIDB
            for verb in ("get", "list", "watch", "create", "patch", "delete")
        },
        ("workflows", "create"): "a campaign makes its trials",
        ("workflows", "get"): "a campaign waits for its trials",
        ("workflows", "list"): "the reaper asks which runs are over",
    },
}


def test_a_green_walk_is_judged_here_as_there_within_the_rights_of_its_accounts(
    tmp_path: Path,
) -> None:
    """What was asked of the API, by account, is what deploy/ grants but for what is explained."""
    used = {
        account: {Use(*one) for one in uses}
        for account, uses in json.loads(walk(tmp_path, "green")).items()
    }
    rights = granted(yaml.safe_load_all((DEPLOY / "base/rights.yaml").read_text()))
    for account, mine in rights.items():
        assert used.get(account, set()) <= mine
        idle = {(u.resource, u.verb) for u in mine - used.get(account, set())}
        assert idle <= set(EXPLAINED[account])
        always = {one for one, why in EXPLAINED[account].items() if why != END}
        assert always <= idle | {("configmaps", "create")}


@pytest.mark.parametrize(
    "scenario", ["red", "unproven", "stopped", "storeless", "running", "night"]
)
def test_a_walk_ends_as_it_should(tmp_path: Path, scenario: str) -> None:
    """See the scenarios' own words in `tests.kube.walks`."""
    walk(tmp_path, scenario)
