"""HTTP, Kubernetes and commands: what is read, and every failure as a sentence. Real servers."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from seatrial.probe import CommandProbe, HttpProbe, KubernetesProbe
from seatrial.probes.others import asker
from seatrial.probes.prometheus import Read
from seatrial.probes.promql import selectors
from seatrial.target import Node

PODS = {
    "kind": "PodList",
    "apiVersion": "v1",
    "metadata": {},
    "items": [
        {
            "metadata": {"name": f"db-{n}"},
            "spec": {"containers": [{"name": "db"}]},
            "status": {
                "phase": "Running" if n else "Pending",
                "conditions": [{"type": "Ready", "status": "True" if n else "False"}],
                "containerStatuses": [
                    {
                        "name": "db",
                        "restartCount": n,
                        "ready": bool(n),
                        "image": "db",
                        "imageID": "db",
                    }
                ],
            },
        }
        for n in range(4)
    ],
}
ANSWERS = {
    "/number": (200, "42"),
    "/json": (200, '{"health": "true", "nodes": [{"lag": 1}, {"lag": 2}]}'),
    "/html": (200, "<html>"),
    "/broken": (503, "down"),
    "/api/v1/namespaces/prod/pods": (200, json.dumps(PODS)),
    "/api/v1/namespaces/none/pods": (200, json.dumps({**PODS, "items": []})),
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/slow":
                time.sleep(1)
            status, text = ANSWERS.get(path, (404, "no such page"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()
    thread.join()


def http(url: str, **fields: Any) -> Read:
    (read,) = asker(HttpProbe(url=url, **fields), ())()
    return read


def test_what_http_reads(server: str) -> None:
    assert http(f"{server}/broken") == Read(503.0)
    assert http(f"{server}/number", read="body") == Read(42.0)
    assert http(f"{server}/json", read="body", path="$.health") == Read(None, text="true")
    assert http(f"{server}/json", read="body", path="$.nodes[*]", take="count") == Read(2.0)
    took = http(f"{server}/number", read="latency_ms").value
    assert took is not None
    assert 0 < took < 5000


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/json", {"read": "body", "path": "$.nodes[*].lag"}, "found 2 values where one is meant"),
        ("/html", {"read": "body", "path": "$.x"}, "the answer is not JSON: '<html>'"),
        ("/broken", {"read": "body"}, "answered with status 503"),
        ("/slow", {"timeout_s": 0.2}, "gave no answer within 0.2 s"),
    ],
)
def test_what_http_cannot_read_is_said(
    server: str, path: str, fields: dict[str, Any], said: str
) -> None:
    read = http(server + path, **fields)

    assert (read.value, read.text) == (None, None)
    assert said in read.why


def test_nobody_at_the_address() -> None:
    assert "cannot be reached" in http("http://127.0.0.1:9/x").why


def test_each_node_is_asked_and_the_worst_counts(server: str) -> None:
    address, _, port = server.removeprefix("http://").partition(":")
    good = Node("n1", address, {"client": int(port)}, Path(), Path())
    dead = Node("n2", address, {"client": 9}, Path(), Path())
    probe = HttpProbe(url="http://{node}:{port:client}/number", read="body")

    assert asker(probe, [good, good])() == [Read(42.0)]
    (read,) = asker(probe, [good, dead])()
    assert read.why.startswith("n2: http://127.0.0.1:9/number cannot be reached")


def run(code: str, **fields: Any) -> Read:
    (read,) = asker(CommandProbe(argv=(sys.executable, "-c", code), **fields), ())()
    return read


def test_what_a_command_says() -> None:
    assert run("print(7)") == Read(7.0)
    assert run("print('Synced')") == Read(None, text="Synced")
    assert run("raise SystemExit(3)", read="exit_status") == Read(3.0)
    assert run("print('{\"a\": 1}')", path="$.a") == Read(1.0)
    assert "ended with status 3" in run("raise SystemExit(3)").why
    assert "did not end within 0.3 s" in run("import time; time.sleep(9)", timeout_s=0.3).why
    (missing,) = asker(CommandProbe(argv=("/nowhere/tool",)), ())()
    assert missing.why == "/nowhere/tool cannot be started: No such file or directory"


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"read": "pods"}, 4),
        ({"read": "ready"}, 0.75),
        ({"read": "restarts"}, 6),
        ({"read": "phase", "phase": "Pending"}, 0.25),
        ({"read": "condition", "condition": "Ready"}, 0.75),
    ],
)
def test_what_is_read_of_pods(
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    value: float,
) -> None:
    """The API's own client library against a server that answers as the API does."""
    assert pods(server, tmp_path, monkeypatch, namespace="prod", **fields) == Read(value)


def pods(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Read:
    pytest.importorskip("kubernetes")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {"token": "t"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    (read,) = asker(KubernetesProbe(**fields), ())()
    return read


def test_pods_that_are_not_there_are_not_ready(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pods(server, tmp_path, monkeypatch, namespace="none", selector="app=db")
    assert read == Read(None, "no pod of none has the labels 'app=db'")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("up", ["up"]),
        ('sum by (le) (rate(x_bucket{job="a b", le!~"{}"}[5m] offset 1m))',
         ['x_bucket{job="a b", le!~"{}"}']),
        ("a / on (instance) group_left (b) c_total > bool 3 or vector(0)", ["a", "c_total"]),
        ("topk(3, {__name__=~'x.*'})", ["{__name__=~'x.*'}"]),
        ("max_over_time(sum(a)[5m:1m]) # and b", ["a"]),
        ("sum without (x) (min) + inf", ["min"]),
        ("histogram_quantile(0.99, x) and x", ["x"]),
        ("rate(", []),
    ],
)  # fmt: skip
def test_the_selectors_of_a_query(query: str, found: list[str]) -> None:
    assert [selector.text for selector in selectors(query)] == found
