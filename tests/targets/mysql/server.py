"""A real MariaDB as an ordinary process in a folder of its own: started, killed, paused."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.target import Node, OpFailed, OpUnknown
from seatrial.targets.mysql.schema import make_schema
from seatrial.targets.mysql.settings import Access

BINARY = shutil.which("mariadbd")
INSTALL = shutil.which("mariadb-install-db")
START_S = 60.0
STOP_S = 30.0
POLL_S = 0.05
#: The account that Debian's package makes; root runs the server as it.
USER = "mysql"
SCHEMA_S = 10.0
#: The account that `mariadb-install-db` makes for this machine.
ACCESS = Access(user="root", database="seatrial")


class Server:
    """One server below a folder, on a free port of this machine."""

    def __init__(self, folder: Path, *options: str, name: str = "n1") -> None:
        assert BINARY is not None and INSTALL is not None
        self._folder, self._options = folder, options
        if os.getuid() == 0:
            shutil.chown(folder, USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.node = Node(name, "127.0.0.1", {"sql": port}, folder / "data", folder / "log")
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

    async def start(self, *once: str) -> None:
        """Start it and wait until it answers; the first time it gets its database.

        `once` are options for this start only.
        """
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
                    *self._options,
                    *once,
                    *_as_root(),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                await make_schema(self.node, ACCESS, SCHEMA_S)
                return
            except (OpFailed, OpUnknown):
                assert self._process.poll() is None, self.node.log_file.read_text()
                assert time.monotonic() < deadline, self.node.log_file.read_text()
                await asyncio.sleep(POLL_S)

    def recovered(self) -> str:
        """Where a killed node of Galera stands, as its own InnoDB knows: UUID:seqno."""
        assert BINARY is not None
        run = subprocess.run(
            [
                BINARY,
                "--no-defaults",
                f"--datadir={self.node.data_dir}",
                "--wsrep-recover",
                *self._options,
                *_as_root(),
            ],
            capture_output=True,
            text=True,
            timeout=START_S,
            check=True,
        )
        return str(re.findall(r"Recovered position: *(\S+)", run.stderr)[-1])

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


def _as_root() -> list[str]:
    return [f"--user={USER}"] if os.getuid() == 0 else []


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the server's account can reach, which root's own temporary folders are not."""
    with tempfile.TemporaryDirectory(prefix="seatrial-mariadb-") as made:
        os.chmod(made, 0o755)
        yield Path(made)
