"""Bank: transfers between accounts, and reads that must always show the same total.

Each `ok` `read` is a map from account to balance, one snapshot. Snapshot isolation keeps the sum
of all balances constant (Jepsen, `tests/bank.clj`). Per snapshot, the first of these that holds:
`unexpected-key` (an account that is none), `nil-balance`, `wrong-total`, `negative-value`
(unless negative balances are allowed).

Accounts and total come from the options; where they are not given they are taken from the first
read, as elle-cli does, and the cause says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.settings import number
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote, values
from seatrial.errors import UsageError
from seatrial.history import NIL, History, Kind
from seatrial.history.columns import ATOM_BASE, I64, Bool
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict

NAME = "bank"


@dataclass(frozen=True, slots=True)
class Bank:
    """`accounts` and `total`: what is right; None means as in the first read."""

    accounts: tuple[int | str, ...] | None = None
    total: float | None = None
    negative_balances: bool = False
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n) for n balances read."""
        return keyed.judge(history, self._check)

    def _check(self, history: History) -> Verdict:
        reads = _reads(history)
        if not len(reads.row):
            return reads.malformed or Verdict.unknown("no ok read to judge")
        accounts = self._accounts(history, reads)
        total = self.total if self.total is not None else float(_sums(reads)[0])
        found = _classify(reads, accounts, total, self.negative_balances)
        source = "given" if self.total is not None else f"as in op {history.index[reads.row[0]]}"
        details: dict[str, Json] = {"reads": len(reads.row), "total": total, "total_from": source}
        anomalies = [
            _anomaly(history, reads, name, mask, total, accounts)
            for name, mask in found.items()
            if mask.any()
        ]
        if anomalies:
            details["errors"] = {name: int(mask.sum()) for name, mask in found.items()}
            first = min(anomalies, key=lambda anomaly: anomaly.ops[0])
            cause = f"{first.explanation} (total {source})"
            return Verdict.invalid(
                cause, judged=len(reads.row), anomalies=anomalies, details=details
            )
        if reads.malformed is not None:
            return reads.malformed
        return Verdict.valid(
            f"{count(len(reads.row), 'read')} show a total of {total:g} ({source})",
            judged=len(reads.row),
            details=details,
        )

    def _accounts(self, history: History, reads: _Reads) -> I64:
        if self.accounts is None:
            return np.unique(reads.account[: reads.start[1]])
        return np.array([history.atoms.encode(account) for account in self.accounts], np.int64)


def make(options: CheckOptions) -> Bank:
    """The checker; options: `accounts` (a list), `total` (a number), and negative balances."""
    given = options.extra.get("accounts")
    accounts: tuple[int | str, ...] | None = None
    if given is not None:
        items = tuple(given) if isinstance(given, (list, tuple)) else ()
        accounts = tuple(item for item in items if isinstance(item, (int, str)))
        if not accounts or len(accounts) != len(items):
            raise UsageError(
                f"checker 'bank': option 'accounts' is {given!r}, which is not a list of "
                "accounts\n\nhint: give a list of numbers or texts, such as [0, 1, 2]"
            )
    return Bank(accounts, number(options, NAME, "total"), options.negative_balances)


@dataclass(frozen=True, slots=True)
class _Reads:
    """Snapshots: the i-th holds `account[start[i]:start[i+1]]` and `balance[...]`."""

    row: I64
    start: I64
    account: I64
    balance: I64
    malformed: Verdict | None


def _reads(history: History) -> _Reads:
    rows = np.flatnonzero(history.client & history.is_f("read") & (history.type == Type.OK))
    size = history.element_start[rows + 1] - history.element_start[rows]
    good = (history.kind[rows] == Kind.MAP) | ((history.kind[rows] == Kind.LIST) & (size == 0))
    parts = [_pairs(history, rows[good])]
    start, account, balance = parts[0]
    strange = (balance >= ATOM_BASE) & (balance != NIL)
    bad = rows[~good].tolist()
    if strange.any():
        at = int(np.searchsorted(start, int(np.flatnonzero(strange)[0]), side="right")) - 1
        bad.append(int(rows[good][at]))
    malformed = None
    if bad:
        said = f"{quote(history, bad[0])} is no map from accounts to whole balances"
        malformed = Verdict.unknown(said, judged=len(rows) - len(bad))
    if strange.any():
        return _Reads(rows[:0], start[:1], account[:0], balance[:0], malformed)
    return _Reads(rows[good], start, account, balance, malformed)


def _pairs(history: History, rows: I64) -> tuple[I64, I64, I64]:
    begin, end = history.element_start[rows], history.element_start[rows + 1]
    start = np.zeros(len(rows) + 1, np.int64)
    np.cumsum((end - begin) // 2, out=start[1:])
    flat = np.arange(int(start[-1]), dtype=np.int64) - np.repeat(start[:-1], np.diff(start))
    at = np.repeat(begin, np.diff(start)) + 2 * flat
    return start, history.elements[at], history.elements[at + 1]


def _sums(reads: _Reads, weights: I64 | None = None) -> I64:
    """Sum over each snapshot; null counts as nothing."""
    values = np.where(reads.balance == NIL, 0, reads.balance) if weights is None else weights
    running = np.concatenate([[0], np.cumsum(values)])
    out: I64 = running[reads.start[1:]] - running[reads.start[:-1]]
    return out


def _classify(reads: _Reads, accounts: I64, total: float, negative_ok: bool) -> dict[str, Bool]:
    """For each class of error, which snapshots have it; a snapshot has at most one."""
    unknown = _sums(reads, (~np.isin(reads.account, accounts)).astype(np.int64)) > 0
    nil = _sums(reads, (reads.balance == NIL).astype(np.int64)) > 0
    wrong = _sums(reads) != total
    below = (reads.balance < 0) & (reads.balance != NIL)
    negative = _sums(reads, below.astype(np.int64)) > 0
    if negative_ok:
        negative[:] = False
    return {
        "unexpected-key": unknown,
        "nil-balance": nil & ~unknown,
        "wrong-total": wrong & ~unknown & ~nil,
        "negative-value": negative & ~unknown & ~nil & ~wrong,
    }


def _anomaly(
    history: History, reads: _Reads, name: str, mask: Bool, total: float, accounts: I64
) -> Anomaly:
    which = np.flatnonzero(mask)
    first = int(which[0])
    span = slice(int(reads.start[first]), int(reads.start[first + 1]))
    account, balance = reads.account[span], reads.balance[span]
    said = {
        "unexpected-key": ("accounts that are none: ", account[~np.isin(account, accounts)]),
        "nil-balance": ("no balance for account ", account[balance == NIL]),
        "negative-value": ("a negative balance on account ", account[(balance < 0)]),
    }
    if name == "wrong-total":
        what = f"a total of {int(_sums(reads)[first]):,} instead of {total:g}"
    else:
        text, codes = said[name]
        what = text + values(history, codes)
    more = "" if len(which) == 1 else f"; so do {count(len(which) - 1, 'more read')}"
    return Anomaly(
        name,
        f"{quote(history, int(reads.row[first]))} shows {what}{more}",
        ops=indexes(history, reads.row[which[:EXAMPLES_MAX]].tolist()),
        count=len(which),
    )
