"""The replicated state machine: what one entry of the log does to the data.

Every replica applies the same log in the same order and so holds the same data (Schneider, "The
state machine approach", ACM Computing Surveys 1990). Values keep all their versions, so that a
transaction can read an old snapshot. A bug that lives in the data (and not in the protocol) acts
here, by lot, on every replica alike: the lots are drawn from the number of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from seatrial.generator.draw import below, derive
from seatrial.op import Atom, Op, Type, Value

Answer: TypeAlias = tuple[Type, Value]
List: TypeAlias = tuple[Value, ...]

#: Isolation levels, strongest first.
ISOLATIONS: Final = ("strict-serializable", "serializable", "snapshot-isolation", "read-committed")
LEASE_NS: Final = 40_000_000
#: Of how many holders whose lease ended before they released it is remembered that they may.
LAPSED_KEPT: Final = 16
_FIRST_BALANCE: Final = 10
ACCOUNTS: Final = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One entry of the log: a client's request, or a part of it.

    `snapshots` are the log positions that the client's node showed when the request came, one a
    micro-op. `stamp_ns` is the time by the node's own clock. `span` says which micro-ops this
    entry does, `last` whether the request is then answered; `undo` takes the request back.
    """

    request: int
    op: Op
    family: str
    node: int = 0
    snapshots: tuple[int, ...] = ()
    stamp_ns: int = 0
    span: tuple[int, ...] | None = None
    last: bool = True
    undo: bool = False
    seen: Value = None


@dataclass(slots=True)
class Machine:
    """One replica's data. `versions` are (log position, value, stamp), oldest first."""

    seed: int
    bug: str | None
    isolation: str
    position: int = 0
    versions: dict[Atom, list[tuple[int, Value, int]]] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    parts: dict[int, list[Value]] = field(default_factory=dict)
    before: dict[int, dict[Atom, Value]] = field(default_factory=dict)

    def apply(self, call: Call) -> Answer:
        """Do one entry; a request that came before gets the answer it got then."""
        self.position += 1
        repeated = call.request in self.answers and not call.undo
        if repeated and self.bug not in _REPEATS:
            return self.answers[call.request]
        if call.undo:
            self._undo(call.request)
            return Type.FAIL, None
        answer = _STEPS[call.op.f](self, call)
        if call.last:
            self.answers[call.request] = answer
        return answer

    def get(self, key: Atom, position: int | None = None) -> Value:
        """The value of `key` now, or as it was at a log position."""
        history = self.versions.get(key, ())
        if position is None:
            return history[-1][1] if history else None
        for at, value, _ in reversed(history):
            if at <= position:
                return value
        return None

    def changed_since(self, key: Atom, position: int) -> bool:
        """Whether `key` was written after a log position."""
        history = self.versions.get(key)
        return bool(history) and history is not None and history[-1][0] > position

    def put(self, key: Atom, value: Value, call: Call) -> None:
        """A new version of `key`."""
        self.before.setdefault(call.request, {}).setdefault(key, self.get(key))
        self.versions.setdefault(key, []).append((self.position, value, call.stamp_ns))

    def items(self, key: Atom, position: int | None = None) -> List:
        """The list at `key`."""
        value = self.get(key, position)
        return value if isinstance(value, tuple) else ()

    def number(self, key: Atom, default: int = 0, position: int | None = None) -> int:
        """The number at `key`."""
        value = self.get(key, position)
        return value if isinstance(value, int) else default

    def has(self, bug: str, call: Call, percent: int = 100) -> bool:
        """Whether `bug` is planted and strikes this request (in `percent` of them)."""
        return self.bug == bug and below(derive(self.seed, bug, call.request), 100) < percent

    def _undo(self, request: int) -> None:
        """Take back what a request wrote, as far as it still stands."""
        for key, old in self.before.pop(request, {}).items():
            now = self.get(key)
            if isinstance(now, tuple):
                kept = old if isinstance(old, tuple) else ()
                gone = _added(self.versions[key], kept)
                value: Value = tuple(item for item in now if item not in gone)
            else:
                value = old
            self.versions[key].append((self.position, value, 0))


def _added(history: list[tuple[int, Value, int]], before: List) -> List:
    """What the version right after `before` added to it."""
    for _, value, _ in history:
        if isinstance(value, tuple) and value[: len(before)] == before and value != before:
            return value[len(before) : len(before) + 1]
    return ()


#: Bugs under which a repeated request is done again.
_REPEATS: Final = ("double-applied-retry", "duplicated-append", "double-increment")


# ── registers ────────────────────────────────────────────────────────────────────────────────


def _register_key(call: Call) -> str:
    return f"r{call.op.key}"


