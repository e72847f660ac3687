"""Commands inside of a pod (`exec`), over the WebSocket that the API server offers for it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import CONNECT_S, Api, ApiError

#: How long a command may take unless it says otherwise.
COMMAND_S = 15.0
STDOUT, STDERR = 1, 2
#: How long the last word of a command that hears nothing any more is waited for.
LAST_WORD_S = 1.0
#: How long a container that is started again is waited for, and how soon it is tried anew.
START_S: Final = 20.0
START_POLL_S: Final = 0.5
#: What API server, container runtime and kernel say of a container that does not run now, or
#: for which another one stands in (as while Chaos Mesh lets a pod fail).
ABSENT: Final = (
    "container not found",
    "executable file not found",
    "no running task found",
    "is not running",
    "cannot exec in a stopped",
    # Ended with its container, in the middle of a command.
    "exit code 137",
    "exit code 143",
    "socket is already closed",
)

#: Prints `PID STATE START` for each process of the name $1 (fields 1, 3 and 22 of its stat).
FIND = (
    'for p in /proc/[0-9]*; do read -r c < "$p/comm" 2>/dev/null || continue; '
    '[ "$c" = "$1" ] || continue; s=$(cat "$p/stat" 2>/dev/null) || continue; '
    'set -- "$1" ${s##*) }; echo "${p#/proc/} $2 ${21}"; done'
)


def is_absent(error: Exception) -> bool:
    """Whether a command was not carried out as its container does not run, or was ended."""
    return isinstance(error, ApiError) and any(word in str(error) for word in ABSENT)


def command(
    api: Api,
    namespace: str,
    pod: str,
    container: str,
    argv: Sequence[str],
    timeout_s: float,
    patience_s: float = START_S,
) -> str:
    """Carry out a command in a container; what it wrote. This call waits, and stands still.

    A container that does not run is waited for: another fault may be on its pod, or have just
    ended. Raises `ApiError`: the pod is gone, the command is not there, failed, or took too long.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with contextlib.closing(Session(api, namespace, pod, container, argv)) as session:
                return session.rest(timeout_s)
        except ApiError as error:
            if not is_absent(error) or time.monotonic() > deadline:
                raise
        time.sleep(START_POLL_S)


class Session:
    """A command in a container that is spoken to: a line in, a line out. Each call stands still.

    Raises `ApiError`, as `command` does. Must be closed.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        pod: str,
        container: str,
        argv: Sequence[str],
        *,
        stdin: bool = False,
    ) -> None:
        import websocket
        from kubernetes.stream.ws_client import WSClient

        self._what = f"exec in {pod}/{container}: {' '.join(argv)[:80]}"
        query = [("container", container), ("stdout", "true"), ("stderr", "true")]
        query += [("stdin", "true")] if stdin else []
        query += [("command", word) for word in argv]
        url = api.url(f"{paths.pods(namespace)}/{pod}/exec") + "?" + urlencode(query)
        url = "ws" + url.removeprefix("http")
        self._troubles = (OSError, websocket.WebSocketException)
        websocket.setdefaulttimeout(CONNECT_S)
        try:
            self._client = WSClient(api.configuration, url, api.headers(), capture_all=True)
        except Exception as error:  # the client has no root of its errors
            why = str(error).partition("\n")[0]
            raise ApiError(self._what, 0, "NoAnswer", why) from None

    def say(self, line: str) -> None:
        """Write a line to the command."""
        try:
            self._client.write_stdin(line + "\n")
        except self._troubles as error:
            with contextlib.suppress(*self._troubles):  # its last word says more
                self._client.run_forever(timeout=LAST_WORD_S)
                self._insist()
            raise ApiError(self._what, 0, "NoAnswer", str(error)) from None

    def line(self, timeout_s: float) -> str:
        """The command's next line; raises if it ends, or says nothing in time."""
        try:
            found = str(self._client.readline_channel(STDOUT, timeout_s) or "")
            if found:
                return found
            if not self._client.is_open():
                self._insist()
        except self._troubles as error:
            raise ApiError(self._what, 0, "NoAnswer", str(error)) from None
        raise ApiError(self._what, 0, "Timeout", f"no word within {timeout_s:g} s")

    def rest(self, timeout_s: float) -> str:
        """All that it writes until it ends; raises if it fails, or does not end in time."""
        try:
            self._client.run_forever(timeout=timeout_s)
            if self._client.is_open():
                raise ApiError(self._what, 0, "Timeout", f"no end within {timeout_s:g} s")
            out = str(self._client.read_channel(STDOUT))
            self._insist()
            return out
        except self._troubles as error:
            raise ApiError(self._what, 0, "NoAnswer", str(error)) from None

    def close(self) -> None:
        """At once: the server has said its last word, or will not."""
        self._client.sock.shutdown()

    def _insist(self) -> None:
        from kubernetes.stream.ws_client import ERROR_CHANNEL

        said = str(self._client.read_channel(STDERR)).strip()
        _insist(self._what, self._client.read_channel(ERROR_CHANNEL), said)


def _insist(what: str, ending: Any, said: str) -> None:
    """The last word of the server is a Status; anything but success is raised."""
    try:
        status = json.loads(ending or "{}")
    except ValueError:
        status = {}
    if status.get("status") != "Success":
        last = said.rpartition("\n")[2]  # of a traceback the line that says what
        why = last or status.get("message") or "it ended without a word"
        raise ApiError(what, 0, str(status.get("reason", "")), str(why))


async def carry_out(
    api: Api,
    namespace: str,
    pod: str,
    container: str,
    argv: Sequence[str],
    timeout_s: float = COMMAND_S,
    patience_s: float = START_S,
) -> str:
    """The same without standing still."""
    words = (namespace, pod, container, argv, timeout_s, patience_s)
    return await api.run(lambda: command(api, *words))
