"""What the doctor concludes from what it read; and that it reads this machine at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seatrial import doctor
from seatrial.doctor import GIB

REFUSED = {"sandbox": "this machine does not allow the lab's namespaces: Operation not permitted"}
ALL_WELL = {name: "" for name in ("sandbox", "network", "tun", "fuse", "tmpfs")}


@pytest.mark.parametrize(
    ("setting", "value", "mend"),
    [
        (
            "kernel/unprivileged_userns_clone",
            "0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"),
    ],
)
def test_the_setting_that_forbids_namespaces_is_named_with_its_mend(
    tmp_path: Path, setting: str, value: str, mend: str
) -> None:
    for name in doctor.SETTINGS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("0\n" if "apparmor" in name else "1\n")
    (tmp_path / setting).write_text(value + "\n")
    finding = doctor.judge_namespaces(doctor.read_settings(tmp_path), 1000, REFUSED)
    assert finding.status == "missing"
    assert finding.mend == mend
    assert "--isolation none" in finding.meaning and "not permitted" in finding.meaning


def test_what_was_tried_counts_more_than_a_setting() -> None:
    """Root may make namespaces where the setting forbids it to others."""
    settings = {"kernel/unprivileged_userns_clone": "0"}
    assert doctor.judge_namespaces(settings, 0, ALL_WELL).status == "ok"


def test_a_refusal_without_a_setting_points_to_the_container(tmp_path: Path) -> None:
    assert doctor.read_settings(tmp_path) == {}
    assert "seccomp" in doctor.judge_namespaces({}, 0, REFUSED).mend


def test_what_could_not_be_tried_is_not_ok() -> None:
    assert doctor.judge_network(REFUSED).status == "missing"
    assert {finding.status for finding in doctor.judge_extras(REFUSED)} == {"missing"}
    assert {finding.status for finding in doctor.judge_extras(ALL_WELL)} == {"ok"}
    broken = doctor.judge_network({"sandbox": "", "network": "packets pass a link that is cut"})
    assert broken.status == "missing" and "packets pass" in broken.meaning


@pytest.mark.parametrize(
    ("free", "status"), [(5 * GIB, "ok"), (2 * GIB, "limited"), (GIB // 4, "missing")]
)
def test_room_is_graded(free: int, status: str) -> None:
    finding = doctor.judge_disk(free, Path("trials"))
    assert finding.status == status
    assert bool(finding.mend) == (status != "ok")


def test_memory_cores_and_browser() -> None:
    assert doctor.judge_memory(8 * GIB).status == "ok"
    assert doctor.judge_memory(0).status == "missing"
    assert doctor.judge_cores(1).status == "limited"
    assert doctor.judge_browser(None).status == "limited"
    assert doctor.judge_browser("/usr/bin/chromium").status == "ok"


def test_an_etcd_that_does_not_start_is_missing(tmp_path: Path) -> None:
    for binary, words in (
        (tmp_path / "etcd", "does not start: No such file"),
        (Path("/bin/false"), "is not etcd's answer"),
    ):
        finding = asyncio.run(doctor.etcd(binary))
        assert finding.status == "missing" and words in finding.meaning, finding


@pytest.mark.lab
def test_this_machine_is_examined(tmp_path: Path) -> None:
    findings = {f.name: f for f in asyncio.run(doctor.examine(tmp_path / "not" / "there"))}
    assert len(findings) == 10
    assert findings["etcd"].meaning.startswith("etcd Version")
    assert findings["user namespaces"].status == "ok", findings
    assert findings["network of namespaces, veth and bridge"].status == "ok", findings
    for finding in findings.values():
        assert (finding.status == "ok") == (finding.mend == "")
        assert set(finding.to_json()) == {"name", "status", "meaning", "mend"}
