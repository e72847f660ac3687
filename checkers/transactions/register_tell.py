"""Telling anomalies over registers: why one transaction precedes another, and what one read
shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from seatrial.checkers.transactions.edges import RW, WR, WW
from seatrial.checkers.transactions.register_order import SOURCES, Cyclic, Order
from seatrial.checkers.transactions.register_versions import (
    EXTERNAL_READ,
    EXTERNAL_WRITE,
    KEPT,
    NAMES,
    Seen,
    Versions,
)
from seatrial.checkers.transactions.table import OK, Table, micro_text, plain, txn_text
from seatrial.verdict import Anomaly

_SOURCE_TEXT = {
    "wfr": "a transaction read the one and wrote the other",
    "sequential": "one process met them in this order",
    "linearizable": "they were met one after the other in real time",
}
#: Transactions of one lost update that are named.
GROUP_SHOWN = 6


class RegisterRelations:
    """Why transaction a precedes b: `relations(a, b)` is its kind and a sentence, or None."""

    def __init__(self, txns: Table, v: Versions, order: Order, writer: object) -> None:
        self._txns, self._v = txns, v
        self._writer = np.asarray(writer)
        codes = order.before.astype(np.int64) * max(len(v), 1) + order.after
        at = np.argsort(codes, kind="stable")
        self._pairs, self._origin = codes[at], order.origin[at]

    def __call__(self, a: int, b: int) -> tuple[int, str] | None:
        if a == b:
            return None
        return self._ww(a, b) or self._wr(a, b) or self._rw(a, b)

    def _mops(self, txn: int, role: int) -> list[int]:
        span = range(int(self._txns.first[txn]), int(self._txns.last[txn]))
        return [j for j in span if self._v.role[j] == role and self._v.of[j] >= 0]

    def version_text(self, version: int) -> str:
        """`x = 1`."""
        history = self._txns.history
        j = int(self._v.mop[version])
        if j < 0:
            return "the initial state"
        key = plain(history.atoms.decode(int(history.micro.key[j])))
        return f"{key} = {plain(history.atoms.decode(int(history.micro.arg[j])))}"

    def _why(self, before: int, after: int) -> str | None:
        """Which source puts one version before another; None if none does directly."""
        if self._v.key[before] != self._v.key[after] or before == after:
            return None
        if before < self._v.keys:
            return "the initial state precedes every value"
        code = before * len(self._v) + after
        i = int(np.searchsorted(self._pairs, code))
        if i == len(self._pairs) or self._pairs[i] != code:
            return None
        return _SOURCE_TEXT[SOURCES[int(self._origin[i])]]

    def _ww(self, a: int, b: int) -> tuple[int, str] | None:
        for i in self._mops(a, EXTERNAL_WRITE):
            for j in self._mops(b, EXTERNAL_WRITE):
                v, w = int(self._v.of[i]), int(self._v.of[j])
                why = self._why(v, w)
                if self._writer[v] == a and self._writer[w] == b and why is not None:
                    return WW, (
                        f"{{a}} wrote {self.version_text(v)} and {{b}} wrote "
                        f"{self.version_text(w)}, which came later ({why})"
                    )
        return None

    def _wr(self, a: int, b: int) -> tuple[int, str] | None:
        if self._txns.status[b] != OK:
            return None
        for j in self._mops(b, EXTERNAL_READ):
            v = int(self._v.of[j])
            if self._writer[v] == a:
                text = self.version_text(v)
                return WR, f"{{b}} (op {self._txns.index(b)}) read {text}, which {{a}} wrote"
        return None

    def _rw(self, a: int, b: int) -> tuple[int, str] | None:
        if self._txns.status[a] != OK:
            return None
        for i in self._mops(a, EXTERNAL_READ):
            for j in self._mops(b, EXTERNAL_WRITE):
                v, w = int(self._v.of[i]), int(self._v.of[j])
                why = self._why(v, w)
                if self._writer[w] == b and why is not None:
                    return RW, (
                        f"{{a}} (op {self._txns.index(a)}) read {self.version_text(v)} and {{b}} "
                        f"wrote {self.version_text(w)}, which came later ({why})"
                    )
        return None


def tell_seen(
    txns: Table, v: Versions, seen: Seen, cyclic: tuple[Cyclic, ...], relations: RegisterRelations
) -> tuple[dict[str, Callable[[], Anomaly]], dict[str, int]]:
    """How to tell each anomaly that needs no cycle of transactions, and how many there are."""
    tell: dict[str, Callable[[], Anomaly]] = {}
    counts: dict[str, int] = {}
    for code, name in enumerate(NAMES):
        if seen.counts[code]:
            tell[name] = partial(_single, txns, v, seen, code)
            counts[name] = int(seen.counts[code])
    lost = int(np.count_nonzero(seen.updates >= 2))
    if lost:
        tell["lost-update"] = partial(_lost, txns, v, seen, relations)
        counts["lost-update"] = lost
    if cyclic:
        tell["cyclic-versions"] = partial(_cyclic, txns, v, cyclic, relations)
        counts["cyclic-versions"] = sum(c.keys for c in cyclic)
    return tell, counts


def _single(txns: Table, v: Versions, seen: Seen, code: int) -> Anomaly:
    count = int(seen.counts[code])
    steps: list[str] = []
    ops: list[int] = []
    for t, j, other in seen.examples[code, : min(count, KEPT)].tolist():
        owner = int(v.txn[other]) if other >= 0 else t
        steps.append(_sentence(txns, NAMES[code], t, j, other, owner))
        if not ops:
            involved = list(dict.fromkeys([owner, t]))
            ops = [txns.index(i) for i in involved]
            steps += [txn_text(txns, i) for i in involved]
    first = steps[0] + ("" if count == 1 else f" ({count:,} such reads)")
    return Anomaly(NAMES[code], first, tuple(ops), tuple(steps), count)


def _sentence(txns: Table, name: str, t: int, j: int, other: int, owner: int) -> str:
    op, what = f"op {txns.index(t)}", f"[{micro_text(txns.history, j)}]"
    if name == "G1a":
        return f"{op} read {what}, written by op {txns.index(owner)}, which failed"
    if name == "G1b":
        return (
            f"{op} read {what}, an intermediate state: op {txns.index(owner)} wrote that key again"
        )
    if name == "internal":
        before = f"[{micro_text(txns.history, other)}]"
        return f"{op} did {before} and then {what}, which do not go together"
    if name == "future-read":
        return f"{op} read {what}, which it wrote only later"
    return f"{op} read {what}, a value that nobody wrote, though that key held something else first"


def _lost(txns: Table, v: Versions, seen: Seen, relations: RegisterRelations) -> Anomaly:
    worst = np.argsort(-seen.updates, kind="stable")[:KEPT]
    steps: list[str] = []
    ops: tuple[int, ...] = ()
    for version in worst[seen.updates[worst] >= 2].tolist():
        members = _updaters(txns, v, version)
        mine = ", ".join(f"op {txns.index(t)}" for t in members)
        steps.append(f"{mine} all read {relations.version_text(version)} and then wrote that key")
        if not ops:
            ops = tuple(txns.index(t) for t in members)
            steps += [txn_text(txns, t) for t in members]
    count = int(np.count_nonzero(seen.updates >= 2))
    return Anomaly("lost-update", f"{steps[0]}: one update may be lost", ops, tuple(steps), count)


def _updaters(txns: Table, v: Versions, version: int) -> list[int]:
    reads = np.flatnonzero((v.of == version) & (v.role == EXTERNAL_READ))
    out: list[int] = []
    for t in v.txn[reads].tolist():
        span = slice(int(txns.first[t]), int(txns.last[t]))
        writes = (v.role[span] == EXTERNAL_WRITE) & (v.of[span] >= 0)
        if txns.status[t] == OK and (v.key[v.of[span][writes]] == v.key[version]).any():
            out.append(int(t))
        if len(out) == GROUP_SHOWN:
            break
    return out


def _cyclic(
    txns: Table, v: Versions, cyclic: tuple[Cyclic, ...], relations: RegisterRelations
) -> Anomaly:
    """Versions of a key that would each precede the other."""
    steps: list[str] = []
    for found in cyclic:
        values = " < ".join(relations.version_text(i) for i in (*found.versions, found.versions[0]))
        sources = ", ".join(found.sources)
        steps.append(
            f"the versions of {found.keys:,} keys run in a circle by {sources}: "
            f"for instance {values}"
        )
    first = cyclic[0].versions
    ops: list[int] = []
    for version in first:
        j = int(v.mop[version])
        if j >= 0:
            t = int(v.txn[j])
            ops.append(txns.index(t))
            steps.append(f"{relations.version_text(version)}: {txn_text(txns, t)}")
    count = sum(found.keys for found in cyclic)
    return Anomaly(
        "cyclic-versions",
        steps[0][0].upper() + steps[0][1:] + ".",
        tuple(dict.fromkeys(ops)),
        tuple(steps),
        count,
    )
