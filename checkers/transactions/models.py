"""The lattice of consistency models, and which anomalies rule out which models.

Two graphs. In `WEAKER`, an arrow from a model to another says that what satisfies the first
satisfies the second. In `IMPLIES`, an arrow from an anomaly to another says that where the first
is, the second is too. `FORBIDS` joins them: what each model forbids over and above the weaker
ones.

Sources: Adya 1999 (PL-1, PL-2, PL-2.99, PL-3, cursor stability, consistent views, PL-SI, PL-SS,
strict forms); Berenson et al. 1995 (lost update, write skew); Bailis et al., "Highly Available
Transactions", VLDB 2014 (monotonic atomic view, session guarantees); Cerone, Bernardi and
Gotsman, CONCUR 2015 (read atomic, causal, prefix, parallel snapshot isolation); Cerone and
Gotsman, "Analysing Snapshot Isolation", PODC 2016 (snapshot isolation forbids every cycle whose
rw edges are nonadjacent); Daudjee and Salem, ICDE 2004 and VLDB 2006 (strong session forms); Liu
et al. 2018 (update atomic); Kingsbury and Alvaro, VLDB 2020 (the join of these, and -process and
-realtime variants).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seatrial.errors import UnknownName

ORDERS = ("", "-process", "-realtime")
CYCLES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
#: Cycle anomalies from the plain ones to those that need process or real-time order.
CYCLE_ANOMALIES = tuple(cycle + order for order in ORDERS for cycle in CYCLES)

#: Anomalies that make an answer `unknown`, not `invalid`.
UNDECIDED = frozenset({"empty-transaction-graph"})

_ALIASES = {
    "strong-serializable": "strict-serializable",
    "strong-strict-serializable": "strict-serializable",
    "conflict-serializable": "serializable",
    "view-serializable": "serializable",
    "1sr": "serializable",
    "pl-1": "read-uncommitted",
    "pl-2": "read-committed",
    "pl-cs": "cursor-stability",
    "pl-2l": "monotonic-view",
    "pl-msr": "monotonic-snapshot-read",
    "pl-2+": "consistent-view",
    "pl-fcv": "forward-consistent-view",
    "pl-2.99": "repeatable-read",
    "pl-3u": "update-serializable",
    "pl-3": "serializable",
    "pl-si": "snapshot-isolation",
    "si": "snapshot-isolation",
    "psi": "parallel-snapshot-isolation",
    "pl-ss": "strict-serializable",
    "rola": "update-atomic",
    "causal-cerone": "causal-transactional",
    "session-serializable": "strong-session-serializable",
    "strong-session-pl-1": "strong-session-read-uncommitted",
    "strong-session-pl-2": "strong-session-read-committed",
    "strong-pl-1": "strong-read-uncommitted",
    "strong-pl-2": "strong-read-committed",
}

#: model → the models it is stronger than (the next ones down only).
WEAKER: Mapping[str, tuple[str, ...]] = {
    "strict-serializable": (
        "strong-session-serializable",
        "strong-snapshot-isolation",
        "linearizable",
    ),
    "strong-session-serializable": ("serializable", "strong-session-snapshot-isolation"),
    "serializable": ("repeatable-read", "snapshot-isolation", "update-serializable"),
    "update-serializable": ("forward-consistent-view",),
    "repeatable-read": ("cursor-stability", "monotonic-atomic-view"),
    "strong-snapshot-isolation": ("strong-session-snapshot-isolation", "strong-read-committed"),
    "strong-session-snapshot-isolation": ("snapshot-isolation", "strong-session-read-committed"),
    "snapshot-isolation": (
        "forward-consistent-view",
        "monotonic-atomic-view",
        "monotonic-snapshot-read",
        "parallel-snapshot-isolation",
        "prefix",
    ),
    "parallel-snapshot-isolation": ("causal-transactional", "update-atomic"),
    "prefix": ("causal-transactional",),
    "update-atomic": ("read-atomic",),
    "causal-transactional": ("read-atomic",),
    "read-atomic": ("monotonic-atomic-view",),
    "monotonic-atomic-view": ("read-committed",),
    "forward-consistent-view": ("consistent-view",),
    "consistent-view": ("cursor-stability", "monotonic-view"),
    "cursor-stability": ("read-committed",),
    "monotonic-view": ("read-committed",),
    "monotonic-snapshot-read": ("read-committed",),
    "strong-read-committed": ("strong-session-read-committed", "strong-read-uncommitted"),
    "strong-session-read-committed": ("read-committed", "strong-session-read-uncommitted"),
    "strong-read-uncommitted": ("strong-session-read-uncommitted",),
    "strong-session-read-uncommitted": ("read-uncommitted",),
    "read-committed": ("read-uncommitted",),
    "read-uncommitted": (),
    "linearizable": ("sequential",),
    "sequential": ("causal",),
    "causal": ("writes-follow-reads", "pram"),
    "writes-follow-reads": (),
    "pram": ("monotonic-reads", "monotonic-writes", "read-your-writes"),
    "monotonic-reads": (),
    "monotonic-writes": (),
    "read-your-writes": (),
}

MODELS = frozenset(WEAKER)


def _cycle_implications() -> dict[str, tuple[str, ...]]:
    """Cycle anomalies: each implies its wider class, and the same with more order."""
    wider = {
        "G0": ("G1c",),
        "G1c": ("G1",),
        "G1": (),
        "G-single": ("G-nonadjacent",),
        "G-nonadjacent": ("G2-item",),
        "G2-item": ("G2",),
        "G2": (),
    }
    next_order = {"": "-process", "-process": "-realtime"}
    return {
        name + order: tuple(other + order for other in others)
        + ((name + next_order[order],) if order in next_order else ())
        for name, others in wider.items()
        for order in ORDERS
    }


#: anomaly → anomalies that are there too wherever it is (the next ones only).
IMPLIES: Mapping[str, tuple[str, ...]] = {
    **_cycle_implications(),
    "G1a": ("G1",),
    "G1b": ("G1",),
    "incompatible-order": ("G1a",),
    "dirty-update": ("G1a",),
    "garbage-read": ("G1a",),
    "future-read": ("G1c",),
    "lost-update": ("write-skew", "G2-item"),
    "write-skew": ("G2",),
    "long-fork": ("G-nonadjacent",),
}

#: model → what it forbids beyond the models weaker than it.
FORBIDS: Mapping[str, tuple[str, ...]] = {
    "read-uncommitted": ("G0", "duplicate-elements", "cyclic-versions", "garbage-read"),
    "read-committed": ("G1",),
    "cursor-stability": ("G1", "lost-update"),
    "monotonic-view": ("G1",),
    "monotonic-snapshot-read": ("G1",),
    "consistent-view": ("G1", "G-single"),
    "forward-consistent-view": ("G1", "G-single"),
    "update-serializable": ("G1",),
    "repeatable-read": ("G1", "G2-item", "lost-update"),
    "read-atomic": ("internal", "G1a", "future-read", "fractured-read"),
    "update-atomic": ("lost-update",),
    "causal-transactional": ("internal", "G1a", "causality-violation"),
    "parallel-snapshot-isolation": ("internal", "G1a"),
    "prefix": ("internal", "G1a"),
    "snapshot-isolation": ("internal", "G1", "G-nonadjacent"),
    "serializable": ("internal", "G1", "G2"),
    "strong-session-read-uncommitted": ("G0-process",),
    "strong-session-read-committed": ("G1-process",),
    "strong-session-snapshot-isolation": ("internal", "G1-process", "G-nonadjacent-process"),
    "strong-session-serializable": ("G1-process", "G2-process"),
    "strong-read-uncommitted": ("G0-realtime",),
    "strong-read-committed": ("G1-realtime",),
    "strong-snapshot-isolation": ("internal", "G1-realtime", "G-nonadjacent-realtime"),
    "strict-serializable": ("G1", "G1-realtime", "G2-realtime"),
}


def _reach(graph: Mapping[str, Iterable[str]], start: Iterable[str]) -> frozenset[str]:
    """What can be reached from `start` along `graph`, `start` included."""
    seen = set(start)
    rest = list(seen)
    while rest:  # bounded: each name is pushed once
        for name in graph.get(rest.pop(), ()):
            if name not in seen:
                seen.add(name)
                rest.append(name)
    return frozenset(seen)


def _turned(graph: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """The graph with its arrows turned round."""
    out: dict[str, list[str]] = {}
    for name, others in graph.items():
        for other in others:
            out.setdefault(other, []).append(name)
    return out


_STRONGER = _turned(WEAKER)
_IMPLIED_BY = _turned(IMPLIES)
_FORBIDDEN_BY = _turned(FORBIDS)

#: Every anomaly that a model can forbid or that implies one.
ANOMALIES = frozenset(IMPLIES) | _reach(IMPLIES, (a for names in FORBIDS.values() for a in names))


def canonical(model: str) -> str:
    """The name under which a model stands in the lattice; raises `UnknownName`."""
    name = model.strip().lower().lstrip(":").replace(" ", "-").replace("_", "-")
    name = _ALIASES.get(name, name)
    if name not in MODELS:
        raise UnknownName("consistency model", model, MODELS | set(_ALIASES))
    return name


def known_anomaly(name: str) -> str:
    """The anomaly's name as it stands here; raises `UnknownName`."""
    bare = name.strip().lstrip(":")
    if bare not in ANOMALIES:
        raise UnknownName("anomaly", name, ANOMALIES)
    return bare


