"""Asking a server whether it takes part, and giving it its tables once it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from seatrial.target import Node, OpFailed, OpUnknown
from seatrial.targets.mysql.schema import make_schema
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import Access

#: One probe of a node's health, and the pause between two.
PROBE_TIMEOUT_S = 2.0
PROBE_PAUSE_S = 0.2
#: Making database and tables, once a trial.
SCHEMA_TIMEOUT_S = 60.0


async def ready(
    node: Node,
    access: Access,
    timeout_s: float,
    good: Callable[[Session], Awaitable[bool]],
    *,
    indexed: bool = False,
) -> bool:
    """Ask until it is good and has its tables, or the time is over."""
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        session = anywhere(node, access, min(PROBE_TIMEOUT_S, left_s))
        try:
            if await session.transaction(good, read=True):
                await make_schema(node, access, min(SCHEMA_TIMEOUT_S, left_s), indexed=indexed)
                return True
        except (OpFailed, OpUnknown):
            pass
        finally:
            await session.close()
        await asyncio.sleep(min(PROBE_PAUSE_S, left_s))
    return False


def anywhere(node: Node, access: Access, timeout_s: float) -> Session:
    """A session that does not need the trial's database."""
    return Session(
        node, access.model_copy(update={"database": "information_schema"}), (), timeout_s
    )


async def version(node: Node, access: Access) -> str:
    """What the server says of its version; "" if it does not answer."""

    async def body(session: Session) -> str:
        return str((await session.fetch("SELECT VERSION()"))[0][0])

    session = anywhere(node, access, PROBE_TIMEOUT_S)
    try:
        return await session.transaction(body, read=True)
    except (OpFailed, OpUnknown):
        return ""
    finally:
        await session.close()
