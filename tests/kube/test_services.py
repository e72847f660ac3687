"""DNSChaos and HTTPChaos: names that are asked for, messages that are answered, as nodes see it."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from seatrial.engine.argo import effects, services
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.inpod import names
from seatrial.faults.chaos import dns
from tests.kube.cluster import NODES, ChaosMesh, ThreePods
from tests.kube.server import Cluster
from tests.kube.test_effects import PLACED, Telling, answering, how, life, planned
from tests.kube.test_links import place, real

OWN = {f"db-n{i}.db": [f"10.0.0.{i}"] for i in (1, 2, 3)}
KNOWN = {**OWN, "kubernetes.default.svc": ["10.96.0.1"]}


class NameServer:
    """Answers questions for A records (RFC 1035) from a table; NXDOMAIN for the rest."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self.table, self.asked = table, list[str]()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            packet, sender = self.socket.recvfrom(512)
            if packet == b"end":
                self.socket.close()
                return
            labels, at = list[str](), 12
            while size := packet[at]:
                labels.append(packet[at + 1 : at + 1 + size].decode())
                at += 1 + size
            name = ".".join(labels)
            self.asked.append(name)
            address = self.table.get(name)
            head = packet[:2] + struct.pack("!HHHHH", 0x8180 if address else 0x8183, 1, 2, 0, 0)
            alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 3) + b"\x01x\x00"
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4)
            record += socket.inet_aton(address or "0.0.0.0")
            self.socket.sendto(head + packet[12 : at + 5] + alias + record, sender)


@pytest.fixture
def server() -> Iterator[NameServer]:
    made = NameServer({"db-n1.db.cluster.local": "10.0.0.1", "x.example": "192.0.2.7"})
    yield made
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"end", ("127.0.0.1", made.port))
    made.thread.join(5)


def test_names_are_asked_for_as_a_node_asks(server: NameServer) -> None:
    """As they are, then with each search domain; a refusal is no address."""
    domains = ("trial.svc.cluster.local", "cluster.local")
    ask = ("127.0.0.1", server.port)
    assert names.resolve("db-n1.db", domains, *ask) == ("10.0.0.1",)
    assert server.asked == ["db-n1.db", *(f"db-n1.db.{domain}" for domain in domains)]
    assert names.resolve("x.example", domains, *ask) == ("192.0.2.7",)
    assert names.resolve("nowhere", domains, *ask) is None


def test_an_answer_that_is_cut_off_has_no_address() -> None:
    whole = struct.pack("!HHHHHH", 1, 0x8180, 1, 1, 0, 0) + b"\x01a\x00\x00\x01\x00\x01"
    assert names.addresses(whole) == [] and names.addresses(whole + b"\xc0\x0c\x00") == []


def test_the_server_is_the_one_that_the_container_is_told_to_ask() -> None:
    """Of a process that is not seen it is this container's own file."""
    lines = Path("/etc/resolv.conf").read_text(encoding="utf-8").split()
    server, _ = names.settings("no-such-process")
    assert server == (lines[lines.index("nameserver") + 1] if "nameserver" in lines else "")


def test_names_that_a_pattern_means() -> None:
    meant = services.names_of(dns.Error(patterns=("db-n?.db*",)), PLACED)
    assert meant == tuple(OWN)
    assert services.names_of(dns.Error(), PLACED) == (*OWN, services.API_SERVER)
    assert services.names_of(dns.Random(patterns=("example.org",)), PLACED) == ("example.org",)
    assert services.names_of(dns.Error(patterns=("storage.*",)), PLACED) == ()
    unseen = effects.why_unseen(how("dns", action="error", patterns=["storage.*"]))
    assert "none of the names" in unseen


