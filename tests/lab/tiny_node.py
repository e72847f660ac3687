"""A node of the tiny target: a TCP server that answers every line with its process number.

It appends each start to a file in its data folder. Standard library only: it starts in 20 ms.
"""

from __future__ import annotations

import os
import socketserver
import sys
from pathlib import Path


class Answer(socketserver.StreamRequestHandler):
    """One connection: a line in, the process number out."""

    def handle(self) -> None:
        for _ in self.rfile:
            self.wfile.write(f"{os.getpid()}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    """Many connections at a time, on a port that a killed process has just left."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve on ADDRESS PORT, with data in FOLDER."""
    address, port, folder = sys.argv[1:]
    Path("/proc/self/comm").write_text(os.environ["TINY"])  # what its process is called
    print(f"pid {os.getpid()} serves {address}:{port}", flush=True)
    with (Path(folder) / "starts").open("a") as file:
        file.write("start\n")
    with Server((address, int(port)), Answer) as server:
        server.serve_forever()


main()
