"""Three nodes on a virtual clock: a replicated log, elections, and what can happen to them.

A plain Raft (Ongaro and Ousterhout, USENIX ATC 2014) with one shortcut: who is elected is settled
by the simulation, which picks, among nodes that can form a majority, the one with the most complete
log (the rule of Raft's votes) and gives it a new term. An entry is committed when a majority has
it on disk and it, or a later one, is of the leader's own term. Every request, reads too, goes
through the log, so the data is linearizable; weaker isolation, and bugs, are departures from that
which are asked for by name.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from seatrial.engine.simulated.machine import Answer, Call, Machine
from seatrial.generator.draw import below, derive, step
from seatrial.op import Value

NODES: Final = 3
MAJORITY: Final = 2
MS: Final = 1_000_000
HEARTBEAT_NS: Final = 5 * MS
ELECTION_NS: Final = 8 * MS
FSYNC_NS: Final = 15 * MS
#: How far a node's clock may be off while clocks are skewed.
SKEW_NS: Final = 60 * MS

#: Bugs under which clients are answered before a majority has the entry.
EAGER: Final = ("lost-acknowledged-write", "lost-fsync", "split-brain")
#: Bugs under which reads are answered from one replica's copy, without the log.
LOCAL_READS: Final = ("stale-read", "non-monotonic-read")


class Simulation:
    """The virtual clock, its agenda, and lots that depend on the seed alone."""

    def __init__(self, seed: int) -> None:
        self.now = 0
        self._lots = derive(seed, "simulation")
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._planned = 0

    def draw(self, bound: int) -> int:
        """A whole number below `bound`."""
        self._lots = step(self._lots)
        return below(self._lots, bound)

    def after(self, delay_ns: int, do: Callable[[], None]) -> None:
        """Do it so much later; what is planned for one moment is done in order of planning."""
        self._planned += 1
        heapq.heappush(self._agenda, (self.now + delay_ns, self._planned, do))

    def next_ns(self) -> int | None:
        """When the next thing happens."""
        return self._agenda[0][0] if self._agenda else None

    def turn(self) -> None:
        """Move the clock to the next thing and do it."""
        self.now, _, do = heapq.heappop(self._agenda)
        do()


@dataclass(slots=True, eq=False)
class Entry:
    """One place in the log."""

    term: int
    call: Call | None  # None: a new leader's first entry


@dataclass(slots=True, eq=False)
class Node:
    """One replica. Lengths count entries from the start of the log."""

    machine: Machine
    log: list[Entry] = field(default_factory=list)
    term: int = 0
    leads: bool = False
    up: bool = True
    cut: bool = False
    committed: int = 0
    applied: int = 0
    on_disk: int = 0
    match: list[int] = field(default_factory=lambda: [0] * NODES)
    skew_ns: int = 0


class Cluster:
    """The nodes and the messages between them."""

    def __init__(self, simulation: Simulation, machines: list[Machine], bug: str | None) -> None:
        self.sim = simulation
        self.bug = bug
        self.nodes = [Node(machine) for machine in machines]
        self._answer: dict[int, Callable[[Answer], None]] = {}
        self._elect()
        self._tick()

    # ── clients ──────────────────────────────────────────────────────────────────────────────

    def leader_for(self, at: int) -> int | None:
        """The leader that node `at` knows of and can reach."""
        here = self.nodes[at]
        if here.up and here.leads:
            return at
        known = [i for i in range(NODES) if self.nodes[i].leads and self._reach(at, i)]
        return max(known, key=lambda i: self.nodes[i].term, default=None) if here.up else None

    def submit(self, leader: int, call: Call, answer: Callable[[Answer], None] | None) -> None:
        """Append a request to the leader's log; `answer` is called when it has been done."""
        node = self.nodes[leader]
        if answer is not None:
            self._answer[call.request] = answer
        node.log.append(Entry(node.term, call))
        self._persist(node)
        if self.bug != "lost-acknowledged-write":  # Then the others hear with the next heartbeat.
            self._replicate(leader)
        alone = self.bug == "split-brain" and node.cut
        if self.bug in EAGER and (alone or self.bug != "split-brain"):
            self._advance(leader, len(node.log))

    def local(self, at: int, call: Call) -> Answer:
        """What one replica's copy answers to a read."""
        machine = self.nodes[at].machine
        position = machine.position
        answer = machine.apply(call)
        machine.position = position
        machine.answers.pop(call.request, None)
        machine.parts.pop(call.request, None)
        return answer

    def clock_of(self, at: int) -> int:
        """The time by a node's own clock."""
        return self.sim.now + self.nodes[at].skew_ns

    # ── faults ───────────────────────────────────────────────────────────────────────────────

    def crash(self, at: int) -> None:
        """The node stops; what was not on its disk is gone."""
        node = self.nodes[at]
        node.up, node.leads = False, False
        del node.log[node.on_disk :]
        if node.applied > len(node.log):
            self._rebuild(node)

    def restart(self, at: int) -> None:
        """The node starts with what was on its disk."""
        self.nodes[at].up = True

    def partition(self, at: int, cut: bool) -> None:
        """Cut one node off from the others, or join it again. Its clients still reach it."""
        self.nodes[at].cut = cut

    def skew(self, at: int, by_ns: int) -> None:
        """Set a node's clock off by so much."""
        self.nodes[at].skew_ns = by_ns

    def leader(self) -> int | None:
        """The leader of the newest term."""
        led = [i for i in range(NODES) if self.nodes[i].leads]
        return max(led, key=lambda i: self.nodes[i].term, default=None)

    # ── the protocol ─────────────────────────────────────────────────────────────────────────

    def _reach(self, a: int, b: int) -> bool:
        one, two = self.nodes[a], self.nodes[b]
        return a == b or (one.up and two.up and not one.cut and not two.cut)

    def _persist(self, node: Node) -> None:
        if self.bug != "lost-fsync":
            node.on_disk = len(node.log)

    def _delay(self) -> int:
        return MS // 5 + self.sim.draw(MS)

    def _tick(self) -> None:
        """Heartbeats, elections and late fsyncs, for ever."""
        for i, node in enumerate(self.nodes):
            if node.leads:
                self._replicate(i)
        led = self.leader()
        if led is None or not self._has_majority(led):
            self.sim.after(ELECTION_NS - HEARTBEAT_NS, self._elect)
        if self.bug == "lost-fsync" and self.sim.draw(FSYNC_NS // HEARTBEAT_NS) == 0:
            for node in self.nodes:
                node.on_disk = len(node.log)
        self.sim.after(HEARTBEAT_NS, self._tick)

    def _has_majority(self, at: int) -> bool:
        return self.nodes[at].up and sum(self._reach(at, i) for i in range(NODES)) >= MAJORITY

    def _elect(self) -> None:
        """The most complete log of a majority leads, if nobody does who could."""
        led = self.leader()
        if led is not None and self._has_majority(led):
            return
        able = [i for i in range(NODES) if self._has_majority(i)]
        if not able:
            return
        best = max(able, key=lambda i: (self._last_term(i), len(self.nodes[i].log), -i))
        term = 1 + max(node.term for node in self.nodes)
        node = self.nodes[best]
        for i in able:
            self.nodes[i].leads = False
            self.nodes[i].term = term
        node.leads, node.match = True, [0] * NODES
        if self.bug == "repeated-id" and node.machine.number("ids") > 2:
            node.machine.versions["ids"].append(
                (node.machine.position, node.machine.number("ids") - 2, 0)
            )
        node.log.append(Entry(term, None))
        self._persist(node)
        self._replicate(best)

    def _last_term(self, at: int) -> int:
        log = self.nodes[at].log
        return log[-1].term if log else 0

    def _replicate(self, leader: int) -> None:
        node = self.nodes[leader]
        length, term = len(node.log), node.term
        for i in range(NODES):
            if i != leader:
                self.sim.after(self._delay(), partial(self._deliver, leader, i, term, length))

    def _deliver(self, leader: int, at: int, term: int, length: int) -> None:
        source, node = self.nodes[leader], self.nodes[at]
        if not self._reach(leader, at) or source.term != term or not source.leads:
            return
        if node.term > term:
            source.leads = False
            source.term = node.term
            return
        node.term, node.leads = term, False
        mine, theirs = node.log, source.log
        if not 0 < length <= len(theirs):
            return
        have = len(mine)
        if have < length and (not have or mine[-1] is theirs[have - 1]):
            mine.extend(theirs[have:length])
        elif have < length or mine[length - 1] is not theirs[length - 1]:
            node.log = theirs[:length]
            if node.applied > _shared(mine, node.log):
                self._rebuild(node)
        self._persist(node)
        self._apply(at, min(source.committed, length))
        self.sim.after(self._delay(), lambda: self._acknowledge(leader, at, term, length))

    def _acknowledge(self, leader: int, at: int, term: int, length: int) -> None:
        node = self.nodes[leader]
        if not self._reach(leader, at) or node.term != term or not node.leads:
            return
        node.match[at] = max(node.match[at], length)
        node.match[leader] = len(node.log)
        agreed = sorted(node.match)[NODES - MAJORITY]
        if agreed > node.committed and node.log[agreed - 1].term == term:
            self._advance(leader, agreed)

    def _advance(self, leader: int, length: int) -> None:
        self.nodes[leader].committed = max(self.nodes[leader].committed, length)
        self._apply(leader, length)

    def _apply(self, at: int, length: int) -> None:
        node = self.nodes[at]
        node.committed = max(node.committed, min(length, len(node.log)))
        while node.applied < min(length, len(node.log)):
            call = node.log[node.applied].call
            node.applied += 1
            if call is None:
                node.machine.position += 1
                continue
            if at == 2 and node.machine.has("replica-divergence", call, 2):
                node.machine.position += 1
                continue
            answer = node.machine.apply(call)
            if node.leads and call.last and not call.undo:
                self._reply(call, answer)

    def _reply(self, call: Call, answer: Answer) -> None:
        reply = self._answer.pop(call.request, None)
        if reply is not None:
            reply(answer)

    def _rebuild(self, node: Node) -> None:
        """Start from an empty state and apply again what is left (only bugs make this needed)."""
        old = node.machine
        node.machine = Machine(old.seed, old.bug, old.isolation)
        length, node.applied = min(node.committed, len(node.log)), 0
        leads, node.leads = node.leads, False
        self._apply(self.nodes.index(node), length)
        node.leads = leads

    def fingerprint(self, at: int) -> Value:
        """What one replica holds, in words that can be compared."""
        machine = self.nodes[at].machine
        data = sorted((str(k), repr(v[-1][1])) for k, v in machine.versions.items() if v)
        return {
            "node": f"n{at}",
            "revision": sum(map(len, machine.versions.values())),
            "index": self.nodes[at].applied,
            "hash": derive(0, repr(data)) >> 2,
        }


def _shared(a: list[Entry], b: list[Entry]) -> int:
    """How many entries two logs begin with alike."""
    shared = 0
    for one, two in zip(a, b, strict=False):
        if one is not two:
            break
        shared += 1
    return shared