@pytest.mark.parametrize("action", ["error", "random"])
@pytest.mark.parametrize("acts", [True, False])
def test_names_that_do_not_resolve_as_before_are_the_effect(
    cluster: Cluster, mesh: ChaosMesh, api: Api, action: str, acts: bool
) -> None:
    """And where they resolve as before, nothing is claimed."""
    hit = set[str]()
    mesh.hurt, mesh.mend = hit.update if acts else (lambda _: None), hit.difference_update
    wrong = None if action == "error" else ["203.0.113.9"]

    def probe(words: list[str]) -> object:
        assert words[:2] == ["seatrial.engine.argo.inpod.names", "etcd"]
        return {"server": "10.96.0.10", "names": {n: wrong if hit else KNOWN[n] for n in words[2:]}}

    cluster.command = answering(probe)
    effect, recovery = life(api, ThreePods(), planned("dns", action=action))
    assert effect.seen == acts and recovery.seen, (effect, recovery)
    assert ("resolve to" in effect.sentence) == acts


# ── messages ─────────────────────────────────────────────────────────────────────────────────


class Service(ThreadingHTTPServer):
    """A node's HTTP side; `wrong` is what a proxy before it does to every message."""

    wrong = ""

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.wrong == "abort":
            return
        if self.wrong == "delay":
            time.sleep(0.25)
        super().finish_request(request, client_address)


class Answer(BaseHTTPRequestHandler):
    """Says `well`, or what `wrong` makes of it."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Service)
        wrong = self.server.wrong
        body = b"other" if wrong in ("body", "request") else b"well"
        self.send_response(503 if wrong == "code" else 200)
        if wrong == "header":
            self.send_header("X-Sea", "rough")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


ACTIONS: Mapping[str, Mapping[str, Any]] = {
    "abort": {"action": "abort", "target": "Request"},
    "delay": {"action": "delay", "target": "Response", "latency_ms": 200},
    "code": {"action": "replace", "target": "Response", "new_code": 503},
    "body": {"action": "replace", "target": "Response", "new_body": "other"},
    "header": {"action": "patch", "target": "Response", "more_headers": [["X-Sea", "rough"]]},
    "request": {"action": "replace", "target": "Request", "new_path": "/elsewhere"},
}


@pytest.fixture
def service(cluster: Cluster) -> Iterator[Service]:
    """n2 serves; commands in pods are real processes."""
    for node in NODES:
        place(cluster, node, f"127.0.0.{node[1:]}")
    with Service(("127.0.0.2", 0), Answer) as made:
        threading.Thread(
            target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        yield made
        made.shutdown()


def seen_by_n1(asked: list[str]) -> Callable[..., Any]:
    def spawn(pod: str, container: str, argv: list[str]) -> Any:
        asked.append(pod)
        return real(pod, container, argv)

    return spawn


@pytest.mark.parametrize("wrong", ACTIONS)
def test_messages_are_seen_from_another_pod(
    cluster: Cluster, mesh: ChaosMesh, api: Api, service: Service, wrong: str
) -> None:
    """Asked over real connections by the real program, from a pod that is no victim."""
    asked = list[str]()
    cluster.spawn = seen_by_n1(asked)
    mesh.hurt = lambda _: setattr(service, "wrong", wrong)
    mesh.mend = lambda _: setattr(service, "wrong", "")
    fault = planned("http", port=service.server_address[1], **ACTIONS[wrong])
    effect, recovery = life(api, Telling(), fault)
    assert effect.seen and "every answer shows it" in effect.sentence, effect
    assert recovery.seen, recovery
    assert set(asked) == {"db-n1"}


def test_messages_as_before_prove_nothing(
    cluster: Cluster, mesh: ChaosMesh, api: Api, service: Service
) -> None:
    """Nor does a service that did not answer before."""
    cluster.spawn = real
    port = service.server_address[1]
    for wrong in ("abort", "code"):
        effect, _ = life(api, Telling(), planned("http", port=port, **ACTIONS[wrong]))
        assert not effect.seen and "0 of 3 answers show it" in effect.sentence
        mesh.gone.clear()
    service.wrong = "abort"
    effect, _ = life(api, Telling(), planned("http", port=port, **ACTIONS["abort"]))
    assert not effect.seen and "n2 does not answer requests" in effect.sentence
    spec = json.loads(json.dumps(effect.measured["chaos_mesh"]))[0]
    assert spec["containerRecords"], "Chaos Mesh's word is kept all the same"