def read_register(machine: Machine, call: Call) -> Answer:
    """The value of a register."""
    key = _register_key(call)
    if machine.has("crossed-keys", call, 4):
        key = f"r{int(call.op.key or 0) ^ 1}"
    return Type.OK, machine.get(key)


def _write(machine: Machine, call: Call) -> Answer:
    key = _register_key(call)
    if machine.bug == "last-write-wins":
        history = machine.versions.get(key)
        if history and history[-1][2] > call.stamp_ns:
            return Type.OK, call.op.value
    machine.put(key, call.op.value, call)
    return Type.OK, call.op.value


def _cas(machine: Machine, call: Call) -> Answer:
    key, pair = _register_key(call), call.op.value
    assert isinstance(pair, tuple)
    found = call.seen if machine.bug == "torn-compare-and-set" else machine.get(key)
    if found != pair[0]:
        return Type.FAIL, pair
    machine.put(key, pair[1], call)
    return Type.OK, pair


# ── transactions ─────────────────────────────────────────────────────────────────────────────


def _transaction(machine: Machine, call: Call) -> Answer:
    micro = call.op.value
    assert isinstance(micro, tuple)
    span = call.span if call.span is not None else tuple(range(len(micro)))
    if conflict(machine, call, micro):
        return Type.FAIL, micro
    if call.last and machine.has("torn-transaction", call, 15) and len(span) > 1:
        reads = [_micro(machine, call, i) for i in span[: len(span) // 2]]
        reads += [micro[i] for i in span[len(span) // 2 :]]
    elif machine.has("lost-append", call, 4):
        return Type.OK, tuple(_micro_read(machine, call, i) for i in span)
    else:
        reads = [_micro(machine, call, i) for i in span]
    done = machine.parts.setdefault(call.request, [None] * len(micro))
    for i, value in zip(span, reads, strict=True):
        done[i] = value
    return Type.OK, tuple(done)


def conflict(machine: Machine, call: Call, micro: List) -> bool:
    """First committer wins, under snapshot isolation."""
    if machine.isolation != "snapshot-isolation" and machine.bug != "write-skew":
        return False
    return any(machine.changed_since(_slot(m), call.snapshots[0]) for m in micro if _verb(m) != "r")


def _triple(value: Value) -> tuple[Value, Value, Value]:
    assert isinstance(value, tuple)
    first, second, third = value
    return first, second, third


def _verb(micro_op: Value) -> str:
    assert isinstance(micro_op, tuple)
    return str(micro_op[0])


def _slot(micro_op: Value) -> str:
    assert isinstance(micro_op, tuple)
    return f"t{micro_op[1]}"


def _writes_key(call: Call, key: str) -> bool:
    micro = call.op.value
    assert isinstance(micro, tuple)
    return any(_verb(m) != "r" and _slot(m) == key for m in micro)


def _at(machine: Machine, call: Call, i: int) -> int | None:
    """The snapshot that micro-op `i` reads; None for the present."""
    micro = call.op.value
    assert isinstance(micro, tuple)
    key = _slot(micro[i])
    if machine.bug == "long-fork":
        return call.snapshots[i]
    if machine.bug == "read-skew" or machine.isolation == "read-committed":
        # A transaction's own key is locked from its first write, and then read as it is.
        return None if _writes_key(call, key) else call.snapshots[i]
    if machine.isolation == "snapshot-isolation" or machine.bug == "write-skew":
        return None if _writes_key(call, key) else call.snapshots[0]
    return None


def _micro_read(machine: Machine, call: Call, i: int) -> Value:
    micro = call.op.value
    assert isinstance(micro, tuple)
    verb, key, argument = _triple(micro[i])
    if verb != "r":
        return (verb, key, argument)
    value = machine.get(_slot(micro[i]), _at(machine, call, i))
    if call.family == "append":
        value = machine.items(_slot(micro[i]), _at(machine, call, i))
        value = _spoil(machine, call, value)
    return ("r", key, value)


def _spoil(machine: Machine, call: Call, value: List) -> List:
    if len(value) > 2 and machine.has("phantom-element", call, 5):
        return (*value[:-2], value[-1])
    if len(value) > 1 and call.node == 1 and machine.has("reordered-append", call, 10):
        return (*value[:-2], value[-1], value[-2])
    micro = call.op.value
    assert isinstance(micro, tuple)
    if machine.bug == "internal-inconsistency":
        own = {m[2] for m in micro if isinstance(m, tuple) and m[0] == "append"}
        return tuple(item for item in value if item not in own)
    return value


def _micro(machine: Machine, call: Call, i: int) -> Value:
    micro = call.op.value
    assert isinstance(micro, tuple)
    verb, key, argument = _triple(micro[i])
    slot = _slot(micro[i])
    if verb == "append":
        position = call.snapshots[0] if machine.bug == "lost-update" else None
        machine.put(slot, (*machine.items(slot, position), argument), call)
    elif verb == "w":
        machine.put(slot, argument, call)
    elif machine.bug == "lost-update-register":
        return ("r", key, machine.get(slot, call.snapshots[0]))
    else:
        return _micro_read(machine, call, i)
    return (verb, key, argument)


# ── sets, counters, queues, locks, ids, bank ─────────────────────────────────────────────────


def _add(machine: Machine, call: Call) -> Answer:
    if call.family == "counter":
        if not machine.has("lost-increment", call, 5):
            machine.put("counter", machine.number("counter") + _whole(call.op.value), call)
    elif not machine.has("lost-element", call, 3):
        machine.put("set", (*machine.items("set"), call.op.value), call)
    return Type.OK, call.op.value


def _whole(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _enqueue(machine: Machine, call: Call) -> Answer:
    if not machine.has("lost-message", call, 3):
        machine.put("queue", (*machine.items("queue"), call.op.value), call)
    return Type.OK, call.op.value


def _dequeue(machine: Machine, call: Call) -> Answer:
    queue = machine.items("queue")
    if not queue:
        return Type.FAIL, None
    at = len(queue) - 1 if machine.has("reordered-queue", call, 25) else 0
    if not machine.has("duplicate-dequeue", call, 5):
        machine.put("queue", (*queue[:at], *queue[at + 1 :]), call)
    return Type.OK, queue[at]


def _acquire(machine: Machine, call: Call) -> Answer:
    held = machine.items("lock")
    lapsed = bool(held) and _whole(held[1]) <= call.stamp_ns
    if held and not lapsed and not machine.has("lock-given-twice", call, 10):
        return Type.FAIL, None
    if lapsed:
        machine.put("lapsed", (*machine.items("lapsed"), held[0])[-LAPSED_KEPT:], call)
    machine.put("lock", (call.op.process, call.stamp_ns + LEASE_NS), call)
    return Type.OK, None


def _release(machine: Machine, call: Call) -> Answer:
    """Ok for the holder, once more for one whose lease ended while its release was under way."""
    held, lapsed = machine.items("lock"), machine.items("lapsed")
    if held and held[0] == call.op.process:
        machine.put("lock", None, call)
        return Type.OK, None
    if call.op.process in lapsed:
        machine.put("lapsed", tuple(p for p in lapsed if p != call.op.process), call)
        return Type.OK, None
    return Type.FAIL, None


def _generate(machine: Machine, call: Call) -> Answer:
    last = machine.number("ids")
    machine.put("ids", last + 1, call)
    return Type.OK, last + 1


def _transfer(machine: Machine, call: Call) -> Answer:
    source, target, amount = _triple(call.op.value)
    span = call.span if call.span is not None else (0, 1)
    old = call.snapshots[0] if machine.bug == "negative-balance" else None
    checked = machine.number(f"a{source}", _FIRST_BALANCE, old)
    if 0 in span:
        if checked < _whole(amount):
            machine.parts[call.request] = []
            return Type.FAIL, call.op.value
        left = machine.number(f"a{source}", _FIRST_BALANCE) - _whole(amount)
        machine.put(f"a{source}", left, call)
    if 1 in span:
        if call.request in machine.parts:  # The debit was refused.
            return Type.FAIL, call.op.value
        grown = machine.number(f"a{target}", _FIRST_BALANCE) + _whole(amount)
        machine.put(f"a{target}", grown, call)
    return Type.OK, call.op.value


def _balances(machine: Machine, call: Call) -> Answer:
    return Type.OK, {str(i): machine.number(f"a{i}", _FIRST_BALANCE) for i in range(ACCOUNTS)}


def _read_set(machine: Machine, call: Call) -> Answer:
    return Type.OK, machine.items("set")


def _read_counter(machine: Machine, call: Call) -> Answer:
    return Type.OK, machine.number("counter")


_READS: Final[dict[str, Callable[[Machine, Call], Answer]]] = {
    "bank": _balances,
    "set": _read_set,
    "counter": _read_counter,
}


def _read(machine: Machine, call: Call) -> Answer:
    return _READS.get(call.family, read_register)(machine, call)


_STEPS: Final[dict[str, Callable[[Machine, Call], Answer]]] = {
    "read": _read,
    "write": _write,
    "cas": _cas,
    "txn": _transaction,
    "add": _add,
    "enqueue": _enqueue,
    "dequeue": _dequeue,
    "acquire": _acquire,
    "release": _release,
    "generate": _generate,
    "transfer": _transfer,
}
