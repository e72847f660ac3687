"""Quiescing: after healing and without load, every node has to answer again."""

from __future__ import annotations

import asyncio

from seatrial.fault import World


async def quiesce(world: World, timeout_s: float) -> tuple[str, ...]:
    """Wait until every node answers, all within one bound; a sentence for each that does not."""
    nodes = world.nodes
    ready = await asyncio.gather(*(world.ready(node, timeout_s) for node in nodes))
    return tuple(
        f"{node} did not answer within {timeout_s:g} s of healing"
        for node, answers in zip(nodes, ready, strict=True)
        if not answers
    )
