"""Histories: the ordered ops of one trial, as columns.

Ops stream to disk as they happen and load back as NumPy arrays without one Python object per op.
"""

from __future__ import annotations

from seatrial.history.builder import HistoryBuilder
from seatrial.history.columns import NIL, Atoms, History, Kind, MicroOps

__all__ = ["NIL", "Atoms", "History", "HistoryBuilder", "Kind", "MicroOps"]
