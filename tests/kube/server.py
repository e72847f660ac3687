"""A server that speaks the Kubernetes API's paths over real sockets, with faults of its own.

It keeps objects by path with resource versions, lists by selector, watches from a version,
refuses stale replacements (409), honours finalizers, and carries out commands in pods over a
WebSocket. `fail` makes requests go wrong; `when` is told of every change, so that a test can play
the controllers (Chaos Mesh, Argo) on the other side.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.kube import access
from tests.kube.access import Use

Object = dict[str, Any]
Process = subprocess.Popen[bytes]
#: An object's path: …/namespaces/NS/PLURAL/NAME, perhaps with a subresource.
PATH = re.compile(
    r"(?P<where>/(?:api/v1|apis/[^/]+/[^/]+)/namespaces/[^/]+/[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?$"
)
ALL = re.compile(r"(?P<root>/(?:api/v1|apis/[^/]+/[^/]+))/(?P<plural>[a-z]+)$")
WATCH_POLL_S = 0.01
STRATEGIC = "application/strategic-merge-patch"


@dataclass
class Failure:
    """Something that goes wrong `times` times with requests that match."""

    method: str
    path: str
    status: int = 0
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Seconds before the answer.
    slow_s: float = 0.0
    #: Carry the request out, then lose the answer.
    lose: bool = False
    #: Of a watch: end it at once / say 410 in it.
    drop: bool = False
    gone: bool = False
    reason: str = "InternalError"

    def fits(self, method: str, path: str) -> bool:
        """Whether it is about this request."""
        return self.times > 0 and method == self.method and re.search(self.path, path) is not None


class Cluster:
    """The state behind the server, and the server."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.events: list[tuple[int, str, str, Object]] = []
        self.failures: list[Failure] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.denied: set[tuple[str, str]] = set()
        #: Rights by account (the bearer's token); an account that is not here may do everything.
        self.rights: dict[str, frozenset[Use]] = {}
        #: What each account did.
        self.used: dict[str, set[Use]] = {}
        self.groups: dict[str, tuple[str, ...]] = {}
        self.texts: dict[str, bytes] = {}
        #: Answers of what is no object, by path.
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.command: Callable[[str, str, list[str]], tuple[str, int]] = lambda *_: ("", 0)
        #: Starts a real process for a command in a pod; None: `command` answers instead.
        self.spawn: Callable[[str, str, list[str]], Process | None] = lambda *_: None
        self.when: Callable[[str, str, Object], None] = lambda *_: None
        #: The server's own clock; None: this machine's.
        self.date: Callable[[], str] | None = None
        self.version = 0
        self.lock = threading.RLock()
        self.ending = False
        owner = self

        class Handler(_Handler):
            cluster = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Cluster:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending = True
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    # ── what a test does ─────────────────────────────────────────────────────────────────────

    def fail(self, method: str, path: str, status: int = 0, **more: Any) -> Failure:
        """Let requests go wrong."""
        made = Failure(method, path, status, **more)
        self.failures.append(made)
        return made

    def put(self, where: str, body: Object) -> Object:
        """Put an object there, as a controller would."""
        with self.lock:
            path = f"{where}/{body['metadata']['name']}"
            return self._store("MODIFIED" if path in self.objects else "ADDED", path, body)

    def change(self, path: str, change: Callable[[Object], None]) -> None:
        """Change an object if it is there, as a controller would."""
        with self.lock:
            if path in self.objects:
                body: Object = json.loads(json.dumps(self.objects[path]))
                change(body)
                self._store("MODIFIED", path, body)

    def remove(self, path: str) -> None:
        """Take an object away."""
        with self.lock:
            found = self.objects.pop(path, None)
            if found is not None:
                self.version += 1
                self._happened("DELETED", path, found)

    def asked(self, method: str, path: str) -> int:
        """How many requests matched."""
        return sum(m == method and re.search(path, p) is not None for m, p, _ in self.requests)

    # ── what happens ─────────────────────────────────────────────────────────────────────────

    def _store(self, kind: str, path: str, body: Object) -> Object:
        self.version += 1
        metadata = body.setdefault("metadata", {})
        metadata["resourceVersion"] = str(self.version)
        metadata.setdefault("uid", f"uid-{self.version}")
        self.objects[path] = body
        self._happened(kind, path, body)
        return body

    def _happened(self, kind: str, path: str, body: Object) -> None:
        copy = json.loads(json.dumps(body))
        self.events.append((self.version, kind, path, copy))
        self.when(kind, path, copy)

    def created(self, where: str, body: Object) -> tuple[int, Object]:
        """POST."""
        with self.lock:
            metadata = body.setdefault("metadata", {})
            if "generateName" in metadata and "name" not in metadata:
                metadata["name"] = f"{metadata['generateName']}{self.version:05d}"
            path = f"{where}/{metadata['name']}"
            if path in self.objects:
                return 409, status(409, "AlreadyExists", f"{path} already exists")
            metadata["namespace"] = where.split("/namespaces/")[1].split("/")[0]
            return 201, self._store("ADDED", path, body)

    def replaced(self, path: str, body: Object) -> tuple[int, Object]:
        """PUT: only on top of the version that was read."""
        with self.lock:
            if path not in self.objects:
                return 404, status(404, "NotFound", path)
            if body["metadata"].get("resourceVersion") != self._version_of(path):
                return 409, status(409, "Conflict", "the object has been modified")
            return 200, self._store("MODIFIED", path, body)

    def _version_of(self, path: str) -> str:
        return str(self.objects[path]["metadata"]["resourceVersion"])

    def patched(self, path: str, body: Object, kind: str) -> tuple[int, Object]:
        """PATCH: a merge, or an apply that may create."""
        with self.lock:
            if path not in self.objects:
                if kind != "application/apply-patch+yaml":
                    return 404, status(404, "NotFound", path)
                return 201, self._store("ADDED", path, body)
            made = merged(self.objects[path], body, by_name=kind.startswith(STRATEGIC))
            if "spec" in body:
                made["metadata"]["generation"] = made["metadata"].get("generation", 1) + 1
            if made["metadata"].get("deletionTimestamp") and not made["metadata"].get("finalizers"):
                self.remove(path)
                return 200, made
            return 200, self._store("MODIFIED", path, made)

    def deleted(self, path: str, uid: str = "") -> tuple[int, Object]:
        """DELETE: waits for finalizers, and takes no other object than the one that is meant."""
        with self.lock:
            if path not in self.objects:
                return 404, status(404, "NotFound", path)
            body: Object = json.loads(json.dumps(self.objects[path]))
            if uid and uid != body["metadata"]["uid"]:
                return 409, status(409, "Conflict", "the UID in the precondition is another one")
            if body["metadata"].get("finalizers"):
                body["metadata"]["deletionTimestamp"] = "2026-11-21T00:00:00Z"
                self._store("MODIFIED", path, body)
            else:
                self.remove(path)
            return 200, body

    def listed(self, where: str, query: Mapping[str, list[str]]) -> Object:
        """GET of a collection."""
        with self.lock:
            return {
                "kind": "List",
                "metadata": {"resourceVersion": str(self.version)},
                "items": [
                    body
                    for path, body in self.objects.items()
                    if path.rpartition("/")[0] == where and fits(body, query)
                ],
            }

    def listed_everywhere(self, root: str, plural: str, query: Mapping[str, list[str]]) -> Object:
        """GET of a kind in all namespaces, or of one that has none."""
        with self.lock:
            folders = {path.rpartition("/")[0] for path in self.objects}
            mine = [f for f in folders if f.startswith(root) and f.endswith(f"/{plural}")]
            found = [one for f in sorted(mine) for one in self.listed(f, query)["items"]]
            return {"kind": "List", "metadata": {}, "items": found}

    def watched(self, where: str, query: Mapping[str, list[str]]) -> Iterator[Object]:
        """Events of a collection from a version on, until the client's timeout."""
        after = int((query.get("resourceVersion") or [str(self.version)])[0] or 0)
        end = time.monotonic() + float((query.get("timeoutSeconds") or ["30"])[0])
        place = 0
        while time.monotonic() < end and not self.ending:
            with self.lock:
                news, place = self.events[place:], len(self.events)
            for version, kind, path, body in news:
                if version > after and path.rpartition("/")[0] == where and fits(body, query):
                    yield {"type": kind, "object": body}
            time.sleep(WATCH_POLL_S)


