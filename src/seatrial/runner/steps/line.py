"""The line of the step that carries the load: its clock, and its history so far, for other steps.

One word a line: `time` is answered with the axis' time in nanoseconds, `history` with a number of
bytes and then the bytes. Addresses are `unix:PATH` or `tcp:HOST:PORT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from seatrial.clock import Sighting, merge, sight
from seatrial.errors import Unavailable

#: So many exchanges make one sighting of the axis.
EXCHANGES = 8
#: How long an answer may take.
ANSWER_TIMEOUT_S = 10.0
#: How long the history so far may take to come over.
HISTORY_TIMEOUT_S = 300.0
LINE_BYTES_MAX = 4096
#: How long connections may take to close when the line ends.
CLOSE_TIMEOUT_S = 2.0
_CHUNK_BYTES = 1 << 20


class LineServer:
    """Answers at an address until closed. `history` is flushed by `flush` before it is sent."""

    def __init__(self, clock: Callable[[], int], history: Path, flush: Callable[[], None]) -> None:
        self._clock, self._history, self._flush = clock, history, flush
        self._server: asyncio.Server | None = None
        self._socket: Path | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self, address: str) -> None:
        """Begin; raises OSError."""
        kind, _, rest = address.partition(":")
        if kind == "unix":
            self._socket = Path(rest)
            with _short(self._socket) as path:
                self._server = await asyncio.start_unix_server(self._serve, path)
        else:
            host, _, port = rest.rpartition(":")
            self._server = await asyncio.start_server(self._serve, host, int(port))

    async def close(self) -> None:
        """End, and all connections with it."""
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)  # a room holds files only
        for writer in self._writers:
            writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while self._writers:
                    await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while word := await reader.readline():
                if word == b"time\n":
                    writer.write(b"%d\n" % self._clock())
                elif word == b"history\n":
                    await self._send_history(writer)
                else:
                    return
                await writer.drain()
        except (OSError, ValueError):
            return  # the other side is gone, or talks nonsense
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _send_history(self, writer: asyncio.StreamWriter) -> None:
        self._flush()
        size = self._history.stat().st_size
        writer.write(b"%d\n" % size)
        with self._history.open("rb") as file:
            while size > 0:
                piece = file.read(min(_CHUNK_BYTES, size))
                if not piece:
                    return
                size -= len(piece)
                writer.write(piece)
                await writer.drain()


class LineClient:
    """A connection to a line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()
        self.exchanges = 0
        self.fastest_ns: int | None = None

    @classmethod
    async def open(cls, address: str) -> LineClient:
        """Connect; raises `Unavailable`."""
        kind, _, rest = address.partition(":")
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                if kind == "unix":
                    with _short(Path(rest)) as path:
                        return cls(*await asyncio.open_unix_connection(path))
                host, _, port = rest.rpartition(":")
                return cls(*await asyncio.open_connection(host, int(port)))
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"the load's line {address} does not answer: {error}") from None

    async def now(self) -> int:
        """The axis' time, a moment ago. Raises `Unavailable`."""
        async with self._turn:
            self._writer.write(b"time\n")
            return int(await self._answer())

    async def look(self, own: Callable[[], int]) -> Sighting | None:
        """Exchange times; None if the answers contradict each other. Raises `Unavailable`."""
        seen = []
        for _ in range(EXCHANGES):
            async with self._turn:
                asked = own()
                self._writer.write(b"time\n")
                answered = int(await self._answer())
                heard = own()
            self.exchanges += 1
            self.fastest_ns = min(self.fastest_ns or heard - asked, heard - asked)
            seen.append(sight(asked, answered, heard))
        return merge(seen)

    async def history(self, into: Path) -> None:
        """Bring the history so far into a file; raises `Unavailable`."""
        async with self._turn:
            self._writer.write(b"history\n")
            size = int(await self._answer())
            try:
                async with asyncio.timeout(HISTORY_TIMEOUT_S):
                    with into.open("wb") as file:
                        while size > 0:
                            piece = await self._reader.readexactly(min(_CHUNK_BYTES, size))
                            size -= len(piece)
                            file.write(piece)
            except (OSError, EOFError, TimeoutError) as error:
                raise Unavailable(f"the history did not come over: {error}") from None

    async def close(self) -> None:
        """Close; never raises."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _answer(self) -> bytes:
        try:
            # Not `wait_for`: until Python 3.12 it may swallow a cancellation, and who looks for
            # the time again and again would never end.
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                line = await self._reader.readline()
        except (OSError, ValueError, TimeoutError) as error:
            raise Unavailable(f"the load's line was lost: {error}") from None
        if not line.endswith(b"\n"):
            raise Unavailable("the load's line was closed")
        return line


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A way to a Unix socket that is short enough whatever the folder's path is."""
    place = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{place}/{path.name}"
    finally:
        os.close(place)


def monotonic_ns() -> int:
    """This process's own clock: the kernel's CLOCK_MONOTONIC."""
    return time.monotonic_ns()
