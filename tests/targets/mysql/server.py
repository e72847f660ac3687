"""A real MariaDB as an ordinary process in a folder of its own: started, killed, paused."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from seatrial.target import Node, OpFailed, OpUnknown
from seatrial.targets.mysql.client import make_schema
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import Access

BINARY = shutil.which("mariadbd")
INSTALL = shutil.which("mariadb-install-db")
START_S = 60.0
STOP_S = 30.0
POLL_S = 0.05
#: The account that `mariadb-install-db` makes for this machine.
ACCESS = Access(user="root", database="seatrial")


class Server:
    """One server below `folder`, on a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        assert BINARY is not None and INSTALL is not None
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.node = Node("n1", "127.0.0.1", {"sql": port}, folder / "data", folder / "log")
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(
            [
                INSTALL,
                "--no-defaults",
                f"--datadir={self.node.data_dir}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *_as_root(),
            ],
            check=True,
            capture_output=True,
            timeout=START_S,
        )

    async def start(self) -> None:
        """Start it and wait until it answers; the first time it gets its database."""
        assert BINARY is not None
        with self.node.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    BINARY,
                    "--no-defaults",
                    f"--datadir={self.node.data_dir}",
                    f"--socket={self._folder / 'socket'}",
                    f"--pid-file={self._folder / 'pid'}",
                    f"--port={self.node.ports['sql']}",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=16M",
                    "--innodb-lock-wait-timeout=2",
                    *_as_root(),
                ],
                stdout=log,
                stderr=log,
            )
        session = Session(self.node, Access(database="mysql"), (), 2.0)
        deadline = time.monotonic() + START_S
        while True:
            try:
                await session.transaction(_make_database, read=False)
                break
            except (OpFailed, OpUnknown):
                assert self._process.poll() is None, self.node.log_file.read_text()
                assert time.monotonic() < deadline, self.node.log_file.read_text()
                await asyncio.sleep(POLL_S)
        await session.close()
        await make_schema(self.node, ACCESS, 10.0)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None


async def _make_database(session: Session) -> None:
    await session.execute("CREATE DATABASE IF NOT EXISTS seatrial")


def _as_root() -> list[str]:
    return ["--user=root"] if os.getuid() == 0 else []
