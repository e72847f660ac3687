"""A store's history replayed in the order in which it was seen: a witness, where that is one.

Most histories of a store are linearizable in the plainest order: an update takes effect when it
ends, or earlier when a get that ends shows it; a get takes effect while what it shows stands. If
this order explains every get, each op took effect at one instant between its invocation and its
completion, and that is linearizability (Herlihy and Wing 1990). If not, nothing is said. One pass
over the rows in plain Python: for histories so small that a dozen calls of NumPy cost more.
"""

from __future__ import annotations

from seatrial.history import History
from seatrial.history.columns import ATOM_BASE, Kind
from seatrial.op import NEMESIS, Type, Value

#: Bigger histories gain nothing from the short way.
ROWS_MAX = 4096

_GET, _DELETE, _PUT, _APPEND, _UNKNOWN = range(5)
_VERBS = {
    "append": _APPEND, "delete": _DELETE, "get": _GET, "read": _GET, "put": _PUT, "write": _PUT,
}  # fmt: skip
_INVOKE, _OK, _FAIL = int(Type.INVOKE), int(Type.OK), int(Type.FAIL)
_NIL = int(Kind.NIL)
_NEVER = -1


def replay(history: History, initial: Value) -> tuple[int, int] | None:
    """How many ok ops on how many keys the plain order explains; None if it does not explain all.

    Also None for whatever is not a small history of texts: it says nothing then. O(text).
    """
    if len(history) > ROWS_MAX or not (initial is None or isinstance(initial, str)):
        return None
    texts = _texts(history)
    if texts is None:
        return None
    verbs = [_VERBS.get(name, _UNKNOWN) for name in history.names]
    verb = [verbs[f] for f in history.f.tolist()]
    if _UNKNOWN in verb:
        return None
    if _DELETE in verb:
        texts = ["" if v == _DELETE else text for v, text in zip(verb, texts, strict=True)]
    return _Store(verb, history.key.tolist(), texts, initial or "").judge(history)


def _texts(history: History) -> list[str] | None:
    """The text that each row carries, empty for nil; None if one carries anything else."""
    values = history.atoms.values
    out: list[str] = []
    for kind, code in zip(history.kind.tolist(), history.atom.tolist(), strict=True):
        text = values[code - ATOM_BASE] if code >= ATOM_BASE else "" if kind == _NIL else None
        if not isinstance(text, str):
            return None
        out.append(text)
    return out


class _Store:
    """What stands where as the rows go by. An update is named by the row of its invocation.

    `text` is what each key holds, `stood_until` the row at which a key ceased to hold a text,
    `early` the updates that took effect before they ended, `opened` the row at which each process
    began, `lost` the updates of which nobody knows.
    """

    __slots__ = ("early", "key", "lost", "opened", "stood_until", "text", "value", "verb")

    def __init__(self, verb: list[int], key: list[int], value: list[str], initial: str) -> None:
        self.verb, self.key = verb, key
        self.value = value
        self.text: dict[int, str] = dict.fromkeys(key, initial)
        self.stood_until: dict[tuple[int, str], int] = {}
        self.early: set[int] = set()
        self.opened: dict[int, int] = {}
        self.lost: list[int] = []

    def judge(self, history: History) -> tuple[int, int] | None:
        """Let the rows go by; None where the plain order cannot explain one."""
        verb, key, text, value = self.verb, self.key, self.text, self.value
        opened, early, stood_until = self.opened, self.early, self.stood_until
        ended: list[int] = []
        rows = zip(history.process.tolist(), history.type.tolist(), strict=True)
        for row, (process, kind) in enumerate(rows):
            if process == NEMESIS:
                continue
            if kind == _INVOKE:
                if process in opened or (verb[row] > _DELETE and not value[row]):
                    return None
                opened[process] = row
                continue
            began = opened.pop(process, None)
            if began is None:
                return None
            if kind != _OK:
                if not self._ends_badly(began, kind):
                    return None
                continue
            ended.append(began)
            name = key[began]
            if verb[began] == _GET:
                if text[name] != value[row] and not self._showed(began, row):
                    return None
            elif began not in early:
                before = text[name]
                stood_until[name, before] = row
                text[name] = before + value[began] if verb[began] == _APPEND else value[began]
        self.lost += [row for row in opened.values() if verb[row] != _GET]
        keys = {key[row] for row in ended} | {key[row] for row in self.lost}
        return (len(ended), len(keys)) if ended else None

    def _after(self, update: int) -> str:
        """What the key of an update holds once it took effect."""
        text = self.value[update]
        return self.text[self.key[update]] + text if self.verb[update] == _APPEND else text

    def _apply(self, update: int, row: int) -> None:
        key = self.key[update]
        self.stood_until[key, self.text[key]] = row
        self.text[key] = self._after(update)

    def _ends_badly(self, began: int, kind: int) -> bool:
        """A call that failed, which must not have shown; or of which nobody knows."""
        if kind == _FAIL:
            return began not in self.early
        if self.verb[began] != _GET:
            self.lost.append(began)
        return True

    def _showed(self, began: int, row: int) -> bool:
        """Whether a get's text stood since it began, or open updates can bring it about now."""
        key, shown = self.key[began], self.value[row]
        if self.stood_until.get((key, shown), _NEVER) > began:
            return True
        on_their_way = [u for u in (*self.opened.values(), *self.lost) if self._could(u, key)]
        for _ in range(len(on_their_way)):
            for update in on_their_way:
                after = self._after(update)
                if update not in self.early and after and shown.startswith(after):
                    self.early.add(update)
                    self._apply(update, row)
                    break
            if self.text[key] == shown:
                return True
        return False

    def _could(self, update: int, key: int) -> bool:
        return self.key[update] == key and self.verb[update] != _GET
