"""What time a node says it is: the `Date` of an answer of its HTTP side, exact to a second."""

from __future__ import annotations

import asyncio
import email.utils
import time

from seatrial.errors import Unavailable
from seatrial.target import Node

TIMEOUT_S = 5.0
_HEAD_BYTES_MAX = 16 * 1024
#: An answer says whole seconds, cut off; so on average it is half a second later.
_HALF_S = 0.5


async def clock_offset(node: Node) -> float:
    """By how many seconds the node's clock is ahead of this one; raises `Unavailable`."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(node.address, node.ports["client"])
            try:
                writer.write(b"GET /version HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
                head = (await reader.read(_HEAD_BYTES_MAX)).decode("latin-1")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{node.name} does not say what time it is: {error}") from None
    now = time.time()
    for line in head.splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "date":
            there = email.utils.parsedate_to_datetime(value.strip()).timestamp()
            return round(there + _HALF_S - now, 3)
    raise Unavailable(f"{node.name} answers without saying what time it is: {head[:80]!r}")
