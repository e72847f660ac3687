"""The simulated engine: a reference database with bugs that can be planted, on a virtual clock."""

from __future__ import annotations

from seatrial.engine.simulated.bugs import BUGS, Bug
from seatrial.engine.simulated.canary import Matrix, canary, to_json, to_text
from seatrial.engine.simulated.run import simulate

__all__ = ["BUGS", "Bug", "Matrix", "canary", "simulate", "to_json", "to_text"]
