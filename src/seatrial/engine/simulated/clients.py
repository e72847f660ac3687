"""Clients of the simulated cluster: how a request travels, and the bugs that act on its way.

A client is pinned to the node of its thread. A request that reached no leader is `fail`, certainly
without effect; one that got no answer in time is `info`. One request in twenty reaches the leader
twice, as networks do; the machine tells by its number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from seatrial.engine.simulated.cluster import LOCAL_READS, MS, NODES, Cluster, Simulation
from seatrial.engine.simulated.machine import Answer, Call, read_register
from seatrial.op import Op, Type, Value

TIMEOUT_NS: Final = 30 * MS
#: Requests that must not end unknown: a client asks again until it is answered, at most so often.
_RETRIED: Final = ("dequeue", "release")
RETRIES_MAX: Final = 100
#: How long a request waits for a leader, and a client that was refused before it tries again.
PATIENCE_NS: Final = 25 * MS
REFUSED_NS: Final = 10 * MS
THINK_NS: Final = 3 * MS
FORK_LAG: Final = 12

#: Bugs that see an old snapshot: there is time between a request's coming and its entry.
_THINKING: Final = (
    "read-skew",
    "write-skew",
    "lost-update",
    "lost-update-register",
    "negative-balance",
    "torn-compare-and-set",
)
#: Bugs by which a request is done, seen, and then taken back and refused.
_ROLLED_BACK: Final = ("dirty-read", "dirty-read-register", "aborted-read-register")
#: Bugs by which a request that was acknowledged is taken back later.
_FORGOTTEN: Final = ("resurrected-delete", "forgotten-element")
#: Bugs by which nodes go by their own clocks.
_CLOCKS: Final = ("last-write-wins", "skewed-lease")

Finish: TypeAlias = Callable[[Type, Value, str | None], None]


@dataclass(slots=True)
class Clients:
    """Sends requests; each gets one answer."""

    sim: Simulation
    cluster: Cluster
    family: str
    isolation: str
    bug: str | None
    requests: int = 0

    def invoke(self, thread: int, op: Op, finish: Finish) -> None:
        """Send one request; `finish` is called once, later."""
        self.requests += 1
        call = Call(self.requests, op, self.family, thread % NODES)
        once = _Once(finish)
        self.sim.after(self._delay(), lambda: self._arrive(call, once))
        if op.f in _RETRIED:
            self.sim.after(TIMEOUT_NS, lambda: self._again(call, once, RETRIES_MAX))
        else:
            self.sim.after(TIMEOUT_NS, lambda: once.end(Type.INFO, op.value, "timeout"))

    def _delay(self) -> int:
        return MS // 10 + self.sim.draw(MS // 2)

    def _back(self, once: _Once, kind: Type, value: Value, error: str | None = None) -> None:
        self.sim.after(self._delay(), lambda: once.end(kind, value, error))

    def _unsent(self, call: Call, once: _Once, after_ns: int, error: str) -> None:
        """What was never sent had no effect, and fails; a release is sent again instead."""
        if call.op.f != "release":
            self.sim.after(after_ns, partial(once.end, Type.FAIL, call.op.value, error))

    def _again(self, call: Call, once: _Once, left: int) -> None:
        if once.ended or not left:
            once.end(Type.INFO, call.op.value, "timeout")
            return
        leader = self.cluster.leader()
        if leader is not None:
            self.cluster.submit(leader, call, lambda answer: self._back(once, *answer))
        self.sim.after(TIMEOUT_NS, lambda: self._again(call, once, left - 1))

    def _arrive(self, call: Call, once: _Once) -> None:
        node = self.cluster.nodes[call.node]
        if not node.up:
            self._unsent(call, once, REFUSED_NS, "connection refused")
            return
        if call.op.f == "fingerprint":
            self._back(once, Type.OK, self.cluster.fingerprint(call.node))
            return
        skewed = self.bug in _CLOCKS
        stamp_ns = self.cluster.clock_of(call.node) if skewed else self.sim.now
        position = node.machine.position
        micro = call.op.value if call.op.f == "txn" and isinstance(call.op.value, tuple) else ()
        call = replace(call, stamp_ns=stamp_ns, snapshots=(position,) * max(1, len(micro)))
        if self._local(call):
            self._read_here(call, once)
        elif self.bug in _THINKING or self.isolation in ("snapshot-isolation", "read-committed"):
            self._think(call, once)
        else:
            self._send(call, once)

    # ── reads that do not go through the log ─────────────────────────────────────────────────

    def _local(self, call: Call) -> bool:
        value = call.op.value
        if call.op.f == "txn" and isinstance(value, tuple):
            reads_only = all(isinstance(m, tuple) and m[0] == "r" for m in value)
            weak = self.isolation == "serializable" or self.bug in ("stale-snapshot", "long-fork")
            return reads_only and weak
        if call.op.f != "read":
            return False
        deposed = self.bug == "stale-read-after-failover" and self.cluster.nodes[call.node].cut
        return deposed or self.bug in LOCAL_READS

    def _read_here(self, call: Call, once: _Once) -> None:
        at = call.node
        if self.bug == "non-monotonic-read":
            at = self.sim.draw(NODES)
        if self.bug == "long-fork":
            position = self.cluster.nodes[at].machine.position
            micro = call.op.value
            assert isinstance(micro, tuple)
            lagging = (
                FORK_LAG * ((int(m[1]) + at) % 2)  # type: ignore[arg-type,index]
                for m in micro
            )
            call = replace(call, snapshots=tuple(position - lag for lag in lagging))
        self._back(once, *self.cluster.local(at, call))

    # ── requests that do ─────────────────────────────────────────────────────────────────────

    def _think(self, call: Call, once: _Once) -> None:
        """Snapshots are taken one after another; then the request goes to the log."""
        machine = self.cluster.nodes[call.node].machine
        if call.op.f == "cas":
            call = replace(call, seen=read_register(machine, call)[1])
        taken: list[int] = []

        def take() -> None:
            taken.append(self.cluster.nodes[call.node].machine.position)
            if len(taken) < len(call.snapshots):
                self.sim.after(THINK_NS // 3 + self.sim.draw(THINK_NS), take)
                return
            ready = replace(call, snapshots=tuple(taken))
            self.sim.after(THINK_NS, lambda: self._send(ready, once))

        take()

    def _send(self, call: Call, once: _Once) -> None:
        leader = self.cluster.leader_for(call.node)
        if leader is None and self.sim.now - call.op.time_ns < PATIENCE_NS:
            self.sim.after(THINK_NS, lambda: self._send(call, once))
            return
        if leader is None:
            self._unsent(call, once, self._delay(), "no leader")
            return
        parts = self._parts(call)
        if self._strikes(call, _ROLLED_BACK, 10) and _writes(call):
            self.cluster.submit(leader, call, None)
            self.sim.after(2 * THINK_NS, lambda: self._roll_back(call, once))
            return
        self._submit(call, parts, once)
        if self.sim.draw(20) == 0 and len(parts) == 1:
            self.sim.after(THINK_NS, lambda: self._repeat(parts[0]))
        forgets = call.op.f == "add" or (call.op.f == "write" and call.op.value is None)
        if forgets and self._strikes(call, _FORGOTTEN, 100 if call.op.f == "write" else 4):
            self.sim.after(4 * THINK_NS, lambda: self._repeat(replace(call, undo=True)))

    def _strikes(self, call: Call, bugs: tuple[str, ...], percent: int) -> bool:
        return self.bug in bugs and self.sim.draw(100) < percent

    def _submit(self, call: Call, parts: list[Call], once: _Once) -> None:
        leader = self.cluster.leader_for(call.node)
        if leader is None:
            return  # Lost on the way: the client will time out.
        if len(parts) == 1:
            self.cluster.submit(leader, parts[0], lambda answer: self._answer(call, answer, once))
            return
        self.cluster.submit(leader, parts[0], None)
        self.sim.after(
            THINK_NS // 3 + self.sim.draw(THINK_NS), lambda: self._submit(call, parts[1:], once)
        )

    def _answer(self, call: Call, answer: Answer, once: _Once) -> None:
        if self.cluster.nodes[call.node].up:
            self._back(once, *answer)

    def _repeat(self, call: Call) -> None:
        leader = self.cluster.leader()
        if leader is not None:
            self.cluster.submit(leader, call, None)

    def _roll_back(self, call: Call, once: _Once) -> None:
        self._repeat(replace(call, undo=True))
        self._back(once, Type.FAIL, call.op.value, "aborted")

    def _parts(self, call: Call) -> list[Call]:
        """The entries that a request is cut into; one, unless a bug tears it."""
        spans = self._spans(call)
        if len(spans) < 2:
            return [call]
        return [replace(call, span=span, last=i == len(spans) - 1) for i, span in enumerate(spans)]

    def _spans(self, call: Call) -> list[tuple[int, ...]]:
        micro = call.op.value
        if call.op.f == "transfer" and self.bug == "wrong-total":
            return [(0,), (1,)]
        if call.op.f != "txn" or not isinstance(micro, tuple):
            return []
        everything = range(len(micro))
        writes = [i for i, m in enumerate(micro) if isinstance(m, tuple) and m[0] != "r"]
        reads = tuple(i for i in everything if i not in writes)
        if self.bug == "circular-information-flow" and writes:
            return [tuple(writes), reads] if reads else []
        if self.bug == "dirty-write":
            return [(i,) for i in writes] + ([reads] if reads else [])
        if self.bug in ("intermediate-read", "intermediate-read-register"):
            keys = [micro[i][1] for i in writes]  # type: ignore[index]
            for i, key in zip(writes, keys, strict=True):
                if keys.count(key) > 1:
                    return [tuple(range(i + 1)), tuple(range(i + 1, len(micro)))]
        return []


def _writes(call: Call) -> bool:
    value = call.op.value
    if call.op.f == "txn" and isinstance(value, tuple):
        return any(isinstance(m, tuple) and m[0] != "r" for m in value)
    return call.op.f == "write"


class _Once:
    """An answer that can be given once; later ones are ignored, as by a client that gave up."""

    __slots__ = ("_finish", "ended")

    def __init__(self, finish: Finish) -> None:
        self._finish = finish
        self.ended = False

    def end(self, kind: Type, value: Value, error: str | None = None) -> None:
        """Give the answer, if it is the first."""
        if not self.ended:
            self.ended = True
            self._finish(kind, value, error)
