"""The Kubernetes API over HTTP: get, list, create, patch, replace, delete, watch; each bounded.

Configuration, credentials, TLS and the connection pool are those of the `kubernetes` client;
objects stay plain JSON, since most of what is spoken of here (Chaos Mesh, Argo) has no models in
it. What a server says when it is busy (429, 500, 502, 503, 504) or when the line is lost is tried
again within a bound (`PATIENCE_S`); what it says otherwise is an `ApiError` at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar, cast
from urllib.parse import quote, urlencode

from seatrial.errors import Unavailable
from seatrial.verdict import Json

#: An object as the API has it.
Object = dict[str, Any]
T = TypeVar("T")

#: How long one request may take to connect, and to be answered.
CONNECT_S = 5.0
ANSWER_S = 15.0
#: How long a request is tried again, and how often at the most.
PATIENCE_S = 30.0
TRIES_MAX = 8
BACKOFF_S = 0.1
BACKOFF_MAX_S = 5.0
#: A watch is renewed after so long; a server that ends them at once is asked so often only.
WATCH_SLICE_S = 20.0
WATCH_PAUSE_S = 0.1
#: How often an object is looked at that may not be watched.
REFUSED_PAUSE_S = 1.0
#: Requests under way at a time.
THREADS = 16
#: A line of a watch, or an answer, is never longer.
BYTES_MAX = 64 << 20
PAGE = 500
#: The annotation by which what was made is known again.
ATTEMPT = "seatrial/attempt"
PAGES_MAX = 200

BUSY = (429, 500, 502, 503, 504)
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class ApiError(Unavailable):
    """The API said no. `status` is HTTP's (0: there was no answer), `reason` Kubernetes' word."""

    def __init__(self, what: str, status: int, reason: str, message: str) -> None:
        self.status, self.reason = status, reason
        told = message or reason or "no answer"
        super().__init__(f"{what}: {told}" + (f" ({status})" if status else ""))


class TimedOut(Unavailable):
    """An object did not get into the state that was waited for."""


class Api:
    """One connection to a cluster's API. `close` when done."""

    def __init__(self, client: Any, patience_s: float = PATIENCE_S) -> None:
        self._client, self._patience_s = client, patience_s
        self._host: str = str(client.configuration.host).rstrip("/")
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kubernetes")
        self._jitter = random.Random()

    # ── requests ─────────────────────────────────────────────────────────────────────────────

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """The object (or list) at a path. Raises `ApiError`."""
        return await self._json("GET", path, params=params)

    async def find(self, path: str) -> Object | None:
        """The object at a path, None if there is none. Raises `ApiError`."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def items(self, path: str, labels: str = "", fields: str = "") -> list[Object]:
        """All objects of a collection, page by page."""
        params = {"limit": str(PAGE)}
        params |= {"labelSelector": labels} if labels else {}
        params |= {"fieldSelector": fields} if fields else {}
        found: list[Object] = []
        for _ in range(PAGES_MAX):
            page = await self.get(path, params)
            found += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            params["continue"] = more
        raise ApiError(f"GET {path}", 0, "TooMany", f"more than {PAGES_MAX * PAGE} objects")

    async def create(self, path: str, body: Mapping[str, Json]) -> Object:
        """Make an object. Raises `ApiError` (409: there is one of that name)."""
        return await self._json("POST", path, body=body)

    async def create_once(self, path: str, body: Mapping[str, Json]) -> Object:
        """Make an object that has a name, and know it again if the answer is lost on the way.

        Raises `ApiError` (409: somebody else has made one of that name).
        """
        attempt = uuid.uuid4().hex
        metadata = dict(cast(Mapping[str, Json], body["metadata"]))
        noted = cast(Mapping[str, Json], metadata.get("annotations") or {})
        metadata["annotations"] = {**noted, ATTEMPT: attempt}
        try:
            return await self.create(path, {**body, "metadata": metadata})
        except ApiError as error:
            there = await self.find(f"{path}/{metadata['name']}") if error.status == 409 else None
            made_by = ((there or {}).get("metadata") or {}).get("annotations") or {}
            if there is None or made_by.get(ATTEMPT) != attempt:
                raise
            return there

    async def replace(self, path: str, body: Mapping[str, Json]) -> Object:
        """Put an object in place of the version it was read at (409: there is a newer one)."""
        return await self._json("PUT", path, body=body)

    async def patch(
        self,
        path: str,
        body: Mapping[str, Json],
        kind: str = MERGE,
        params: Mapping[str, str] | None = None,
    ) -> Object:
        """Change an object; with `APPLY` make it if it is not there."""
        return await self._json("PATCH", path, body=body, kind=kind, params=params)

    async def delete(self, path: str, *, grace_s: int | None = None, uid: str = "") -> bool:
        """Ask for an object's end; False if it is not there. It may live on until its finalizers
        are gone. With `uid` only that very object's: one of its name that came later is left (a
        request whose answer was lost is made again)."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        options["propagationPolicy"] = "Background"
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._json("DELETE", path, body=options)
        except ApiError as error:
            if error.status == 404 or (uid and error.status == 409):
                return False
            raise
        return True

    async def text(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """What stands at a path that is no JSON (a log, an artifact)."""
        return await self.run(lambda: self._try_again("GET", path, params, None, ""))

    async def date(self) -> str:
        """The server's clock, as its answers say it (HTTP's `Date`, whole seconds)."""
        try:
            answer = await self.run(lambda: self._ask("GET", "/version", None, None, ""))
        except OSError as error:
            raise ApiError("GET /version", 0, "NoAnswer", _no_answer(error)) from None
        return answer[2].get("Date", "")

    async def run(self, work: Callable[[], T]) -> T:
        """Do something that waits for the network in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Free the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _json(
        self,
        method: Method,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Json] | None = None,
        kind: str = "application/json",
    ) -> Object:
        data = await self.run(lambda: self._try_again(method, path, params, body, kind))
        return _object(f"{method} {path}", data)

    def _try_again(
        self,
        method: Method,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Json] | None,
        kind: str,
    ) -> bytes:
        """Ask until there is an answer that means something, or patience ends."""
        deadline = time.monotonic() + self._patience_s
        for attempt in range(1, TRIES_MAX + 1):
            wait_s = min(BACKOFF_MAX_S, BACKOFF_S * 2**attempt) * (0.5 + self._jitter.random())
            try:
                status, data, headers = self._ask(method, path, params, body, kind)
            except OSError as error:
                failure = ApiError(f"{method} {path}", 0, "NoAnswer", _no_answer(error))
            else:
                if status < 400:
                    return data
                failure = _refusal(f"{method} {path}", status, data)
                if status not in BUSY:
                    raise failure
                asked = headers.get("Retry-After", "")
                wait_s = max(wait_s, float(asked)) if asked.isdigit() else wait_s
            if attempt == TRIES_MAX or time.monotonic() + wait_s > deadline:
                raise failure
            time.sleep(wait_s)
        raise AssertionError("the last try raises")

    def _ask(
        self,
        method: Method,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Json] | None,
        kind: str,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        answer = self._open(method, path, params, body, kind, ANSWER_S)
        try:
            data: bytes = answer.read(BYTES_MAX)
            return int(answer.status), data, dict(answer.headers)
        except Exception as error:
            raise _as_os_error(error) from error
        finally:
            answer.release_conn()

    def _open(
        self,
        method: Method,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Json] | None,
        kind: str,
        answer_s: float,
    ) -> Any:
        """The answer's head has come; its body is still to be read."""
        headers = {"Accept": "application/json, */*", "User-Agent": "seatrial", **self.headers()}
        if body is not None:
            headers["Content-Type"] = kind
        # An apply patch is YAML by name; JSON is YAML, and the client wants it as text.
        content: object = json.dumps(body) if body is not None and kind == APPLY else body
        try:
            return self._client.call_api(
                method,
                self.url(path, params),
                header_params=headers,
                body=content,
                _request_timeout=(CONNECT_S, answer_s),
            ).response
        except Exception as error:
            raise _as_os_error(error) from error

    @property
    def configuration(self) -> Any:
        """The client's: what a WebSocket needs as well."""
        return self._client.configuration

    def headers(self) -> dict[str, str]:
        """Who asks."""
        headers: dict[str, str] = {}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
        return headers

    def url(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """The address of a path on this cluster."""
        return f"{self._host}{path}" + (f"?{urlencode(params)}" if params else "")

    # ── waiting ──────────────────────────────────────────────────────────────────────────────

    async def until(
        self,
        collection: str,
        name: str,
        good: Callable[[Object | None], T | None],
        timeout_s: float,
    ) -> T:
        """Wait until `good` says something of an object (None: it is not there); what it said.

        Looks at the object, then watches it from there on; a watch that is dropped, or too old
        (410), or ends by itself, begins anew with a look. Raises `TimedOut`, `ApiError`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            seen = await self.find(f"{collection}/{name}")
            found = good(seen)
            if found is not None:
                return found
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimedOut(f"{collection}/{name}: not as wished within {timeout_s:g} s")
            version = ((seen or {}).get("metadata") or {}).get("resourceVersion", "")
            watching = self._watched(collection, name, version, good, min(left_s, WATCH_SLICE_S))
            found = await watching
            if found is not None:
                return found
            await asyncio.sleep(min(WATCH_PAUSE_S, max(0.0, deadline - time.monotonic())))

    async def _watched(
        self,
        collection: str,
        name: str,
        version: str,
        good: Callable[[Object | None], T | None],
        slice_s: float,
    ) -> T | None:
        """What `good` said of an event; None when the watch ended before."""
        answers: list[Any] = []

        def watch() -> T | None:
            for event in self._events(collection, name, version, slice_s, answers):
                gone = event["type"] == "DELETED"
                found = good(None if gone else event["object"])
                if found is not None:
                    return found
                if gone:
                    return None
            return None

        try:
            async with asyncio.timeout(slice_s):  # `wait_for` may swallow a cancellation
                return await self.run(watch)
        except ApiError as error:
            if error.status != 410:  # refused: this account may look, but not watch
                await asyncio.sleep(min(slice_s, REFUSED_PAUSE_S))
            return None
        except (OSError, TimeoutError):
            return None  # the next look says how things stand
        finally:
            for answer in answers:
                with contextlib.suppress(RuntimeError, ValueError):  # it has ended already
                    answer.shutdown()  # lets the thread go where nobody waits for it any more

    def _events(
        self, collection: str, name: str, version: str, slice_s: float, answers: list[Any]
    ) -> Iterator[Object]:
        """What happens to an object, until the slice ends. Raises `ApiError` (410), OSError."""
        params = {
            "watch": "1",
            "fieldSelector": f"metadata.name={name}",
            "timeoutSeconds": str(max(1, int(slice_s))),
        }
        params |= {"resourceVersion": version} if version else {}
        answer = self._open("GET", collection, params, None, "", slice_s + CONNECT_S)
        answers.append(answer)
        what = f"watch {collection}/{name}"
        try:
            if answer.status >= 400:
                raise _refusal(what, int(answer.status), answer.read(BYTES_MAX))
            for line in _lines(answer):
                event = _object(what, line)
                if event.get("type") == "ERROR":
                    raise _refusal(what, 410, json.dumps(event.get("object") or {}).encode())
                if event.get("type") in ("ADDED", "MODIFIED", "DELETED"):
                    yield event
        finally:
            answer.close()


def _lines(answer: Any) -> Iterator[bytes]:
    rest = b""
    try:
        for piece in answer.stream(decode_content=True):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line for line in whole if line.strip())
            if len(rest) > BYTES_MAX:
                raise OSError("a line of a watch has no end")
    except Exception as error:
        raise _as_os_error(error) from error


def _object(what: str, data: bytes) -> Object:
    try:
        found = json.loads(data)
    except ValueError:
        raise ApiError(what, 0, "NoJson", f"the answer is no JSON: {data[:80]!r}") from None
    if not isinstance(found, dict):
        raise ApiError(what, 0, "NoJson", "the answer is no object")
    return found


def _refusal(what: str, status: int, data: bytes) -> ApiError:
    try:
        told = json.loads(data)
        return ApiError(what, status, str(told["reason"]), str(told["message"]))
    except (ValueError, KeyError, TypeError):
        text = data[:200].decode(errors="replace").strip()
        return ApiError(what, status, "", text or "no reason given")


def _as_os_error(error: Exception) -> OSError:
    """Whatever the client raises when there is no answer."""
    return error if isinstance(error, OSError) else OSError(_no_answer(error))


def _no_answer(error: Exception) -> str:
    """In one line; the client says what was wrong with TLS in the `reason` of its exception."""
    if told := " ".join(str(getattr(error, "reason", None) or "").split()):
        return told
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no reason'}"


# ── reaching a cluster ───────────────────────────────────────────────────────────────────────

#: Where a pod finds its account's token.
ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def connect(context: str | None = None, patience_s: float = PATIENCE_S) -> Api:
    """The cluster that this pod runs in, or that the kubeconfig (and `context`) names.

    Raises `Unavailable` with the mend.
    """
    from kubernetes import client, config  # late: it takes most of a second

    configuration = client.Configuration()
    inside = os.path.exists(ACCOUNT_TOKEN) and "KUBERNETES_SERVICE_HOST" in os.environ
    try:
        if inside and context is None and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=os.environ.get("KUBECONFIG"),  # the client looks at import only
                context=context,
                client_configuration=configuration,
            )
    except Exception as error:  # the client has no root of its errors, and credentials can be any
        file = os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise Unavailable(
            f"no cluster can be reached by {file}: {_no_answer(error)}\n\n"
            "hint: KUBECONFIG=FILE, or a context of `kubectl config get-contexts`"
        ) from error
    configuration.retries = False  # tried again here, with a bound
    configuration.connection_pool_maxsize = THREADS
    made = client.ApiClient(configuration)
    made.rest_client.pool_manager.connection_pool_kw["ssl_context"] = tls()
    return Api(made, patience_s)


def tls() -> ssl.SSLContext:
    """Verifies chain, name and dates, but does not insist on extensions that RFC 5280 lets a CA
    leave out: Python does from 3.13 on, and the CAs of many clusters have none (of EKS, for
    instance: kubernetes-client/python issue 2394)."""
    from urllib3.util.ssl_ import create_urllib3_context

    context: ssl.SSLContext = create_urllib3_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def path_of(*parts: str) -> str:
    """A path from its parts, each quoted."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def selector(labels: Mapping[str, str]) -> str:
    """Labels as a selector."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def names(objects: Sequence[Object]) -> tuple[str, ...]:
    """The names of objects."""
    return tuple(str(one["metadata"]["name"]) for one in objects)
