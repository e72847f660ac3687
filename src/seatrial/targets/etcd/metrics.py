"""What a node of etcd counts of itself, from the page that Prometheus reads.

Asked over HTTP beside the clients' protocol; only what faults need to know is read.
"""

from __future__ import annotations

import asyncio
import http.client
import urllib.request

from seatrial.errors import Unavailable

ANSWER_S = 5.0
PAGE_BYTES_MAX = 8 << 20
STARTED = "process_start_time_seconds"
#: No proxy of a person's environment stands between us and a node.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
DEFRAGMENTED = "etcd_disk_backend_defrag_duration_seconds_count"


async def defragmentations(url: str) -> tuple[float, int]:
    """When the process started (seconds since 1970), and how often it has defragmented since.

    Raises `Unavailable` where the page does not answer or does not say.
    """
    page = await asyncio.to_thread(_read, url)
    found = dict(line.split(" ", 1) for line in page.splitlines() if line[:1].isalpha())
    try:
        return float(found[STARTED]), int(float(found[DEFRAGMENTED]))
    except (KeyError, ValueError):
        raise Unavailable(f"{url} does not say {STARTED} and {DEFRAGMENTED}") from None


def _read(url: str) -> str:
    try:
        with _DIRECTLY.open(url, timeout=ANSWER_S) as answer:
            return str(answer.read(PAGE_BYTES_MAX).decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{url} does not answer: {error}") from None
