"""Effects on what nodes use and serve: names that they look up, HTTP messages that they answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Any, Final

from seatrial.engine.argo.world import ClusterWorld
from seatrial.errors import Unavailable
from seatrial.fault import Proof
from seatrial.faults.chaos import dns, http
from seatrial.target import Placement
from seatrial.verdict import Json

#: A name that every cluster has.
API_SERVER: Final = "kubernetes.default.svc"
#: Where names of a cluster end unless it was set up otherwise.
DOMAIN: Final = "cluster.local"
#: How long all questions of one pod may take.
NAMES_S: Final = 10.0
#: Requests to each victim, and how long all of them may take.
TIMES: Final = 3
MESSAGES_S: Final = 2 * 8.0
#: A message counts as late from this share of the delay on.
LATE: Final = 0.9

#: Stands for a process that is not known.
NOBODY: Final = "-"

Names = Mapping[str, list[str] | None]
Message = Mapping[str, Any]


def names_of(action: dns.DnsAction, placement: Placement) -> tuple[str, ...]:
    """Names that a DNSChaos means and that should resolve; empty where none is known."""
    there = [name for name in placement.addresses.values() if name and not _is_number(name)]
    plain = [one for one in action.patterns if "*" not in one and "?" not in one]
    known = dict.fromkeys([*there, API_SERVER, *plain])
    return tuple(one for one in known if not action.patterns or _is_meant(one, action.patterns))


def _plain(names: Names) -> dict[str, Json]:
    return {name: None if found is None else [*found] for name, found in names.items()}


def _is_number(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


def _is_meant(name: str, patterns: Sequence[str]) -> bool:
    whole = (name, f"{name}.{DOMAIN}")
    return any(fnmatchcase(one, pattern) for one in whole for pattern in patterns)


@dataclass(slots=True)
class OnNames:
    """DNSChaos: the node's own server is asked for names of the cluster."""

    victims: Sequence[str]
    names: Sequence[str]
    random: bool
    _before: dict[str, Names] = field(default_factory=dict)

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """What the names resolve to; raises `Unavailable` where none does."""
        for node in self.victims:
            seen = await self._ask(cluster, node)
            self._before[node] = {name: found for name, found in seen.items() if found}
            if not self._before[node]:
                raise Unavailable(f"{node}: none of {', '.join(self.names)} resolves")
        return {"names": {node: _plain(seen) for node, seen in self._before.items()}}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """They resolve to nothing, or to something else."""
        as_before, measured = [], dict[str, Json]()
        for node in self.victims:
            seen = await self._ask(cluster, node)
            measured[node] = _plain(seen)
            for name, was in self._before[node].items():
                now = seen.get(name)
                hit = bool(now) and not set(now or ()) & set(was or ()) if self.random else not now
                as_before += [] if hit else [f"{node}: {name} → {', '.join(now or ['nothing'])}"]
        if as_before or not self.victims:
            return Proof(False, "; ".join(as_before) or "no victim", measured)
        what = "other addresses" if self.random else "nothing"
        names = {name for seen in self._before.values() for name in seen}
        said = f"{', '.join(self.victims)}: {', '.join(sorted(names))} resolve to {what}"
        return Proof(True, said, measured)

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """They resolve again, and to one of the same addresses."""
        wrong, measured = [], dict[str, Json]()
        for node in self.victims:
            seen = await self._ask(cluster, node)
            measured[node] = _plain(seen)
            for name, was in self._before[node].items():
                if not set(seen.get(name) or ()) & set(was or ()):
                    wrong.append(f"{node}: {name} → {', '.join(seen.get(name) or ['nothing'])}")
        said = "names resolve as before" if not wrong else f"not as before: {'; '.join(wrong)}"
        return Proof(not wrong, said, measured)

    async def _ask(self, cluster: ClusterWorld, node: str) -> Names:
        words = [cluster.placement.process or NOBODY, *self.names]
        told = await cluster.probe(node, "names", words, NAMES_S)
        found: Names = told["names"]
        return found


