"""What went wrong with one key, told to a person: the anomaly's name, sentence and steps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from seatrial.checkers.linearizable import frontier
from seatrial.checkers.linearizable.calls import PENDING, UNSEEN, Calls
from seatrial.checkers.linearizable.family import Family
from seatrial.checkers.linearizable.picture import draw
from seatrial.checkers.linearizable.witness import Witness
from seatrial.history import NIL
from seatrial.verdict import Anomaly

_STEPS_MAX = 40
_READERS_MAX = 40


def op_index(calls: Calls, c: int) -> int:
    """The index by which a call is named: its completion's, or its invocation's if it has none."""
    res = int(calls.res[c])
    row = res if res < PENDING and res < len(calls.history) else int(calls.inv[c])
    return int(calls.history.index[row])


def what(calls: Calls, c: int) -> str:
    """A call in words, without who did it: `read of 4`, `write of 5`, `cas of 1 → 2`."""
    history = calls.history
    f = history.names[int(history.f[calls.inv[c]])]
    a, b = int(calls.a[c]), int(calls.b[c])
    value = history.value(int(calls.inv[c]))
    if calls.res[c] < PENDING:
        answer = history.value(int(calls.res[c]))
        value = answer if answer is not None or a == NIL else value
    if f in ("cas", "compare-and-set"):
        return f"{f} of {_text(calls, a)} → {_text(calls, b)}" if b != NIL else f"{f} of {value}"
    if a == UNSEEN or (value is None and f not in ("read", "r", "get", "write", "w", "put")):
        return f
    return f"{f} of {'nil' if value is None else value}"


def _text(calls: Calls, code: int) -> str:
    value = calls.decode(code)
    return "nil" if value is None else str(value)


def named(calls: Calls, c: int) -> str:
    """A call in words: `read of 4 by process 7 (op 812)`."""
    return f"{what(calls, c)} by process {int(calls.process[c])} (op {op_index(calls, c)})"


def tell(family: Family, witness: Witness) -> Anomaly:
    """The anomaly of one key, with its picture."""
    name, sentence, culprit = _cause(family, witness)
    key = witness.whole.keys[0] if len(witness.whole.keys) else NIL
    if key != NIL:
        sentence = f"key {_text(witness.whole, int(key))}: {sentence}"
    if not witness.minimal:
        sentence += " (shown is what was left when the time for making it smaller was up)"
    calls = witness.calls
    return Anomaly(
        name,
        sentence,
        ops=tuple(sorted(op_index(calls, c) for c in range(len(calls)))),
        steps=tuple(_steps(calls, culprit)),
        picture=draw(calls, culprit, lambda c: what(calls, c)),
    )


def _cause(family: Family, witness: Witness) -> tuple[str, str, int]:
    calls, culprit = witness.calls, witness.culprit
    if family.chains:
        for c in _readers(calls, culprit):
            told = _never_written(family, witness, c) or _stale(family, witness, c)
            if told:
                return (*told, c)
    elif family.takes:
        told = _taken_wrong(family, witness)
        if told:
            return (*told, culprit)
    if culprit < 0:
        first = named(calls, 0) if len(calls) else "this key"
        return "nonlinearizable", f"no order of these {len(calls)} ops from {first} on is legal", -1
    could = " or ".join(witness.states) if witness.states else "nothing that allows it"
    return (
        "nonlinearizable",
        f"{named(calls, culprit)} cannot be placed: with all that had completed before it ended, "
        f"the {family.name} could only be {could}",
        culprit,
    )


def _readers(calls: Calls, culprit: int) -> Iterable[int]:
    """Calls that tell what they saw, the culprit first."""
    reads = np.flatnonzero(
        ((calls.op == frontier.READ) | (calls.op == frontier.CAS)) & (calls.res < PENDING)
    ).tolist()
    first = [c for c in reads if c == culprit]
    return first + [c for c in reads if c != culprit][:_READERS_MAX]


def _written(calls: Calls, value: int) -> list[int]:
    """The calls that may have written `value`."""
    wrote = (calls.op == frontier.WRITE) & (calls.a == value)
    swapped = (calls.op == frontier.CAS) & (calls.b == value)
    return np.flatnonzero(wrote | swapped).tolist()


def _never_written(family: Family, witness: Witness, c: int) -> tuple[str, str] | None:
    calls, whole = witness.calls, witness.whole
    value = int(calls.a[c])
    if value == family.machine(calls).initial:
        return None
    writers = _written(whole, value)
    own = calls.op[c] == frontier.CAS and calls.a[c] == calls.b[c]
    if not writers or (own and len(writers) == 1):
        return "garbage-read", f"{named(calls, c)} saw a value that nobody had written"
    began = [w for w in writers if whole.inv[w] < calls.res[c]]
    if not began:
        first = min(writers, key=lambda w: int(whole.inv[w]))
        return (
            "future-read",
            f"{named(calls, c)} ended before the only {named(whole, first)} had begun",
        )
    return None


def _stale(family: Family, witness: Witness, c: int) -> tuple[str, str] | None:
    """A value seen after another, surely newer one had surely been there.

    Let every write of v that began before the read ended have ended by T (if there is one only,
    T may be the end of any op that saw v). An op that began after T, saw or wrote u ≠ v and ended
    before the read began proves that v was gone, and nothing can have brought it back.
    """
    calls, whole = witness.calls, witness.whole
    value = int(calls.a[c])
    begin, end = int(calls.inv[c]), int(calls.res[c])
    writers = [w for w in _written(whole, value) if whole.inv[w] < end]
    initial = value == family.machine(calls).initial
    last = max((int(whole.res[w]) for w in writers), default=-1)
    if len(writers) == 1 and not initial:
        others = (whole.op == frontier.READ) & (whole.a == value) & (whole.inv != begin)
        last = min(last, int(whole.res[others].min(initial=last)))
    if last >= begin:
        return None
    newer = _newer(whole, value, last, begin)
    if newer < 0:
        return None
    old = "it is the initial value"
    if writers:
        by = writers[-1]
        old = f"it was written before that, by process {int(whole.process[by])} "
        old += f"(op {op_index(whole, by)})"
    shown = "had been acknowledged" if whole.op[newer] != frontier.READ else "had completed"
    return (
        "stale-read",
        f"{named(calls, c)} began after the {named(whole, newer)} {shown}, and "
        f"{_text(calls, value)} is older: {old}",
    )


def _newer(whole: Calls, value: int, last: int, begin: int) -> int:
    """The last call to end before `begin` that had another value after `last`; −1: none."""
    ended = whole.res < begin
    wrote = (whole.op == frontier.WRITE) & (whole.a != value)
    swapped = (whole.op == frontier.CAS) & (whole.b != value)
    saw = (whole.op == frontier.READ) & (whole.a != value)
    for mask in (wrote | swapped, saw):
        some = np.flatnonzero(mask & ended & (whole.inv > last))
        if len(some):
            return int(some[np.argmax(whole.res[some])])
    for c in np.flatnonzero(saw & ended)[::-1].tolist():
        writers = _written(whole, int(whole.a[c]))
        if len(writers) == 1 and whole.inv[writers[0]] > last:
            return int(c)
    return -1


def _taken_wrong(family: Family, witness: Witness) -> tuple[str, str] | None:
    """Queues and stacks: taken but never put, taken twice, put and gone."""
    calls, whole = witness.calls, witness.whole
    took = np.isin(calls.op, family.takes) & (calls.a != NIL) & (calls.res < PENDING)
    gone = np.isin(whole.op, family.takes) & (whole.res < PENDING)
    put = np.isin(calls.op, family.puts)
    for c in np.flatnonzero(took).tolist():
        same = whole.a == calls.a[c]
        puts = np.flatnonzero(same & np.isin(whole.op, family.puts))
        takes = np.flatnonzero(same & np.isin(whole.op, family.takes) & (whole.res < PENDING))
        if not len(puts):
            return "garbage-read", f"{named(calls, c)} took what nobody had put in"
        if len(takes) > len(puts):
            return (
                "duplicate",
                f"{_text(calls, int(calls.a[c]))} was put in {len(puts)}× and taken {len(takes)}×: "
                + ", ".join(named(whole, t) for t in takes[:3].tolist()),
            )
    for c in np.flatnonzero(put & (calls.res < PENDING)).tolist():
        if not (gone & (whole.a == calls.a[c])).any():
            other = witness.culprit if witness.culprit >= 0 and witness.culprit != c else -1
            after = f" although {named(calls, other)} must have found it" if other >= 0 else ""
            return "lost", f"what the {named(calls, c)} put in was not there any more{after}"
    return None


def _steps(calls: Calls, culprit: int) -> Iterable[str]:
    order = np.argsort(calls.inv).tolist()
    for c in order[:_STEPS_MAX]:
        index = int(calls.history.index[calls.inv[c]])
        end = "never seen to end"
        if calls.res[c] < PENDING:
            end = f"ended at op {int(calls.history.index[calls.res[c]])}"
        mark = " ← cannot be placed" if c == culprit else ""
        yield f"process {int(calls.process[c])}: {what(calls, c)}, began at op {index}, {end}{mark}"
    if len(order) > _STEPS_MAX:
        yield f"… and {len(order) - _STEPS_MAX} more"
