"""Linearizability: histories of registers, queues, stacks, sets, locks, stores, and your own model.

from seatrial.checkers.linearizable import make
verdict = make(CheckOptions(model="cas-register", initial=0)).check(history, Budget.start())
"""

from __future__ import annotations

from seatrial.checker import Checker, CheckOptions
from seatrial.checkers.linearizable.checker import Linearizable
from seatrial.checkers.linearizable.families import family
from seatrial.checkers.linearizable.models import UNSEEN, Model

__all__ = ["UNSEEN", "Model", "make"]


def make(options: CheckOptions) -> Checker:
    """The checker for `options.model` (cas-register if none is said), from `options.initial`."""
    return Linearizable(family(options))
