"""The tool's side of a shaper process: start it, ask it, notice its death, end it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from seatrial.engine.lab.sandbox import boot
from seatrial.errors import Unavailable
from seatrial.verdict import Json

#: How long the process may take to start or to answer.
ANSWER_TIMEOUT_S = 10.0
#: How long it may take to end once its socket is closed.
END_TIMEOUT_S = 2.0
_ANSWER_BYTES_MAX = 1 << 20

Popen: TypeAlias = subprocess.Popen[bytes]


class Shaper:
    """One process for the links that leave one node. Belongs to the running loop's thread."""

    def __init__(self, process: Popen, control: socket.socket, died: Callable[[str], None]) -> None:
        self._process, self._control, self._died = process, control, died
        self._buffer = b""
        self._number = 0
        self._lock = asyncio.Lock()
        self._gone = asyncio.Event()
        self._ending = False
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    @classmethod
    async def start(
        cls,
        launch: Callable[[Callable[[], Popen]], Awaitable[Popen]],
        *,
        name: str,
        device: str,
        died: Callable[[str], None],
    ) -> Shaper:
        """Start the process by `launch`, which calls its argument in the node's namespace.

        Returns when the TUN device `name` is there (down, and without routes). `died` is called
        with a sentence when the process ends unasked. Raises `Unavailable`.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        argv = [*boot("main", "seatrial.engine.lab.shaper.program"), name, device]
        try:
            process = await launch(
                lambda: subprocess.Popen(
                    argv, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
                )
            )
        except OSError as error:
            ours.close()
            raise Unavailable(f"the process for faulty links cannot start: {error}") from error
        finally:
            theirs.close()
        shaper = cls(process, ours, died)
        try:
            await shaper._answer()
        except BaseException:
            await shaper.stop()
            raise
        return shaper

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as it is known."""
        return not self._gone.is_set()

    async def ask(self, do: str, **fields: Json) -> Json:
        """Make a request; raises `Unavailable` with what it says, or when it is gone."""
        async with self._lock:
            self._number += 1
            line = json.dumps({"do": do, "number": self._number, **fields}).encode() + b"\n"
            try:
                await asyncio.get_running_loop().sock_sendall(self._control, line)
                return await self._answer()
            except OSError as error:
                raise Unavailable(f"the process for faulty links is gone: {error}") from error
            finally:
                if not self.alive:
                    self._control.close()

    async def _answer(self) -> Json:
        """The answer to the last request; those to requests that were given up are passed over."""
        answer: Mapping[str, Json] = {"number": -1}
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while answer["number"] != self._number:
                    answer = json.loads(await self._line())
        except TimeoutError:
            raise Unavailable(
                f"the process for faulty links did not answer within {ANSWER_TIMEOUT_S:g} s"
            ) from None
        if "error" in answer:
            raise Unavailable(
                f"a link cannot be shaped in user space: {answer['error']}\n\n"
                "hint: `seatrial doctor` says what is missing (/dev/net/tun)"
            )
        return answer["answer"]

    async def _line(self) -> bytes:
        loop = asyncio.get_running_loop()
        while b"\n" not in self._buffer:
            try:
                more = await loop.sock_recv(self._control, _ANSWER_BYTES_MAX)
            except OSError:
                more = b""
            if not more or len(self._buffer) > _ANSWER_BYTES_MAX:
                raise Unavailable("the process for faulty links ended without an answer")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def stop(self) -> None:
        """End it; returns when it is gone, and its device with it."""
        self._ending = True
        self._control.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), END_TIMEOUT_S)
            return
        self._process.kill()
        await self._gone.wait()

    def _on_exit(self) -> None:
        code = self._process.wait()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._gone.set()
        if not self._ending:
            if not self._lock.locked():  # else `ask` closes it
                self._control.close()
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            self._died(f"the process that shaped its links (pid {self.pid}) ended: {how}")
