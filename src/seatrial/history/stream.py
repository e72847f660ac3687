"""Recording a history to disk while it happens.

Ops gather in memory and go to the operating system as one Arrow record batch at least every half
second. What the operating system has, a SIGKILL of this process does not take: at most the last
second is lost, and `read_arrow` loads the rest. (A power failure is another matter: only `close`
asks the disk itself.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from seatrial.errors import CannotCreate
from seatrial.history.arrow import batch_of, schema
from seatrial.history.builder import TURN_OPS, HistoryBuilder
from seatrial.history.columns import History
from seatrial.op import Op

#: A batch is written at the latest this long after its first op, if anything calls in.
FLUSH_S = 0.5
#: A batch is written at the latest with this many ops …
BATCH_OPS = 1 << 14
#: … or this many micro-ops and elements, so that 32-bit offsets inside it never overflow.
BATCH_ITEMS = 1 << 24


class _File:
    """What pyarrow writes to: gathers the pieces of a message, so that one call writes it all."""

    def __init__(self, path: Path, exclusive: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self._path = path
        self._pieces: list[bytes] = []
        self._whole = 0
        self.closed = False
        try:
            self._fd = os.open(path, flags | (os.O_EXCL if exclusive else os.O_TRUNC), 0o644)
        except FileExistsError:
            raise CannotCreate(
                f"history {str(path)!r} is already there and is not written over\n\n"
                "hint: give another folder, or remove the file"
            ) from None
        except OSError as error:
            raise CannotCreate(
                f"cannot create history {str(path)!r}: {error.strerror}\n\n"
                "hint: choose a folder that exists and can be written"
            ) from error

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Hand everything gathered to the operating system, or leave the file as it was."""
        data = memoryview(b"".join(self._pieces))
        self._pieces.clear()
        done = 0
        try:
            while done < len(data):  # bounded: each turn writes at least a byte or raises
                done += os.write(self._fd, data[done:])
        except OSError as error:
            self._drop_piece()
            raise CannotCreate(
                f"cannot write history {str(self._path)!r}: {error.strerror}; "
                f"the first {self._whole:,} bytes are whole and can be loaded\n\n"
                "hint: make room on the disk, or store trials elsewhere"
            ) from error
        self._whole += len(data)

    def close(self, durable: bool) -> None:
        if self.closed:
            return
        self.closed = True
        try:
            if durable:
                os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def _drop_piece(self) -> None:
        try:
            os.ftruncate(self._fd, self._whole)
        except OSError:
            return  # a piece at the end is left: readers stop before it


class HistoryWriter:
    """Appends ops to a new history file. For one thread (or one event loop).

    `append` costs a few microseconds; every `FLUSH_S` it also writes the batch. An engine whose
    clients may all be stuck calls `tick` from a timer as well. Raises `CannotCreate` if the file
    exists already, cannot be created or cannot be written (disk full); what was written before
    stays loadable, and every later call raises the same again.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._file = _File(Path(path), exclusive=True)
        self._builder = HistoryBuilder()
        self._append = self._builder.append
        self._count = self._written = 0
        self._stored_atoms = 0
        self._due = float("inf")
        self._failure: str | None = None
        self._stream = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), schema(False))
        # Arrow writes the schema with the first batch: an empty one puts it on disk now.
        self._stream.write_batch(batch_of(self._builder.history(), (), False))
        self._guarded(self._file.flush)

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> HistoryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        if kind is None or self._failure is None:
            self.close()

    def append(self, op: Op) -> int:
        """Record one op; returns its index, its place in this history. O(size of the value).

        The op's own `index` is not looked at.
        """
        if self._failure is not None:
            raise CannotCreate(self._failure)
        self._append(op)
        index = self._count
        self._count = index + 1
        now = self._clock()
        if self._due > now + FLUSH_S:  # the first op of a batch
            self._due = now + FLUSH_S
        if (
            now >= self._due
            or self._count - self._written >= BATCH_OPS
            or (index % TURN_OPS == 0 and self._builder.items >= BATCH_ITEMS)
        ):
            self.flush()
        return index

    def tick(self) -> None:
        """Write what waits if it has waited long enough. Call it from a timer."""
        if self._clock() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write what waits. O(what waits)."""
        if self._failure is not None:
            raise CannotCreate(self._failure)
        if not len(self._builder):
            return
        atoms = self._builder.atoms
        batch = batch_of(self._builder.history(), atoms.values[self._stored_atoms :], False)
        self._builder = HistoryBuilder(atoms)
        self._written = self._count
        self._append = self._builder.append
        self._stored_atoms = len(atoms)
        self._due = float("inf")
        self._stream.write_batch(batch)
        self._guarded(self._file.flush)

    def close(self) -> None:
        """Write what waits and the end of the stream, and ask the disk to keep it."""
        if self._file.closed:
            return
        self.flush()
        self._stream.close()
        self._guarded(self._file.flush)
        self._file.close(durable=True)

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except CannotCreate as error:
            self._failure = str(error)
            self._file.close(durable=False)
            raise


def write_arrow(history: History, path: Path | str, *, batch_ops: int = BATCH_OPS) -> None:
    """Write a whole history, over a file that is there already. O(n), a batch at a time.

    Indexes that are not 0 … n−1 get a column of their own. Raises `CannotCreate`.
    """
    places = range(0, len(history), batch_ops)
    indexed = bool(len(history)) and (
        int(history.index[0]) != 0 or int(history.index[-1]) != len(history) - 1
    )
    file = _File(Path(path), exclusive=False)
    try:
        with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), schema(indexed)) as stream:
            new = history.atoms.values
            for start in places:
                part = history.rows(start, min(start + batch_ops, len(history)))
                stream.write_batch(batch_of(part, new, indexed))
                file.flush()
                new = ()
        file.flush()
    except BaseException:
        file.close(durable=False)
        raise
    file.close(durable=True)
