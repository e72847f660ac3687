"""Which peers a pod reaches, and how fast: TCP connections, counted and timed from inside of it.

A program of its own: `python -m seatrial.engine.argo.reach TIMES TIMEOUT_S HOST:PORT…`, carried
out in a container that shares the network of the node. Prints one JSON object: address → the
milliseconds of each connection, null for one that was neither made nor refused in time (a refusal
is an answer too: packets pass).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

#: Pause between two connections to one peer.
PAUSE_S = 0.02


async def _connect(host: str, port: int, timeout_s: float) -> float | None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
        took = time.monotonic() - began
        writer.close()
    except ConnectionRefusedError:
        took = time.monotonic() - began
    except (OSError, TimeoutError):
        return None
    return round(took * 1000, 3)


async def _peer(address: str, times: int, timeout_s: float) -> list[float | None]:
    host, _, port = address.rpartition(":")
    found = []
    for _ in range(times):
        found.append(await _connect(host.strip("[]"), int(port), timeout_s))
        await asyncio.sleep(PAUSE_S)
    return found


async def reach(
    addresses: list[str], times: int, timeout_s: float
) -> dict[str, list[float | None]]:
    """Connect to all at once, `times` one after the other."""
    answers = await asyncio.gather(*(_peer(one, times, timeout_s) for one in addresses))
    return dict(zip(addresses, answers, strict=True))


if __name__ == "__main__":
    made = asyncio.run(reach(sys.argv[3:], int(sys.argv[1]), float(sys.argv[2])))
    json.dump(made, sys.stdout)
