"""Commands inside of a pod (`exec`), over the WebSocket that the API server offers for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import CONNECT_S, Api, ApiError

#: How long a command may take unless it says otherwise.
COMMAND_S = 15.0
STDOUT, STDERR = 1, 2

#: Prints `PID STATE START` for each process of the name $1 (fields 1, 3 and 22 of its stat).
FIND = (
    'for p in /proc/[0-9]*; do read -r c < "$p/comm" 2>/dev/null || continue; '
    '[ "$c" = "$1" ] || continue; s=$(cat "$p/stat" 2>/dev/null) || continue; '
    'set -- "$1" ${s##*) }; echo "${p#/proc/} $2 ${21}"; done'
)
SIGNAL = 'kill -"$1" "$2"'


def command(
    api: Api, namespace: str, pod: str, container: str, argv: Sequence[str], timeout_s: float
) -> str:
    """Carry out a command in a container; what it wrote. This call waits, and stands still.

    Raises `ApiError`: the pod is gone, the command is not there, failed, or took too long.
    """
    import websocket
    from kubernetes.stream.ws_client import ERROR_CHANNEL, WSClient

    what = f"exec in {pod}/{container}: {' '.join(argv)[:80]}"
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("command", word) for word in argv]
    url = api.url(f"{paths.pods(namespace)}/{pod}/exec") + "?" + urlencode(query)
    url = "ws" + url.removeprefix("http")
    websocket.setdefaulttimeout(CONNECT_S)
    try:
        client = WSClient(api.configuration, url, api.headers(), capture_all=True)
    except Exception as error:  # the client has no root of its errors
        raise ApiError(what, 0, "NoAnswer", str(error).partition("\n")[0]) from None
    try:
        client.run_forever(timeout=timeout_s)
        if client.is_open():
            raise ApiError(what, 0, "Timeout", f"no end within {timeout_s:g} s")
        out = str(client.read_channel(STDOUT))
        said = str(client.read_channel(STDERR)).strip()
        _insist(what, client.read_channel(ERROR_CHANNEL), said)
        return out
    except (OSError, websocket.WebSocketException) as error:
        raise ApiError(what, 0, "NoAnswer", str(error)) from None
    finally:
        client.sock.shutdown()  # at once: the server has said its last word, or will not


def _insist(what: str, ending: Any, said: str) -> None:
    """The last word of the server is a Status; anything but success is raised."""
    try:
        status = json.loads(ending or "{}")
    except ValueError:
        status = {}
    if status.get("status") != "Success":
        why = said or status.get("message") or "it ended without a word"
        raise ApiError(what, 0, str(status.get("reason", "")), str(why))


async def carry_out(
    api: Api,
    namespace: str,
    pod: str,
    container: str,
    argv: Sequence[str],
    timeout_s: float = COMMAND_S,
) -> str:
    """The same without standing still."""
    return await api.run(lambda: command(api, namespace, pod, container, argv, timeout_s))
