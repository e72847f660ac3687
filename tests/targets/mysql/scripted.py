"""A server that speaks MySQL's protocol and answers as a script says, with faults of its own.

Only what the client under test uses: the handshake, COM_QUERY with text results, COM_PING,
COM_QUIT (MySQL's documentation, "Client/Server Protocol").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.target import Node

QUIT, QUERY, PING = 0x01, 0x03, 0x0E
#: PROTOCOL_41, CONNECT_WITH_DB, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH.
CAPABILITIES = 0x200 | 0x8 | 0x2000 | 0x8000 | 0x80000
AUTOCOMMIT = 0x2
UTF8 = 33
VAR_STRING, LONGLONG = 253, 8


@dataclass(frozen=True)
class Rows:
    """A result: names of columns, and rows of texts, numbers or nothing."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | None]] = ()


@dataclass(frozen=True)
class Refusal:
    """An error that the server tells."""

    number: int
    text: str = "?"


class Hang:
    """The server never answers."""


class Cut:
    """The server closes the connection instead of answering."""


Answer = Rows | Refusal | Hang | Cut | None
#: From a statement to what is answered; None is OK.
Script = Callable[[str], Answer]


@dataclass
class Scripted:
    """The server: where it is, and every statement that it was sent."""

    node: Node
    heard: list[str] = field(default_factory=list)


@asynccontextmanager
async def scripted(script: Script, name: str = "n1") -> AsyncIterator[Scripted]:
    """A server on a free port of this machine."""
    heard: list[str] = []
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await _serve(reader, writer, script, heard)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Scripted(Node(name, "127.0.0.1", {"sql": port}, Path(), Path()), heard)
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Script, heard: list[str]
) -> None:
    _send(writer, 0, _greeting())
    await _receive(reader)
    _send(writer, 2, _ok())
    while True:
        payload = await _receive(reader)
        if payload[0] == QUIT:
            return
        statement = payload[1:].decode(errors="replace") if payload[0] == QUERY else ""
        heard.append(statement)
        answer = script(statement) if payload[0] == QUERY else None
        if isinstance(answer, Hang):
            await asyncio.Event().wait()
        if isinstance(answer, Cut):
            return
        if isinstance(answer, Refusal):
            _send(writer, 1, _error(answer))
        elif isinstance(answer, Rows):
            _send_rows(writer, answer)
        else:
            _send(writer, 1, _ok())
        await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return await reader.readexactly(int.from_bytes(head[:3], "little"))


def _send(writer: asyncio.StreamWriter, number: int, payload: bytes) -> None:
    writer.write(len(payload).to_bytes(3, "little") + bytes([number % 256]) + payload)


def _greeting() -> bytes:
    return (
        b"\x0a8.0.11-TiDB-v8.5.3\0"
        + (7).to_bytes(4, "little")
        + b"12345678\0"
        + (CAPABILITIES & 0xFFFF).to_bytes(2, "little")
        + bytes([UTF8])
        + AUTOCOMMIT.to_bytes(2, "little")
        + (CAPABILITIES >> 16).to_bytes(2, "little")
        + bytes([21])
        + bytes(10)
        + b"123456789012\0"
        + b"mysql_native_password\0"
    )


def _ok() -> bytes:
    return b"\0\0\0" + AUTOCOMMIT.to_bytes(2, "little") + b"\0\0"


def _end() -> bytes:
    return b"\xfe\0\0" + AUTOCOMMIT.to_bytes(2, "little")


def _error(refusal: Refusal) -> bytes:
    return b"\xff" + refusal.number.to_bytes(2, "little") + b"#HY000" + refusal.text.encode()


def _text(data: bytes) -> bytes:
    assert len(data) < 251
    return bytes([len(data)]) + data


def _column(name: str, kind: int, charset: int) -> bytes:
    parts = b"".join(_text(part) for part in (b"def", b"", b"", b"", name.encode(), b""))
    return (
        parts
        + b"\x0c"
        + charset.to_bytes(2, "little")
        + (255).to_bytes(4, "little")
        + bytes([kind])
        + b"\0\0\0\0\0"
    )


def _send_rows(writer: asyncio.StreamWriter, answer: Rows) -> None:
    first = answer.rows[0] if answer.rows else [""] * len(answer.columns)
    packets = [bytes([len(answer.columns)])]
    for name, cell in zip(answer.columns, first, strict=True):
        packets.append(_column(name, LONGLONG if isinstance(cell, int) else VAR_STRING, UTF8))
    packets.append(_end())
    for row in answer.rows:
        packets.append(
            b"".join(b"\xfb" if cell is None else _text(str(cell).encode()) for cell in row)
        )
    packets.append(_end())
    for number, packet in enumerate(packets, 1):
        _send(writer, number, packet)
