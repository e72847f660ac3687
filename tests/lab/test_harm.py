"""Faults on a live three-node etcd under load: seen, healed, nothing left, still linearizable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.sea import assert_proved, planned, sail

pytestmark = pytest.mark.lab


def test_processes_end_and_come_back(tmp_path: Path) -> None:
    """`failure`, `container-kill` and `rolling-restart`, one after another."""
    faults = [
        planned("failure", 0, 1.0, ["n1"]),
        planned("container-kill", 2.5, 0.5, ["n2"]),
        planned("rolling-restart", 5, 1.0, ["n1", "n2", "n3"], victims="all"),
    ]

    verdict, cause, evidence, record = sail(tmp_path, faults)

    assert_proved(evidence, faults)
    assert (verdict, record.leaks, record.unplanned) == ("valid", (), ()), cause
