"""A cluster's proofs of effect on real links, disks and processes (`tests.lab.pods`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.host import Host


@pytest.mark.lab
@pytest.mark.full
@pytest.mark.parametrize("scenario", ["packets", "more_packets", "nodes", "asleep"])
def test_scenario(tmp_path: Path, scenario: str) -> None:
    """Each scenario says in its docstring what must hold."""
    Host(tmp_path).run(f"pods.{scenario}", "namespace")


@pytest.mark.lab
def test_volumes_are_seen_through_the_mounts_of_the_node(tmp_path: Path) -> None:
    """The one that every run carries out."""
    Host(tmp_path).run("pods.mounts", "namespace")