def implied(anomalies: Iterable[str]) -> frozenset[str]:
    """`anomalies` and all that are there wherever one of these is."""
    return _reach(IMPLIES, anomalies)


def implying(anomalies: Iterable[str]) -> frozenset[str]:
    """`anomalies` and all that bring one of these with them."""
    return _reach(_IMPLIED_BY, anomalies)


def forbidden(models: Iterable[str]) -> frozenset[str]:
    """Every anomaly that must not be there if all `models` hold (canonical names)."""
    down = _reach(WEAKER, models)
    return implying(name for model in down for name in FORBIDS.get(model, ()))


def ruled_out(anomalies: Iterable[str]) -> frozenset[str]:
    """The models that cannot hold where these anomalies are."""
    direct = {m for name in implied(anomalies) for m in _FORBIDDEN_BY.get(name, ())}
    return _reach(_STRONGER, direct)


def boundary(anomalies: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The weakest models ruled out, and the stronger ones that fall with them; sorted."""
    out = ruled_out(anomalies)
    weakest = {m for m in out if not any(n != m and n in out for n in _reach(WEAKER, [m]))}
    return tuple(sorted(weakest)), tuple(sorted(out - weakest))


def still_possible(anomalies: Iterable[str], below: Iterable[str] = ()) -> tuple[str, ...]:
    """The strongest models not ruled out (only those weaker than `below`, if given); sorted."""
    out = ruled_out(anomalies)
    scope = _reach(WEAKER, below) if below else MODELS
    left = {m for m in scope if m not in out and m in FORBIDS}
    strongest = {m for m in left if not any(n != m and n in left for n in _reach(_STRONGER, [m]))}
    return tuple(sorted(strongest))


def words(model: str) -> str:
    """A model's name in a sentence: `read committed`."""
    return model.replace("-", " ")
