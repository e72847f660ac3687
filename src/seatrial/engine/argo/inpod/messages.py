"""What HTTP requests to other pods come to: HTTPChaos stands before a pod's port, seen from others.

`python -m seatrial.engine.argo.inpod.messages SPEC`, JSON: `to` (list of HOST:PORT), `method`,
`path`, `headers`, `times`. Each request is a connection of its own. Prints JSON: address → list of
`{"took_s", "error", "status", "headers", "body"}`; `error` is why there was no answer.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import Any

ANSWER_S = 8.0
#: So much of a body is brought home.
BODY_BYTES = 4096


def request(address: str, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    """One request and what became of it."""
    host, _, port = address.rpartition(":")
    begin = time.monotonic()
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=ANSWER_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(BODY_BYTES)
    except (OSError, http.client.HTTPException) as error:
        why = f"{type(error).__name__}: {error}"
        return {"took_s": time.monotonic() - begin, "error": why}
    finally:
        connection.close()
    return {
        "took_s": time.monotonic() - begin,
        "error": "",
        "status": answer.status,
        "headers": {name.lower(): value for name, value in answer.getheaders()},
        "body": body.decode("utf-8", "replace"),
    }


def main() -> None:
    """Ask and tell."""
    spec = json.loads(sys.argv[1])
    told = {
        address: [
            request(address, spec["method"], spec["path"], spec["headers"])
            for _ in range(int(spec["times"]))
        ]
        for address in spec["to"]
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
