"""Logs like Kafka's: `send` appends to a key's log, `poll` reads on in it, `txn` does both.

The checker follows Jepsen's (`tests/kafka.clj`): `events` reads the ops, `orders` finds what stood
at each offset, `rules` holds the anomalies within and between ops, `cycles` those of whole
transactions, `checker` joins them.
"""

from __future__ import annotations

from seatrial.checkers.kafka.checker import Kafka, make

__all__ = ["Kafka", "make"]
