"""What a server's tables hold, as one number: over every row, in the order of its key."""

from __future__ import annotations

import hashlib

from seatrial.targets.mysql.schema import ROWS
from seatrial.targets.mysql.session import Session

#: Bytes of a digest that are kept (in hexadecimal twice as many characters).
DIGEST_BYTES = 8


async def digest(session: Session) -> tuple[str, int]:
    """Digest and number of all rows, as this session's transaction sees them. O(data).

    Key and value are told apart and both count, so that values which changed places show.
    """
    found, count = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    for table, query in ROWS.items():
        rows = await session.fetch(query)
        found.update(b"%s %d;" % (table.encode(), len(rows)))
        for row in rows:
            for cell in row:
                data = cell if isinstance(cell, bytes) else str(cell).encode()
                found.update(b"%d:%b" % (len(data), data))
        count += len(rows)
    return found.hexdigest(), count
