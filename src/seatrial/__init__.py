"""seatrial puts distributed databases through sea trials: load, break, heal, judge."""

from __future__ import annotations

__version__ = "0.1.0"
