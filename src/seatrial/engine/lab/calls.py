"""Calling an object of another process: a protocol's own methods, one JSON document a line.

What may be called is what a `Protocol` declares, and what goes through is checked by its own
annotations on both sides (Pydantic): a method that is added to the protocol can be called without
a word here. A request is `{"id", "on", "call", "args"}`, an answer `{"id", "ok"}` or `{"id",
"error", "kind"}`. Answers come in any order; a lost connection fails every call under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from seatrial import errors
from seatrial.errors import Absent, SeatrialError, Unavailable

#: A line is never longer.
LINE_BYTES_MAX: Final = 1 << 20
#: So many calls of one connection are under way at a time.
CALLS_MAX: Final = 64
#: A call without a waiting part of its own is answered within this time.
QUICK_TIMEOUT_S: Final = 30.0
#: How long answers under way may take when the server ends.
END_TIMEOUT_S: Final = 5.0
GONE: Final = "the trial's lab is gone"


class Wire:
    """How values of an annotation go through: as JSON and back, checked on both sides.

    A mapping goes as a list of pairs: JSON has no keys but texts, and links are pairs of names.
    """

    def __init__(self, hint: Any) -> None:
        arguments = get_args(hint)
        self._pairs = get_origin(hint) in (dict, Mapping) and arguments[0] is not str
        self._adapter: TypeAdapter[Any] = TypeAdapter(
            list[tuple[arguments]] if self._pairs else hint  # type: ignore[valid-type]
        )

    def pack(self, value: Any) -> Any:
        """As JSON."""
        plain = list(value.items()) if self._pairs else value
        return self._adapter.dump_python(plain, mode="json")

    def unpack(self, document: Any) -> Any:
        """The value; raises `ValidationError`."""
        value = self._adapter.validate_python(document)
        return dict(value) if self._pairs else value


@dataclass(frozen=True, slots=True)
class Member:
    """One method or property of a protocol: how it is called, and what goes in and out."""

    name: str
    kind: str
    takes: Mapping[str, Wire]
    gives: Wire

    def bind(self, args: tuple[object, ...], named: Mapping[str, object]) -> dict[str, Any]:
        """The arguments by name, as JSON."""
        by_name = {**dict(zip(self.takes, args, strict=False)), **named}
        return {n: self.takes[n].pack(value) for n, value in by_name.items()}


@cache
def members(protocol: type) -> Mapping[str, Member]:
    """What a protocol declares."""
    found = {}
    for name, value in vars(protocol).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            hints = get_type_hints(value.fget)
            found[name] = Member(name, "property", {}, Wire(hints["return"]))
        elif inspect.isfunction(value):
            hints = get_type_hints(value)
            kind = "waits" if inspect.iscoroutinefunction(value) else "at once"
            gives = Wire(hints.pop("return"))
            takes = {n: Wire(h) for n, h in hints.items()}
            found[name] = Member(name, kind, takes, gives)
    return found


# ── the side that is called ──────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Server:
    """Answers calls on named objects. `on_change` is told when a client comes or leaves."""

    objects: Mapping[str, tuple[type, object]]
    on_change: Callable[[], None] = field(default=lambda: None)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def clients(self) -> int:
        """How many connections are open."""
        return len(self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the other side closes it."""
        self._writers.add(writer)
        self.on_change()
        room = asyncio.Semaphore(CALLS_MAX)
        try:
            while line := await reader.readline():
                await room.acquire()
                task = asyncio.create_task(self._answer(line, writer, room))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (ConnectionError, ValueError):
            return  # it is gone, or talks nonsense without end
        finally:
            self._writers.discard(writer)
            self.on_change()
            writer.close()

    async def end(self) -> None:
        """Let answers under way go out, and close all connections."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_TIMEOUT_S)
        for writer in self._writers:
            writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                while self._writers:
                    await asyncio.sleep(0)

    async def _answer(
        self, line: bytes, writer: asyncio.StreamWriter, room: asyncio.Semaphore
    ) -> None:
        number: object = None
        try:
            request = json.loads(line)
            number = request["id"]
            answer: dict[str, Any] = {"id": number, "ok": await self._call(request)}
        except SeatrialError as error:
            answer = {"id": number, "error": str(error), "kind": type(error).__name__}
        except Exception as error:  # a defect here is the caller's to report
            text = f"{type(error).__name__}: {error}"
            answer = {"id": number, "error": text, "kind": type(error).__name__}
        finally:
            room.release()
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()

    async def _call(self, request: Mapping[str, Any]) -> object:
        protocol, target = self.objects[request["on"]]
        member = members(protocol)[request["call"]]
        args = {n: member.takes[n].unpack(v) for n, v in request["args"].items()}
        value = getattr(target, member.name)
        if member.kind == "waits":
            value = await value(**args)
        elif member.kind == "at once":
            value = value(**args)
        return member.gives.pack(value)


# ── the side that calls ──────────────────────────────────────────────────────────────────────


class Channel:
    """Two connections to a server: one for calls that wait, one for those answered at once."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, quick: socket.socket
    ) -> None:
        self._reader, self._writer = reader, writer
        self._quick, self._quick_in = quick, quick.makefile("rb")
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._listener = asyncio.create_task(self._listen(), name="calls")

    @classmethod
    async def open(cls, path: str) -> Channel:
        """Connect; raises OSError."""
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
        quick = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            quick.settimeout(QUICK_TIMEOUT_S)
            quick.connect(path)
        except OSError:
            quick.close()
            writer.close()
            raise
        return cls(reader, writer, quick)

    def to(self, on: str, protocol: type) -> Any:
        """Something that has the members of `protocol` and calls them over there."""
        return _Proxy(self, on, protocol)

    async def close(self) -> None:
        """Close both; never raises."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._quick_in.close()
        self._quick.close()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def call(self, on: str, member: Member, args: Mapping[str, Any]) -> Any:
        """Call a method that waits; raises what it raised, `Absent` if the other is gone."""
        if self._listener.done():
            raise Absent(GONE)
        self._number += 1
        number = self._number
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(_request(number, on, member.name, args))
            await self._writer.drain()
            return _result(await future, member)
        except ConnectionError:
            raise Absent(GONE) from None
        finally:
            self._waiting.pop(number, None)

    def call_at_once(self, on: str, member: Member, args: Mapping[str, Any]) -> Any:
        """Call a method that does not wait (some 100 µs, in which this process stands still)."""
        try:
            self._quick.sendall(_request(0, on, member.name, args))
            line = self._quick_in.readline(LINE_BYTES_MAX)
        except OSError as error:
            raise Absent(f"{GONE}: {error}") from None
        if not line:
            raise Absent(GONE)
        return _result(json.loads(line), member)

    async def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await self._reader.readline():
                answer = json.loads(line)
                waiting = self._waiting.get(answer["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Absent(GONE))


class _Proxy:
    def __init__(self, channel: Channel, on: str, protocol: type) -> None:
        self._channel, self._on, self._members = channel, on, members(protocol)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            member = self._members[name]
        except KeyError:
            raise AttributeError(name) from None
        if member.kind == "property":
            return self._channel.call_at_once(self._on, member, {})
        if member.kind == "waits":

            async def wait(*args: object, **named: object) -> Any:
                return await self._channel.call(self._on, member, member.bind(args, named))

            return wait

        def at_once(*args: object, **named: object) -> Any:
            return self._channel.call_at_once(self._on, member, member.bind(args, named))

        return at_once


def _request(number: int, on: str, call: str, args: Mapping[str, Any]) -> bytes:
    return json.dumps({"id": number, "on": on, "call": call, "args": args}).encode() + b"\n"


def _result(answer: Mapping[str, Any], member: Member) -> Any:
    if "error" not in answer:
        try:
            return member.gives.unpack(answer["ok"])
        except ValidationError as error:
            raise Unavailable(f"{member.name} gave what it should not: {error}") from None
    text, kind = str(answer["error"]), str(answer["kind"])
    known = getattr(errors, kind, None)
    if (
        inspect.isclass(known)
        and issubclass(known, SeatrialError)
        and known.__init__ is (Exception.__init__)
    ):
        raise known(text)
    if kind in ("TimeoutError", "OSError", "ConnectionError"):
        raise OSError(text)
    raise SeatrialError(text)
