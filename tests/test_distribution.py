"""The distribution ships exactly what the repository shows."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHELVES = ("workflows", "cases", "faults", "checkers")
#: Files besides modules that the package needs at run time.
DATA = {".j2", ".css", ".js"}


@pytest.mark.parametrize("shelf", SHELVES)
def test_each_shelf_is_linked_into_the_package(shelf: str) -> None:
    link = ROOT / "src" / "seatrial" / shelf

    assert link.is_symlink(), f"src/seatrial/{shelf} must be a link to ../../{shelf}"
    assert link.resolve() == ROOT / shelf


def test_the_wheel_built_from_the_sdist_holds_every_module(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "-o", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    shipped = {
        name for name in zipfile.ZipFile(wheel).namelist() if Path(name).suffix in {".py", *DATA}
    }
    core = wanted(ROOT / "src")
    shelves = {path for shelf in SHELVES for path in wanted(ROOT / shelf)}
    assert shipped == {path.relative_to(ROOT / "src").as_posix() for path in core} | {
        f"seatrial/{path.relative_to(ROOT).as_posix()}" for path in shelves
    }


def wanted(folder: Path) -> set[Path]:
    """All files below a folder that must be shipped (does not enter the links)."""
    return {path for path in folder.rglob("*") if path.suffix in {".py", *DATA}}
