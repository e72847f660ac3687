"""A store's texts as a register: what each get shows fixes when the appends before it happened.

If no text that is appended is a prefix of another, every text that a get returns can be cut into
pieces in one way only: a put (or nothing), then appends in the order in which they took effect. An
append happens at most once, so the piece before it is always the same one and the state after it
can be named by it alone. That makes it a compare-and-set from the piece before to itself. An append
that no get shows can only have been followed by a put or a delete before the next get: it is a
write that nobody read. So the key is a register, exactly, and is judged as one in O(n log n)
comparisons of texts (Gibbons and Korach 1997 for unique values, else the search over numbers). The
idea that a list read back tells the order of its writes is Elle's (Kingsbury and Alvaro 2020).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from seatrial.checkers.linearizable import frontier
from seatrial.checkers.linearizable.calls import Calls
from seatrial.checkers.linearizable.family import Family, Reduced, pure_mask
from seatrial.checkers.linearizable.scalars import SCALAR_PURE
from seatrial.checkers.linearizable.search import Machine
from seatrial.checkers.linearizable.zones import judge_zones
from seatrial.history import NIL
from seatrial.op import Value

APPEND, DELETE, GET, PUT = range(4)
#: The first of the states that nobody can have written; the others are below.
_GARBAGE = -(2**62)

Text = str | int


def as_register(calls: Calls, opcodes: tuple[int, ...], initial: Value) -> Reduced | None:
    """The calls of a store (`opcodes[op]` says which of the four each is) as a register's.

    Keys whose texts cannot be cut in one way only are left out. O(text) time.
    """
    if initial is not None and not _is_text(initial):
        return None
    texts: dict[int, Text | None] = {}
    for code in np.unique(calls.a).tolist():
        value = "" if code == NIL else calls.decode(code)
        texts[code] = value if _is_text(value) else None  # type: ignore[assignment]  # just asked
    start = NIL if initial in (None, "") else calls.history.atoms.encode(initial)
    texts[start] = "" if start == NIL else initial  # type: ignore[assignment]  # just asked
    rows = _Rows([opcodes[op] for op in calls.op.tolist()], calls.a.tolist(), texts, start)
    ends = calls.start.tolist()
    keys = np.array([rows.reduce(low, high) for low, high in pairwise(ends)], np.bool_)
    op = np.array(rows.op, np.uint8)
    a, b = np.array(rows.a, np.int64), np.array(rows.b, np.int64)
    return Reduced(_register(start), replace(calls, op=op, a=a, b=b), keys)


def _is_text(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def _register(start: int) -> Family:
    return Family(
        "kv", {}, lambda calls: Machine(pure_mask(calls, SCALAR_PURE), start),
        lambda calls: judge_zones(calls, start),
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Pieces:
    """What one key's texts are made of: state codes by text, and all of them in order."""

    firsts: dict[str, int]
    appended: dict[str, int]
    known: list[str]
    longest: int


class _Rows:
    """The columns of the register, filled key by key."""

    __slots__ = ("a", "asked", "b", "f", "op", "start", "texts")

    def __init__(
        self, f: list[int], a: list[int], texts: dict[int, Text | None], start: int
    ) -> None:
        self.f, self.asked, self.texts, self.start = f, a, texts, start
        self.op = [frontier.READ] * len(f)
        self.a = [NIL if texts[code] == "" else code for code in a]
        self.b = [NIL] * len(f)

    def reduce(self, low: int, high: int) -> bool:
        """Rewrite the calls of one key; False if they are not of the kind that can be."""
        f, asked, texts = self.f, self.asked, self.texts
        appends = []
        for c in range(low, high):
            if texts[asked[c]] is None and f[c] != DELETE:
                return False
            if f[c] == APPEND:
                appends.append(c)
            elif f[c] != GET:
                self.op[c] = frontier.WRITE
                if f[c] == DELETE:
                    self.a[c] = NIL
        if not appends:
            return True
        pieces = self._pieces(low, high, len(appends))
        if pieces is None:
            return False
        self._order(low, high, pieces, appends)
        return True

    def _pieces(self, low: int, high: int, appends: int) -> _Pieces | None:
        """None unless each append is unique and no piece begins another."""
        f, asked, texts = self.f, self.asked, self.texts
        firsts: dict[str, int] = {}
        appended: dict[str, int] = {}
        for code, verb in {(self.start, PUT), *zip(asked[low:high], f[low:high], strict=True)}:
            text = texts[code]
            if verb == DELETE or (verb == PUT and text == ""):
                continue
            if not isinstance(text, str):
                return None
            if verb == PUT:
                firsts[text] = code
            elif verb == APPEND:
                appended[text] = code
        known = sorted([*firsts, *appended])
        if len(appended) < appends or "" in appended:
            return None
        if any(later.startswith(piece) for piece, later in pairwise(known)):
            return None
        return _Pieces(firsts, appended, known, max(map(len, known)))

    def _order(self, low: int, high: int, pieces: _Pieces, appends: list[int]) -> None:
        """Appends that a get shows follow what stands before them; reads name their last piece."""
        f, asked = self.f, self.asked
        gets = [c for c in range(low, high) if f[c] == GET]
        seen = {str(self.texts[asked[c]]) for c in gets}
        before: dict[int, int] = {}
        states: dict[Text | None, int] = {}
        last, state = "", NIL
        # In order of the alphabet a text comes right after those that it begins with.
        for text in sorted(seen):
            at = len(last) if text.startswith(last) else 0
            found = _cut(text, at, state if at else NIL, pieces, before)
            if found is None:
                states[text] = _GARBAGE - len(states)
            else:
                last, state = text, found
                states[text] = found
        for c in gets:
            self.a[c] = states[self.texts[asked[c]]]
        for c in appends:
            piece = asked[c]
            if piece in before:
                self.op[c], self.a[c], self.b[c] = frontier.CAS, before[piece], piece
            else:
                self.op[c] = frontier.WRITE


def _cut(text: str, at: int, state: int, pieces: _Pieces, before: dict[int, int]) -> int | None:
    """The state after `text`, whose first `at` letters lead to `state`; None if nothing does.

    Notes in `before` what each appended piece came after.
    """
    known, longest = pieces.known, pieces.longest
    while at < len(text):
        window = text[at : at + longest]
        place = bisect_right(known, window) - 1
        if place < 0 or not window.startswith(known[place]):
            return None
        piece = known[place]
        code = pieces.appended.get(piece)
        if code is None:
            if at:
                return None
            code = pieces.firsts[piece]
        elif before.setdefault(code, state) != state:
            return None
        at += len(piece)
        state = code
    return state
