"""Compiled checkers are kept where nobody else can write: they are loaded as code."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from seatrial.cli.main import _own_folder


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /tmp."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_same_private_folder_is_used_again(shared: Path) -> None:
    first = _own_folder("compiled")

    assert first == shared / "compiled" == _own_folder("compiled")
    assert stat.S_IMODE(first.stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_is_not_used(shared: Path) -> None:
    (shared / "compiled").mkdir()
    (shared / "compiled").chmod(0o777)

    assert _own_folder("compiled") != shared / "compiled"


def test_a_link_that_somebody_laid_there_is_not_followed(shared: Path) -> None:
    (shared / "elsewhere").mkdir(mode=0o700)
    (shared / "compiled").symlink_to(shared / "elsewhere")

    assert _own_folder("compiled") != shared / "compiled"
