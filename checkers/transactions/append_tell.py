"""Telling anomalies over lists: why one transaction precedes another, and what one read shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from seatrial.checkers.transactions.append_edges import next_known
from seatrial.checkers.transactions.append_order import ODD, Orders, find
from seatrial.checkers.transactions.append_scan import KEPT, NAMES, SHUFFLED, Findings
from seatrial.checkers.transactions.edges import RW, WR, WW
from seatrial.checkers.transactions.table import FAIL, Table, micro_text, plain, txn_text
from seatrial.verdict import Anomaly

#: Elements of a version order walked back to find a known writer.
LOOK_BACK = 10_000


class ListRelations:
    """Why transaction a precedes b: `relations(a, b)` is its kind and a sentence, or None."""

    def __init__(self, txns: Table, orders: Orders) -> None:
        self._txns = txns
        self._o = orders
        self._micro = txns.history.micro
        self._append = txns.history.name_code("append")
        self._after, self._final = next_known(orders.begin, orders.order, orders.txn, txns.status)

    def __call__(self, a: int, b: int) -> tuple[int, str] | None:
        if FAIL in (self._txns.status[a], self._txns.status[b]):
            return None
        return self._ww(a, b) or self._wr(a, b) or self._rw(a, b)

    def _mops(self, txn: int, *, appends: bool) -> list[int]:
        span = range(int(self._txns.first[txn]), int(self._txns.last[txn]))
        return [j for j in span if (self._micro.f[j] == self._append) == appends]

    def _element(self, j: int) -> str:
        return plain(self._txns.history.atoms.decode(int(self._micro.arg[j])))

    def _key(self, j: int) -> str:
        return plain(self._txns.history.atoms.decode(int(self._micro.key[j])))

    def _known_before(self, key: int, place: int) -> int:
        """The last append known before a place of the key's order, −1 if none."""
        begin = int(self._o.begin[key])
        for at in range(begin + place - 1, max(begin, begin + place - LOOK_BACK) - 1, -1):
            j = int(self._o.order[at])
            if j >= 0 and self._txns.status[self._o.txn[j]] != FAIL:
                return j
        return -1

    def _ww(self, a: int, b: int) -> tuple[int, str] | None:
        o = self._o
        for j in self._mops(b, appends=True):
            if o.shared[j]:
                continue
            key, place = int(o.key[j]), int(o.place[j])
            unread = place < 0
            length = int(o.begin[key + 1] - o.begin[key])
            before = self._known_before(key, length if unread else place)
            if before >= 0 and o.txn[before] == a != b:
                new, old = self._element(j), self._element(before)
                how = (
                    f"{{b}} appended {new} to {self._key(j)}, which no read shows, so it came "
                    f"after {{a}}'s append of {old}, the last one that was read"
                    if unread
                    else f"{{b}} appended {new} to {self._key(j)} after {{a}} appended {old}"
                )
                return WW, how
        return None

    def _last_writer(self, j: int) -> int:
        """The append of a read's last element, −1 if unknown."""
        start = self._micro.element_start
        if start[j + 1] == start[j]:
            return -1
        o, micro = self._o, self._micro
        last = int(micro.elements[start[j + 1] - 1])
        w = int(find(o.slots, o.slot_begin, micro.arg, int(o.key[j]), last))
        return -1 if w < 0 or o.shared[w] else w

    def _wr(self, a: int, b: int) -> tuple[int, str] | None:
        for j in self._mops(b, appends=False):
            if self._o.seen[j] < ODD + 1 and self._o.seen[j] != ODD:
                continue
            w = self._last_writer(j)
            if w >= 0 and self._o.txn[w] == a != b:
                return WR, (
                    f"{{b}} (op {self._txns.index(b)}) read {self.read_text(j)}, which ends with "
                    f"{{a}}'s append of {self._element(w)}"
                )
        return None

    def read_text(self, j: int) -> str:
        """`x = [1 2]`."""
        _, key, value = micro_text(self._txns.history, j).split(" ", 2)
        return f"{key} = {value}"

    def _rw(self, a: int, b: int) -> tuple[int, str] | None:
        o = self._o
        for j in self._mops(a, appends=False):
            n, key = int(o.seen[j]), int(o.key[j])
            if n == ODD:
                w = self._last_writer(j)
                n = int(o.place[w]) + 1 if w >= 0 and o.place[w] >= 0 else -1
            if n < 0 or a == b:
                continue
            base = int(o.begin[key])
            following = int(self._after[base + key + n])
            if following >= 0 and following != b:
                continue
            for append in self._mops(b, appends=True):
                if o.key[append] != key or o.shared[append]:
                    continue
                place = int(o.place[append])
                if (following == b and place >= n) or (following < 0 and place < 0):
                    return RW, (
                        f"{{a}} (op {self._txns.index(a)}) read {self.read_text(j)}, which does "
                        f"not hold {{b}}'s append of {self._element(append)}"
                    )
        return None


def tell_findings(
    txns: Table, orders: Orders, findings: Findings
) -> tuple[dict[str, Callable[[], Anomaly]], dict[str, int]]:
    """How to tell each anomaly that needs no cycle, and how many instances it has."""
    teller = _Teller(txns, orders, findings)
    tell: dict[str, Callable[[], Anomaly]] = {}
    counts: dict[str, int] = {}
    for code, name in enumerate(NAMES):
        if findings.counts[code]:
            tell.setdefault(name, partial(teller.single, code))
            counts[name] = counts.get(name, 0) + int(findings.counts[code])
    if findings.lost_count:
        tell["lost-update"] = teller.lost
        counts["lost-update"] = findings.lost_count
    if findings.dirty_count:
        tell["dirty-update"] = teller.dirty
        counts["dirty-update"] = findings.dirty_count
    return tell, counts


