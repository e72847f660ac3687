"""One pod's part in measuring links: it sends datagrams to other pods, and counts theirs.

Every pod that takes part runs this program at the same time. Line by line, as JSON:

1. read `{"sends": {NAME: [packets, packet_bytes, interval_s, patience_s,
   count_bits]}, "gets": {NAME: the same}}`;
2. print `{"ports": {SOURCE: PORT}}`: one socket for each source, so that nobody is mistaken;
3. read `{"peers": {NAME: [ADDRESS, PORT]}, "listen_s": S}`, which is the word to begin;
4. print `{"sent": {NAME: [sent, first_ns, last_ns]}, "arrived": {SOURCE: …}}` after `listen_s`.

Moments are this machine's: whoever joins both ends must know how far their clocks are apart.
"""

from __future__ import annotations

import json
import math
import select
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from seatrial.engine.packets import (
    ETHERNET_BYTES,
    PACKET_BYTES_MIN,
    Receiver,
    Sender,
    judge,
    throughput,
    udp_socket,
)
from seatrial.readings import Arrivals, Traffic

#: How long the other side may take for its next line.
WORD_S = 30.0
#: The longest that is ever listened.
LISTEN_S_MAX = 25.0
#: Datagrams sent for one direction before arrivals are looked at again.
_BURST = 16
#: When everything has arrived, second copies are waited for so long.
_QUIET_S = 0.05
_ANY = "0.0.0.0"


def main() -> None:
    """Take part once."""
    spec = _hear()
    senders = {
        name: Sender(udp_socket(_ANY), Traffic(*plan)) for name, plan in spec["sends"].items()
    }
    expected = {name: Traffic(*plan) for name, plan in spec["gets"].items()}
    receivers = {name: Receiver(udp_socket(_ANY)) for name in expected}
    _say({"ports": {name: one.socket.getsockname()[1] for name, one in receivers.items()}})
    begin = _hear()
    for name, sender in senders.items():
        address, port = begin["peers"][name]
        sender.socket.connect((address, port))
    hoped = [(one, expected[name].packets) for name, one in receivers.items()]
    exchange([*senders.values()], hoped, float(begin["listen_s"]))
    _say(
        {
            "sent": {n: [one.sent, one.first_ns, one.last_ns] for n, one in senders.items()},
            "arrived": {n: told(expected[n], one) for n, one in receivers.items()},
        }
    )


def exchange(
    senders: Sequence[Sender], receivers: Sequence[tuple[Receiver, int]], listen_s: float
) -> None:
    """Send all at their moments and note what arrives, for `listen_s` seconds at the most.

    With each receiver goes how many datagrams are sent to it: when all are there, and all is
    sent, it is over but for a moment for second copies.
    """
    begin, end = time.monotonic(), min(listen_s, LISTEN_S_MAX)
    poll = select.epoll()
    try:
        notes = {one.socket.fileno(): one.receive for one, _ in receivers}
        for descriptor in notes:
            poll.register(descriptor, select.EPOLLIN)
        while (now := time.monotonic() - begin) < end:
            left_s = min(end - now, _send_due(senders, now))
            if _is_complete(senders, receivers):
                end, left_s = min(end, now + _QUIET_S), min(left_s, _QUIET_S)
            for descriptor, _ in poll.poll(max(0.0, left_s)):
                notes[descriptor]()
    finally:
        poll.close()


def _send_due(senders: Sequence[Sender], now: float) -> float:
    """Send what should be under way by now; how long until the next one (infinite: none)."""
    left_s = math.inf
    for sender in senders:
        plan = sender.traffic
        due = min(plan.packets, int(now / plan.interval_s) + 1)
        for _ in range(min(_BURST, due - sender.sent)):
            sender.send()
        if sender.sent < plan.packets:
            left_s = min(left_s, sender.sent * plan.interval_s - now)
    return left_s


def _is_complete(senders: Sequence[Sender], receivers: Sequence[tuple[Receiver, int]]) -> bool:
    sent = all(one.sent == one.traffic.packets for one in senders)
    return sent and all(len(one.arrivals) >= hoped for one, hoped in receivers)


def told(traffic: Traffic, receiver: Receiver) -> dict[str, Any]:
    """What became of one source's datagrams, as far as this end can tell."""
    found = judge(traffic.packets, traffic.packet_bytes, receiver.arrivals)
    if traffic.count_bits:
        found = _with_throughput(found, traffic, receiver)
    answer = asdict(found)
    answer["latencies_ms"] = [round(one, 3) for one in found.latencies_ms]
    return answer


def _with_throughput(found: Arrivals, traffic: Traffic, receiver: Receiver) -> Arrivals:
    """Its own datagrams only: a container without rights cannot see what else passes.

    They are counted from the first arrival on, for as long as they were planned to be sent.
    """
    size = max(traffic.packet_bytes, PACKET_BYTES_MIN) + ETHERNET_BYTES
    begin = min((moment for moment, _ in receiver.arrivals), default=0)
    end = begin + int(traffic.packets * traffic.interval_s * 1e9)
    passed = [(moment, size) for moment, _ in receiver.arrivals]
    return replace(found, bits_per_s=throughput(passed, begin, end))


def _hear() -> Any:
    """The next line; the program ends if there is none in time."""
    ready, _, _ = select.select([sys.stdin], [], [], WORD_S)
    line = sys.stdin.readline() if ready else ""
    if not line:
        sys.exit(f"no word within {WORD_S:g} s")
    return json.loads(line)


def _say(what: Mapping[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
