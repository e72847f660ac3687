"""A real Prometheus server and a real exporter that a test can make lie, stop and begin again."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

SCRAPE_S = 0.2
WAIT_S = 20.0


class Exporter:
    """Serves `text` as metrics; with `silent` it closes each connection without an answer."""

    def __init__(self) -> None:
        self.text, self.silent = "", False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if outer.silent:
                    self.close_connection = True
                    return
                body = outer.text.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the test's output is its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Server:
    """A `prometheus` process that scrapes one exporter as instance `n1`, five times a second."""

    def __init__(self, room: Path, exporter: Exporter) -> None:
        self.room = room
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{some.getsockname()[1]}"
        self.url = f"http://{self.address}"
        interval = f"{round(SCRAPE_S * 1000)}ms"
        config = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [
                {
                    "job_name": "exporter",
                    "static_configs": [
                        {"targets": [exporter.address], "labels": {"instance": "n1"}}
                    ],
                }
            ],
        }
        (room / "prometheus.yml").write_text(json.dumps(config))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = shutil.which("prometheus")
        assert binary is not None
        with (self.room / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={self.room / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.room / 'tsdb'}",
                    f"--web.listen-address={self.address}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
            )
        until(self.ready, "prometheus is ready")

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=1).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(WAIT_S)
            self.process = None

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            stat = Path(f"/proc/{self.process.pid}/stat")
            until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it is stopped")


@contextmanager
def running(room: Path) -> Iterator[tuple[Exporter, Server]]:
    exporter = Exporter()
    exporter.text = "up_and_well 1\n"
    server = Server(room, exporter)
    try:
        server.start()
        yield exporter, server
    finally:
        server.stop()
        exporter.close()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, at most `WAIT_S`."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S:g} s: {what}"
        time.sleep(0.02)
