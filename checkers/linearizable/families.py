"""The catalogue of models of the checker `linearizable`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seatrial.checker import CheckOptions
from seatrial.checkers.linearizable import containers, modelled, models, scalars
from seatrial.checkers.linearizable.family import Family
from seatrial.errors import UnknownName

#: Each entry makes a family: `CheckOptions` → `Family`.
FAMILIES: Mapping[str, Callable[[CheckOptions], Family]] = {
    "register": scalars.register,
    "cas-register": scalars.register,
    "multi-register": modelled.multi_register,
    "kv": modelled.kv,
    "counter": scalars.counter,
    "set": lambda options: containers.whole_set(options, "set"),
    "grow-only-set": lambda options: containers.whole_set(options, "grow-only-set"),
    "fifo-queue": containers.fifo_queue,
    "unordered-queue": containers.unordered_queue,
    "stack": containers.stack,
    "priority-queue": containers.priority_queue,
    "mutex": scalars.mutex,
    "owner-mutex": lambda options: modelled.built_in("owner-mutex", models.owner_mutex()),
    "reentrant-mutex": modelled.reentrant_mutex,
    "semaphore": scalars.semaphore,
    "fenced-mutex": lambda options: modelled.built_in("fenced-mutex", models.fenced_mutex()),
}


def family(options: CheckOptions) -> Family:
    """The family of `options.model` (cas-register if none is said); raises `UnknownName`."""
    name = options.model or "cas-register"
    if name not in FAMILIES:
        raise UnknownName("model", name, FAMILIES)
    return FAMILIES[name](options)
