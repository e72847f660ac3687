"""The program behind one node's volume: serves the kernel, obeys the lab, fails as it is told.

`python -c … server.main()` with JSON in `sys.argv[1]`: `fuse_fd` (of /dev/fuse, mounted already),
`control_fd` (a stream socket: one JSON command a line, one JSON answer a line), `folder` (empty,
for contents) and `metadata`. One thread: a request that is to wait stands in a heap until it is
due, and the others pass it. It ends when either descriptor is closed on the other side.

Commands (`do`): `rules` sets what fails and what is late; `cut` takes the disk's power: from then
on no `fsync` returns, until `drop` throws away what had not reached the disk and the power is
back; `stats` counts. Standard library only: it starts in a few milliseconds.
"""

from __future__ import annotations

import errno
import heapq
import json
import os
import random
import select
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from seatrial.engine.lab import syscalls
from seatrial.engine.lab.volume import wire
from seatrial.engine.lab.volume.store import Store

#: No request waits longer, whatever the rules add up to.
DELAY_S_MAX = 8.0
#: A command is never longer.
COMMAND_BYTES_MAX = 64 * 1024
_GONE = (errno.ENODEV, errno.ENOTCONN, errno.EBADF)


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to `methods`: a delay of `latency_s` ± `jitter_s`, or the error `errno`.

    It happens to `percent` of the requests.
    """

    methods: frozenset[str]
    latency_s: float
    jitter_s: float
    errno: int
    percent: float


class Server:
    """One volume."""

    def __init__(self, fuse: int, control: socket.socket, store: Store, folder: str) -> None:
        self._fuse, self._control, self._store = fuse, control, store
        self._wire = wire.Wire(store, folder)
        self._rules: tuple[Rule, ...] = ()
        self._random = random.Random()
        self._cut = False
        #: Requests that wait: (due, number, header, body); without power `fsync`s by `unique`.
        self._late: list[tuple[float, int, tuple[int, ...], bytes]] = []
        self._held: set[int] = set()
        self._arrivals = 0
        self._line = b""
        self._buffer = bytearray(wire.REQUEST_MAX)
        self._counts: dict[str, int] = {}

    def serve(self) -> None:
        """Until the mount or the lab is gone."""
        poll = select.poll()
        poll.register(self._fuse, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        while True:
            for fd, events in poll.poll(self._timeout_ms()):
                if fd == self._fuse:
                    if events & (select.POLLERR | select.POLLNVAL) or not self._request():
                        return
                elif not self._command():
                    return
            self._serve_late()

    def _timeout_ms(self) -> int | None:
        if not self._late:
            return None
        return max(0, int((self._late[0][0] - time.monotonic()) * 1000 + 0.999))

    # ── the kernel's side ────────────────────────────────────────────────────────────────────

    def _request(self) -> bool:
        """Read one request and carry it out, or have it wait; False when the mount is gone."""
        try:
            length = os.readv(self._fuse, [self._buffer])
        except OSError as error:
            return error.errno not in _GONE  # ENOENT: the request was withdrawn
        header = wire.IN_HEADER.unpack_from(self._buffer)
        body = memoryview(self._buffer)[wire.IN_HEADER.size : length]
        opcode, unique, node = header[1], header[2], header[3]
        if opcode in (wire.FORGET, wire.BATCH_FORGET):
            self._wire.forget(opcode, node, body)
        elif opcode == wire.INTERRUPT:
            self._interrupt(int.from_bytes(body[:8], "little"))
        elif opcode == wire.DESTROY:
            self._reply(unique, b"")
            return False
        else:
            self._begin(header, body)
        return True

    def _begin(self, header: tuple[int, ...], body: memoryview) -> None:
        opcode, unique = header[1], header[2]
        name = wire.NAMES.get(opcode, "")
        delay_s = 0.0
        for rule in self._rules:
            if name in rule.methods and self._random.random() * 100 < rule.percent:
                if rule.errno:
                    self._count(f"failed {name}")
                    self._refuse(unique, rule.errno)
                    return
                delay_s += rule.latency_s + rule.jitter_s * self._random.uniform(-1, 1)
        if delay_s > 0:
            self._count(f"delayed {name}")
            due = time.monotonic() + min(delay_s, DELAY_S_MAX)
            self._arrivals += 1
            heapq.heappush(self._late, (due, self._arrivals, header, bytes(body)))
        else:
            self._carry_out(header, body)

    def _serve_late(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, header, body = heapq.heappop(self._late)
            self._carry_out(header, memoryview(body))

    def _carry_out(self, header: tuple[int, ...], body: memoryview) -> None:
        _, opcode, unique, node, uid, gid, *_ = header
        if self._cut and wire.reaches_the_disk(opcode, body):
            self._held.add(unique)
            return
        try:
            out = self._wire.carry_out(opcode, node, body, uid, gid)
        except OSError as error:
            self._refuse(unique, error.errno or errno.EIO)
            return
        self._reply(unique, out)

    def _interrupt(self, unique: int) -> None:
        """The caller of a held `fsync` was killed: let it go. All else is carried out."""
        if unique in self._held:
            self._held.discard(unique)
            self._refuse(unique, errno.EINTR)

    def _reply(self, unique: int, out: bytes) -> None:
        self._send([wire.OUT_HEADER.pack(wire.OUT_HEADER.size + len(out), 0, unique), out])

    def _refuse(self, unique: int, number: int) -> None:
        self._send([wire.OUT_HEADER.pack(wire.OUT_HEADER.size, -number, unique)])

    def _send(self, parts: list[bytes]) -> None:
        try:
            os.writev(self._fuse, parts)
        except OSError as error:
            if error.errno not in (errno.ENOENT, *_GONE):  # nobody waits for it any more
                raise

    # ── the lab's side ───────────────────────────────────────────────────────────────────────

    def _command(self) -> bool:
        """Obey what has arrived; False when the lab has closed its side."""
        try:
            data = self._control.recv(COMMAND_BYTES_MAX)
        except ConnectionError:
            return False
        if not data:
            return False
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            answer = self._obey(json.loads(line))
            self._control.sendall(json.dumps(answer).encode() + b"\n")
        return True

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "rules":
                self._rules = tuple(
                    Rule(**{**rule, "methods": frozenset(rule["methods"])})
                    for rule in command["rules"]
                )
            case "cut":
                self._cut = True
            case "drop":
                return self._drop()
            case "stats":
                pass
        return {
            "rules": len(self._rules),
            "cut": self._cut,
            "counts": self._counts,
            "unsynced": self._store.unsynced(),
        }

    def _drop(self) -> dict[str, Any]:
        """Everything that waits is refused, the store loses what was not on its disk."""
        for unique in [*self._held, *(header[2] for _, _, header, _ in self._late)]:
            self._refuse(unique, errno.EIO)
        self._held.clear()
        self._late.clear()
        lost = self._store.lose_power()
        self._cut = False
        return {"lost": lost}

    def _count(self, what: str) -> None:
        self._counts[what] = self._counts.get(what, 0) + 1


def main() -> NoReturn:
    """Serve one volume as told by the JSON in `sys.argv[1]`."""
    syscalls.die_with_parent()
    spec = json.loads(sys.argv[1])
    store = Store(spec["folder"], spec["metadata"])
    control = socket.socket(fileno=spec["control_fd"])
    Server(spec["fuse_fd"], control, store, spec["folder"]).serve()
    store.close()
    os._exit(0)
