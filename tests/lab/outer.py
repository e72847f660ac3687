"""The tool's part in the lab's tests: run a scenario in a sandbox, as a command would."""

from __future__ import annotations

import asyncio
import sys

from seatrial.engine.lab import sandbox


async def main() -> int:
    """`python -m tests.lab.outer [MODULE.]SCENARIO ISOLATION FOLDER [GRACE_S]`."""
    scenario, isolation, folder, *grace = sys.argv[1:]
    module, _, name = scenario.rpartition(".")
    program = f"tests.lab.{module or 'inner'}"
    return await sandbox.run(
        [sys.executable, "-W", "error", "-m", program, name, isolation, folder],
        isolation=isolation,
        grace_s=float(grace[0]) if grace else 20.0,
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
