"""Compiled checkers are kept where nobody else can write: they are loaded as code."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from seatrial.cli.main import _own_folder, main


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


def test_an_image_brings_its_compiled_code_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a folder that is not there yet; what is there is newer."""
    brought, wanted = tmp_path / "image", tmp_path / "numba"
    brought.mkdir()
    (brought / "loop.nbi").write_text("one")
    monkeypatch.setenv("SEATRIAL_COMPILED", str(brought))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(wanted))
    assert main(["--version"]) == 0
    assert (wanted / "loop.nbi").read_text() == "one"
    (brought / "loop.nbi").write_text("two")
    assert main(["--version"]) == 0
    assert (wanted / "loop.nbi").read_text() == "one"
    assert sorted(tmp_path.iterdir()) == [brought, wanted]


def test_an_image_without_compiled_code_compiles_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_COMPILED", str(tmp_path / "nothing"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert main(["--version"]) == 0
    assert list(tmp_path.iterdir()) == []
