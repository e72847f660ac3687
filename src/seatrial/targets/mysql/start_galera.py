"""Starts one node of Galera on this machine: a program of its own that becomes the server.

    python start_galera.py '{"binary": …, "data": …}'

A node that has no data makes the cluster if it is the first and no other has one, else it joins.
A node that has data asks its own InnoDB where it stands (a killed node's `grastate.dat` does not
know) and goes on from there; after all were killed the last view that each remembers brings the
cluster back (`pc.recovery`), after all left in order a view that is written here. Only the standard
library is used: it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn, TypedDict

#: How long a new node waits until the one before it serves, and how often it looks. Two that join
#: an empty cluster in the same moment may not agree on who is there for minutes.
FORMER_NODE_S = 60.0
LOOK_S = 0.1
CONNECT_S = 1.0
#: How long making an empty database, or asking InnoDB, may take.
INSTALL_S = 60.0
#: Who the server is where this program is root: it runs in a user namespace of its own.
ORDINARY = 999
CLONE_NEWUSER = 0x10000000
#: Clients come from outside of the node's own network; nobody else reaches the lab.
ACCOUNTS = (
    "REPLACE INTO mysql.global_priv SELECT '%', User, Priv FROM mysql.global_priv "
    "WHERE User = 'root' AND Host = 'localhost';\n"
)
#: What Galera's scripts leave while a node gets its state from another one, and how its saved
#: state looks when it has none that is whole.
SST_IN_PROGRESS = "sst_in_progress"
NO_STATE = re.compile(r"^uuid: *0{8}-0{4}-", re.MULTILINE)
#: Where Galera keeps the view that a node comes back to.
VIEW = "gvwstate.dat"
#: A folder that only a made database has.
SYSTEM_TABLES = "mysql"


class Start(TypedDict):
    """What is to be started: `peers` are where the other nodes' Galera listens, `serving` where
    their SQL does, `before` where that of the node before it does (None for the first). It is node
    `number` of `nodes`, counted from 0."""

    binary: str
    install: str
    data: str
    before: tuple[str, int] | None
    peers: list[tuple[str, int]]
    serving: list[tuple[str, int]]
    number: int
    nodes: int
    options: list[str]


def main(start: Start) -> NoReturn:
    """Prepare the folder, and become the server."""
    if os.geteuid() == 0:
        _be_ordinary()
    argv = [start["binary"], "--no-defaults", f"--datadir={start['data']}", *start["options"]]
    if not _has_data(start):
        more = _new(start)
    elif _is_half(start):
        more = []
    else:
        more = _position(argv)
        _remember(start)
    os.execv(start["binary"], [*argv, *more])


def _be_ordinary() -> None:
    """Go on as an ordinary user that is root outside.

    MariaDB does not like to run as root, and the rsync that brings a node the state of another one
    drops root's rights in a way that a sandbox without `setgroups` refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        sys.exit(f"no user namespace for the server: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{ORDINARY} 0 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{ORDINARY} 0 1", encoding="ascii")


def _has_data(start: Start) -> bool:
    return (Path(start["data"]) / SYSTEM_TABLES).is_dir()


def _is_half(start: Start) -> bool:
    """Whether it was getting its state, or was to: InnoDB need not open, and all of it is asked for
    again."""
    folder = Path(start["data"])
    state = folder / "grastate.dat"
    if (folder / SST_IN_PROGRESS).exists():
        return True
    return state.exists() and re.search(NO_STATE, state.read_text(errors="replace")) is not None


def _new(start: Start) -> list[str]:
    """Make the cluster, or wait until there is one to join."""
    if start["before"] is None and not any(map(_answers, start["peers"])):
        _install(start)
        return ["--wsrep-new-cluster"]
    before = start["before"]
    deadline = time.monotonic() + FORMER_NODE_S
    while before is not None and not _answers(before) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    return []


def _install(start: Start) -> None:
    accounts = Path(start["data"]) / "accounts.sql"
    accounts.write_text(ACCOUNTS, encoding="ascii")
    words = [
        start["install"],
        "--no-defaults",
        f"--datadir={start['data']}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        f"--extra-file={accounts}",
    ]
    made = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S)
    if made.returncode != 0:
        lines = f"{made.stdout}\n{made.stderr}".splitlines()
        why = [line for line in lines if "ERROR" in line] or lines[-3:]
        sys.exit(f"{start['install']}: {'; '.join(why)}")
    accounts.unlink()


def _position(argv: list[str]) -> list[str]:
    """Where the node stands, as its own InnoDB knows: UUID:seqno.

    A node that does not know is not started: nodes that begin together without a position all count
    as up to date, and what one of them misses it never gets.
    """
    # Without a network: no other node may take it for one that serves.
    words = [*argv, "--skip-networking", "--wsrep-recover"]
    asked = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S)
    found = re.findall(r"Recovered position: *(\S+)", asked.stderr)
    if not found:
        sys.exit(
            f"{asked.stderr}\nthere are data, and InnoDB does not say up to where: not started"
        )
    return [f"--wsrep-start-position={found[-1]}"]


def _remember(start: Start) -> None:
    """Write the view of all nodes where this one remembers none and nobody serves.

    A node that left in order has forgotten its last view, and may not begin alone: where all left
    together none of them may. Galera makes a cluster of this view when all of it are there, with
    what the furthest of them has.
    """
    view = Path(start["data"]) / VIEW
    if view.exists() or any(map(_answers, start["serving"])):
        return
    members = [_member(number) for number in range(start["nodes"])]
    lines = [
        f"my_uuid: {members[start['number']]}",
        "#vwbeg",
        f"view_id: 3 {members[0]} 1",
        "bootstrap: 0",
        *(f"member: {one} 0" for one in members),
        "#vwend",
    ]
    view.write_text("\n".join(lines) + "\n", encoding="ascii")


def _member(number: int) -> str:
    """A node's name in the view: any UUID that all nodes give it."""
    return f"{number + 1:08x}-5ea7-11f1-8000-{number + 1:012x}"


def _answers(peer: tuple[str, int]) -> bool:
    try:
        with socket.create_connection((peer[0], peer[1]), CONNECT_S):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