class _Teller:
    def __init__(self, txns: Table, orders: Orders, findings: Findings) -> None:
        self._txns, self._o, self._findings = txns, orders, findings

    def single(self, code: int) -> Anomaly:
        """An anomaly of single reads: the first instance told, the next ones listed."""
        count = int(self._findings.counts[code])
        rows = self._findings.examples[code, : min(count, KEPT)].tolist()
        steps: list[str] = []
        ops: list[int] = []
        for t, j, other in rows:
            sentence, involved = (
                self._shuffled(t, j, other)
                if code == SHUFFLED
                else self._sentence(NAMES[code], t, j, other)
            )
            steps.append(sentence)
            if not ops:
                ops = [self._txns.index(i) for i in dict.fromkeys(involved)]
                steps += [txn_text(self._txns, i) for i in dict.fromkeys(involved)]
        first = steps[0] + ("" if count == 1 else f" ({count:,} such reads)")
        return Anomaly(NAMES[code], first, tuple(ops), tuple(steps), count)

    def _sentence(self, name: str, t: int, j: int, other: int) -> tuple[str, list[int]]:
        txns, history = self._txns, self._txns.history
        op = f"op {txns.index(t)}"
        what = f"[{micro_text(history, j)}]"
        owner = int(self._o.txn[other]) if other >= 0 else -1
        element = plain(history.atoms.decode(int(history.micro.arg[other]))) if other >= 0 else ""
        if name == "G1a":
            return (
                f"{op} read {what}, which holds {element}, appended by op {txns.index(owner)}, "
                "which failed",
                [owner, t],
            )
        if name == "G1b":
            return (
                f"{op} read {what}, which ends with {element}, an intermediate state: op "
                f"{txns.index(owner)} appended more to that key",
                [owner, t],
            )
        if name == "internal":
            before = f"[{micro_text(history, other)}]"
            return f"{op} did {before} and then {what}, which do not go together", [t]
        if name == "future-read":
            return f"{op} read an element that it appended only later, in {what}", [t]
        if name == "duplicate-elements":
            return f"{op} read {what}, in which an element stands twice", [t]
        if name == "incompatible-order":
            return (
                f"{op} read {what}, but op {txns.index(owner)} read "
                f"[{micro_text(history, other)}]: neither is a prefix of the other",
                [owner, t],
            )
        return f"{op} read {what}, in which an element stands that nobody appended", [t]

    def _shuffled(self, t: int, j: int, before: int) -> tuple[str, list[int]]:
        micro = self._txns.history
        reader = int(self._o.txn[self._o.longest[self._o.key[j]]])
        return (
            f"op {self._txns.index(t)} did [{micro_text(micro, before)}] and then "
            f"[{micro_text(micro, j)}], but op {self._txns.index(reader)} read "
            f"[{micro_text(micro, int(self._o.longest[self._o.key[j]]))}], where the second stands "
            "without the first before it",
            [t, reader],
        )

    def lost(self) -> Anomaly:
        """Transactions that read the same version of a key and then appended to it."""
        steps: list[str] = []
        for key, length, members in self._findings.lost:
            mine = ", ".join(f"op {self._txns.index(t)}" for t in members)
            name = self._key_name(key, members[0])
            state = "when it was empty" if length == 0 else f"when it held {length} elements"
            steps.append(f"{mine} all read {name} {state} and then appended to it")
            if len(steps) == 1:
                steps += [txn_text(self._txns, t) for t in members]
        count = self._findings.lost_count
        ops = tuple(self._txns.index(t) for t in self._findings.lost[0][2])
        return Anomaly(
            "lost-update", steps[0] + ": one update may be lost", ops, tuple(steps), count
        )

    def _key_name(self, key: int, txn: int) -> str:
        micro = self._txns.history.micro
        for j in range(int(self._txns.first[txn]), int(self._txns.last[txn])):
            if self._o.key[j] == key:
                return plain(self._txns.history.atoms.decode(int(micro.key[j])))
        return f"key number {key}"

    def dirty(self) -> Anomaly:
        """A committed append that stands on an aborted one."""
        steps: list[str] = []
        ops: tuple[int, ...] = ()
        history = self._txns.history
        for _, aborted, committed in self._findings.dirty:
            a, b = int(self._o.txn[aborted]), int(self._o.txn[committed])
            steps.append(
                f"op {self._txns.index(b)} committed [{micro_text(history, committed)}] on top of "
                f"[{micro_text(history, aborted)}] by op {self._txns.index(a)}, which failed"
            )
            if not ops:
                ops = (self._txns.index(a), self._txns.index(b))
                steps += [txn_text(self._txns, t) for t in (a, b)]
        return Anomaly("dirty-update", steps[0], ops, tuple(steps), self._findings.dirty_count)


def memory_estimate(txns: Table) -> int:
    """Bytes that checking this history takes beside the history itself, roughly."""
    micro = len(txns.history.micro.f)
    per_micro = 4 * 4 + 2 + 24 + 8
    return int(micro * per_micro + len(txns) * 60 + np.int64(1 << 22))
