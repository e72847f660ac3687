"""Generators: pure, seeded sources of ops (contract; the combinators are in the modules here).

A generator is a value. `op` asks it for the next op at a time and with certain threads free, and
answers with the op and *the generator that comes after*; nothing is mutated, so a schedule can be
simulated to the nanosecond and repeated from its seed (Jepsen, `generator.clj`).
"""

from __future__ import annotations

from seatrial.generator.contract import PENDING, Context, Generator, Pending

__all__ = ["PENDING", "Context", "Generator", "Pending"]
