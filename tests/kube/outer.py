"""`python -m tests.kube.outer SCENARIO FOLDER`: a walk in a sandbox of its own."""

from __future__ import annotations

import asyncio
import sys

from seatrial.engine.lab import sandbox


async def main() -> int:
    """The scenario's exit status."""
    argv = [sys.executable, "-W", "error", "-m", "tests.kube.walks", *sys.argv[1:]]
    return await sandbox.run(argv, isolation="namespace", grace_s=20.0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