def status(code: int, reason: str, message: str) -> Object:
    """What the API says when it says no."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def merged(old: Any, new: Any, *, by_name: bool = False) -> Any:
    """RFC 7386; `by_name` as Kubernetes' own patch does it: objects of a list by their names."""
    if by_name and isinstance(new, list) and new and all(isinstance(each, dict) for each in new):
        there = {each["name"]: each for each in old or ()}
        changed = {each["name"]: each for each in new}
        rest = [merged(each, changed.pop(name, {}), by_name=True) for name, each in there.items()]
        return [*rest, *changed.values()]
    if not isinstance(new, dict):
        return new
    made = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value, by_name=by_name)
    return made


def fits(body: Object, query: Mapping[str, list[str]]) -> bool:
    """Whether an object has the labels and fields of a selector."""
    labels = body["metadata"].get("labels") or {}
    for part in filter(None, ",".join(query.get("labelSelector", ())).split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    for part in filter(None, ",".join(query.get("fieldSelector", ())).split(",")):
        key, _, value = part.partition("=")
        if key == "metadata.name" and body["metadata"]["name"] != value:
            return False
    return True


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The header `Date`."""
        told = self.cluster.date
        return super().date_time_string(timestamp) if told is None else told()

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        full = path + (f"?{unquote(parts.query)}" if parts.query else "")
        cluster = self.cluster
        with cluster.lock:
            cluster.requests.append((method, full, body))
            failure = next((f for f in cluster.failures if f.fits(method, full)), None)
            if failure is not None:
                failure.times -= 1
        if failure is not None and self._goes_wrong(failure):
            return
        if (refusal := self._refused(method, path, query)) is not None:
            self._say(403, refusal)
            return
        if query.get("watch"):
            self._watch(path, query)
        elif path.endswith("/exec"):
            self._exec(path, query)
        else:
            code, answer = self._answer(method, path, query, body)
            if failure is not None and failure.lose:
                self.connection.close()
                self.close_connection = True
                return
            self._say(code, answer)

    def _account(self) -> str:
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")

    def _refused(self, method: str, path: str, query: Mapping[str, list[str]]) -> Object | None:
        """What the account may not; what it may is kept."""
        cluster, account = self.cluster, self._account()
        apply = self.headers.get("Content-Type") == access.APPLY
        with cluster.lock:
            asked = access.uses(method, path, query, apply and path not in cluster.objects)
            lacking = [one for one in asked if one not in cluster.rights.get(account, asked)]
            if not lacking:
                cluster.used.setdefault(account, set()).update(asked)
                return None
        return status(403, "Forbidden", f"{account} cannot {lacking[0].verb} {path}")

    def _goes_wrong(self, failure: Failure) -> bool:
        """Whether the request is over with it."""
        time.sleep(failure.slow_s)
        if failure.drop or failure.gone:
            self._begin_stream()
            if failure.gone:
                self._event({"type": "ERROR", "object": status(410, "Expired", "too old")})
            self._end_stream()
            return True
        if failure.status:
            told = status(failure.status, failure.reason, "it went wrong on purpose")
            self._say(failure.status, told, failure.headers)
            return True
        return False

    def _answer(
        self, method: str, path: str, query: Mapping[str, list[str]], body: Any
    ) -> tuple[int, Object | bytes]:
        cluster = self.cluster
        if path in cluster.texts:
            return 200, cluster.texts[path]
        if path in cluster.answers:
            return cluster.answers[path]
        if path.endswith("/localsubjectaccessreviews"):
            user = body["spec"]["user"].rpartition(":")[2]
            return 201, self._review(body, user)
        if method == "GET" and (found := ALL.fullmatch(path)):
            return 200, cluster.listed_everywhere(found["root"], found["plural"], query)
        if path == "/version":
            return 200, {"gitVersion": "v1.34.9"}
        if path.endswith("/selfsubjectaccessreviews"):
            return 201, self._review(body, self._account())
        if found := re.fullmatch(r"/apis/([^/]+)(/[^/]+)?", path):
            return self._discovery(found[1], bool(found[2]))
        found = PATH.fullmatch(path)
        if found is None and method == "GET" and path in cluster.objects:
            return 200, cluster.objects[path]
        if found is None:
            return 404, status(404, "NotFound", f"no such path: {path}")
        where, name = found["where"], found["name"]
        if name is None:
            return (
                (200, cluster.listed(where, query))
                if method == "GET"
                else cluster.created(where, body)
            )
        whole = f"{where}/{name}"
        if method == "GET":
            with cluster.lock:
                there = cluster.objects.get(whole)
            return (200, there) if there else (404, status(404, "NotFound", whole))
        if method == "PUT":
            return cluster.replaced(whole, body)
        if method == "PATCH":
            return cluster.patched(whole, body, self.headers.get("Content-Type", ""))
        return cluster.deleted(whole, ((body or {}).get("preconditions") or {}).get("uid", ""))

    def _review(self, body: Object, account: str) -> Object:
        asked = body["spec"]["resourceAttributes"]
        resource = asked["resource"] + (
            f"/{asked['subresource']}" if "subresource" in asked else ""
        )
        use = Use(asked["namespace"], asked["group"], resource, asked["verb"])
        yes = (asked["verb"], resource) not in self.cluster.denied
        yes = yes and use in self.cluster.rights.get(account, (use,))
        return {**body, "status": {"allowed": yes}}

    def _discovery(self, group: str, whole: bool) -> tuple[int, Object]:
        plurals = self.cluster.groups.get(group)
        if plurals is None:
            return 404, status(404, "NotFound", group)
        if not whole:
            return 200, {"preferredVersion": {"version": "v1alpha1"}}
        return 200, {"resources": [{"name": plural} for plural in plurals]}

    # ── answers ──────────────────────────────────────────────────────────────────────────────

    def _say(
        self, code: int, answer: Object | bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, event: Object) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def _end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _watch(self, path: str, query: Mapping[str, list[str]]) -> None:
        self._begin_stream()
        try:
            for event in self.cluster.watched(path, query):
                self._event(event)
            self._end_stream()
        except OSError:
            self.close_connection = True

    # ── commands in pods (RFC 6455, v4.channel.k8s.io) ───────────────────────────────────────

    def _exec(self, path: str, query: Mapping[str, list[str]]) -> None:
        pod = path.split("/")[-2]
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.end_headers()
        where, argv = query["container"][0], query["command"]
        process = self.cluster.spawn(pod, where, argv)
        if process is not None:
            out, code = self._pump(process, stdin="stdin" in query)
        else:
            out, code = self.cluster.command(pod, where, argv)
        self._finish(out, code)

    def _pump(self, process: Process, stdin: bool) -> tuple[str, int]:
        """Carry lines both ways until the process ends; what it said to stderr, and its code."""
        assert process.stdin and process.stdout and process.stderr
        if stdin:
            threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        else:
            process.stdin.close()
        for line in process.stdout:
            self._frame(0x2, b"\x01" + line)
        said = process.stderr.read().decode(errors="replace")
        code = process.wait(30)
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        return (said, code) if code else ("", 0)

    def _feed(self, process: Process) -> None:
        """What the client writes goes to the process (frames of a client are masked)."""
        with contextlib.suppress(OSError, ValueError):
            while head := self.rfile.read(2):
                size = head[1] & 0x7F
                if size == 126:
                    (size,) = struct.unpack(">H", self.rfile.read(2))
                mask = self.rfile.read(4)
                data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(size)))
                if head[0] & 0x0F == 0x8:
                    break
                if data[:1] == b"\x00" and process.stdin:
                    process.stdin.write(data[1:])
                    process.stdin.flush()

    def _finish(self, out: str, code: int) -> None:
        ending: Object = {"status": "Success"}
        if code:
            cause = {"reason": "ExitCode", "message": str(code)}
            ending = {
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "message": f"command terminated with exit code {code}",
                "details": {"causes": [cause]},
            }
        if out:
            self._frame(0x2, (b"\x01" if not code else b"\x02") + out.encode())
        self._frame(0x2, b"\x03" + json.dumps(ending).encode())
        self._frame(0x8, struct.pack(">H", 1000))
        self.close_connection = True
        with contextlib.suppress(OSError):  # what is left unread would take our last words along
            self.connection.settimeout(1.0)
            while self.connection.recv(1 << 16):
                pass

    def _frame(self, opcode: int, data: bytes) -> None:
        size = len(data)
        short = size if size < 126 else 126 if size < 1 << 16 else 127
        head = bytes([0x80 | opcode, short])
        head += b"" if size < 126 else struct.pack(">H" if size < 1 << 16 else ">Q", size)
        self.wfile.write(head + data)
        self.wfile.flush()
