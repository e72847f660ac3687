"""The trial's own Prometheus: the installed server, started inside the lab, scraping its nodes.

It listens where only the lab sees it, keeps its data in the trial's scratch room, and is gone with
the lab. Debian's package is `prometheus`; no service of the host is used or touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import requests

from seatrial.engine.lab.sandbox import boot
from seatrial.errors import Unavailable

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.05
ASK_TIMEOUT_S: Final = 2.0
_LOG_TAIL_CHARS: Final = 800


def find() -> str:
    """The path of the installed server; raises `Unavailable` with the mend."""
    found = shutil.which("prometheus")
    if found is None:
        raise Unavailable(
            "no `prometheus` is installed, which `--prometheus auto` starts\n\n"
            "hint: apt-get install prometheus, or --prometheus URL of a server that scrapes the "
            "nodes"
        )
    return found


class LabPrometheus:
    """One server process; `scrape` maps names of nodes to the URLs of their metrics."""

    def __init__(
        self, scrape: Mapping[str, str], *, room: Path, log_file: Path, interval_s: float
    ) -> None:
        self._scrape, self._room, self._log_file = dict(scrape), room, log_file
        self._interval_s = interval_s
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def pid(self) -> int | None:
        """The server's process number, None while there is none."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> None:
        """Start it and wait until it has scraped each node once. Raises `Unavailable`."""
        binary = find()
        self._room.mkdir(parents=True, exist_ok=True)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = self._room / "prometheus.yml"
        config.write_text(json.dumps(self._config()), encoding="utf-8")  # JSON is YAML
        with self._log_file.open("ab", buffering=0) as log:
            self._process = await asyncio.create_subprocess_exec(
                *boot("exec_with_parent"),
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={self._room / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await self._until_scraped()

    def _config(self) -> dict[str, object]:
        jobs = []
        for node, url in self._scrape.items():
            scheme, _, rest = url.partition("://")
            address, _, path = rest.partition("/")
            jobs.append(
                {
                    "job_name": node,
                    "scheme": scheme,
                    "metrics_path": f"/{path}",
                    "static_configs": [
                        {"targets": [address], "labels": {"job": "target", "instance": node}}
                    ],
                }
            )
        interval = f"{round(self._interval_s * 1000)}ms"
        return {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": jobs,
        }

    async def _until_scraped(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_TIMEOUT_S
        with requests.Session() as session:
            session.trust_env = False
            while loop.time() < deadline:
                if self.pid is None:
                    raise Unavailable(f"prometheus ended at once. Its log ends:\n\n{self._tail()}")
                if await asyncio.to_thread(self._scraped, session) >= len(self._scrape):
                    return
                await asyncio.sleep(POLL_S)
        raise Unavailable(
            f"prometheus did not scrape all of {', '.join(self._scrape)} within "
            f"{START_TIMEOUT_S:g} s. Its log ends:\n\n{self._tail()}"
        )

    def _scraped(self, session: requests.Session) -> int:
        """How many nodes are up by the server's own books."""
        with contextlib.suppress(requests.RequestException, KeyError, ValueError, IndexError):
            answer = session.get(
                f"{self.url}/api/v1/query",
                params={"query": 'sum(up{job="target"})'},
                timeout=ASK_TIMEOUT_S,
            ).json()
            return int(float(answer["data"]["result"][0]["value"][1]))
        return 0

    async def stop(self) -> None:
        """End the server and remove its data; safe after a `start` that failed."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        shutil.rmtree(self._room, ignore_errors=True)

    def _tail(self) -> str:
        try:
            return self._log_file.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARS:]
        except OSError:
            return "(no log)"


def _free_port() -> int:
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port: int = any_socket.getsockname()[1]
        return port