@dataclass(slots=True)
class OnMessages:
    """HTTPChaos: requests from another node's pod to the victims' port."""

    victims: Sequence[str]
    action: http.HttpAction
    _before: dict[str, Sequence[Message]] = field(default_factory=dict)

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """The answers as they are; raises `Unavailable` where they are not always the same."""
        self._before = await self._ask(cluster)
        for node, seen in self._before.items():
            first = seen[0]
            if any(one["error"] for one in seen):
                raise Unavailable(f"{node} does not answer requests: {first['error']}")
            if any(_essence(one) != _essence(first) for one in seen):
                raise Unavailable(f"{node}'s answers differ among themselves: none shows a fault")
            if self.action.code is not None and first["status"] != self.action.code:
                raise Unavailable(
                    f"{node} answers {first['status']}, the fault is on {self.action.code} only"
                )
        return {"answers": {node: [*map(_told, seen)] for node, seen in self._before.items()}}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """Every answer shows it."""
        now = await self._ask(cluster)
        measured: dict[str, Json] = {node: [*map(_told, seen)] for node, seen in now.items()}
        as_before = [
            f"{node}: {sum(self._shows(one, self._before[node][0]) for one in seen)} of "
            f"{len(seen)} answers show it"
            for node, seen in now.items()
            if not all(self._shows(one, self._before[node][0]) for one in seen)
        ]
        if as_before or not now:
            return Proof(False, "; ".join(as_before) or "no victim", measured)
        return Proof(True, f"{', '.join(now)}: every answer shows it", measured)

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """No answer shows it, and all are as before."""
        now = await self._ask(cluster)
        measured: dict[str, Json] = {node: [*map(_told, seen)] for node, seen in now.items()}
        wrong = [
            node
            for node, seen in now.items()
            if any(
                one["error"]
                or _essence(one) != _essence(self._before[node][0])
                or (isinstance(self.action, http.Delay) and self._shows(one, one))
                for one in seen
            )
        ]
        said = f"{', '.join(wrong)}: answers are not as before" if wrong else "answers as before"
        return Proof(not wrong, said, measured)

    def _shows(self, now: Message, before: Message) -> bool:
        action = self.action
        if isinstance(action, http.Abort):
            return bool(now["error"])
        if isinstance(action, http.Delay):
            return bool(now["took_s"] >= LATE * action.latency_ms / 1000)
        if now["error"]:
            return False
        if action.target == "Response" and isinstance(action, http.Replace):
            return _has(now, action.new_code, action.new_headers.items(), action.new_body)
        if isinstance(action, http.Patch) and action.more_headers:
            return _has(now, None, action.more_headers, None)
        return _essence(now) != _essence(before)

    async def _ask(self, cluster: ClusterWorld) -> dict[str, Sequence[Message]]:
        others = [node for node in cluster.nodes if node not in self.victims]
        if not others:
            raise Unavailable("every node is a victim: there is no other pod to ask from")
        to = {}
        for node in self.victims:
            pod = await cluster.pod(node)
            if pod is None or not pod.address:
                raise Unavailable(f"{node} has no pod with an address")
            host = f"[{pod.address}]" if ":" in pod.address else pod.address
            to[f"{host}:{self.action.port}"] = node
        spec = {
            "to": [*to],
            "method": self.action.method or "GET",
            "path": (self.action.path or "/").partition("*")[0] or "/",
            "headers": dict(self.action.request_headers),
            "times": TIMES,
        }
        told = await cluster.probe(others[0], "messages", [json.dumps(spec)], MESSAGES_S)
        return {node: told[address] for address, node in to.items()}


def _essence(message: Message) -> tuple[Any, Any]:
    return message.get("status"), message.get("body")


def _has(now: Message, code: int | None, headers: Any, body: str | None) -> bool:
    there = now["headers"]
    named = all(value in there.get(name.lower(), "") for name, value in headers)
    right_code = code is None or now["status"] == code
    return named and right_code and (body is None or now["body"] == body)


def _told(message: Message) -> Json:
    return {"took_s": round(message["took_s"], 3), "error": message["error"],
            "status": message.get("status")}  # fmt: skip
