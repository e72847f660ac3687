"""Asking who leads while the trial runs, for the times of faults: `metrics/roles.jsonl`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

#: How often the nodes are asked while a fault is alive (or its leader is missing), and otherwise.
ASK_S: Final = 0.2
ASK_CALM_S: Final = 2.0
ANSWER_S: Final = 2.0

Locate = Callable[[], Awaitable[Mapping[str, tuple[str, ...]]]]


async def watch_roles(
    locate: Locate, path: Path, clock: Callable[[], int], is_rough: Callable[[], bool]
) -> None:
    """Ask and write until cancelled. What does not answer is nobody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", buffering=1) as file:
        while True:
            at_ns = clock()
            try:
                async with asyncio.timeout(ANSWER_S):  # `wait_for` may swallow a cancellation
                    found = await locate()
            except Exception:  # a probe that fails is an answer: nobody is known to lead
                found = {}
            leader = next(iter(found.get("leader", ())), "")
            line = {
                "t": round(at_ns / 1e9, 4),
                "leader": leader,
                "followers": list(found.get("follower", ())),
            }
            file.write(json.dumps(line) + "\n")
            rough = is_rough() or not leader
            deadline = clock() + round((ASK_S if rough else ASK_CALM_S) * 1e9)
            while clock() < deadline and (rough or not is_rough()):
                await asyncio.sleep(min(ASK_S, max(0.0, (deadline - clock()) / 1e9)))
