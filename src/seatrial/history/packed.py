"""Files that are packed (gzip, zstd, bzip2, xz): unpacked beside, read, and removed again."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa

from seatrial.errors import BadData, NoInput, SeatrialError

#: An unpacked history may be this long: a small file must not fill a disk.
UNPACKED_BYTES_MAX: Final = 64 << 30
_CHUNK = 4 << 20


def _zstd(path: Path) -> IO[bytes]:
    stream: Any = pa.input_stream(str(path), compression="zstd")
    return stream  # type: ignore[no-any-return]  # reads and closes as a file does


_OPEN: Final[dict[bytes, tuple[str, Callable[[Path], Any]]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"\x28\xb5\x2f\xfd": ("zstd", _zstd),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ": ("xz", lzma.open),
}


def is_packed(head: bytes) -> bool:
    """Whether a file that begins with `head` can be unpacked here."""
    return head.startswith(tuple(_OPEN))


@contextlib.contextmanager
def unpacked(path: Path, head: bytes) -> Iterator[Path]:
    """The unpacked file, while it is needed; errors about it name the packed one. O(n).

    Raises `BadData` if it is damaged or longer than `UNPACKED_BYTES_MAX`, `NoInput` if there is no
    room for it.
    """
    name, opened = next(how for mark, how in _OPEN.items() if head.startswith(mark))
    inner = path.stem if path.suffix in {".gz", ".zst", ".zstd", ".bz2", ".xz"} else path.name
    with tempfile.TemporaryDirectory(prefix="seatrial-unpacked-") as folder:
        plain = Path(folder) / inner
        try:
            with opened(path) as packed, plain.open("wb") as out:
                _copy(packed, out, path)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, pa.ArrowException) as why:
            raise BadData(
                f"{str(path)!r} is packed with {name}, and damaged ({why})\n\nhint: pack it again"
            ) from why
        except OSError as why:
            raise NoInput(
                f"cannot unpack {str(path)!r}: {why.strerror or why}\n\n"
                f"hint: unpack it to where there is room, then give that file ({folder} is full?)"
            ) from why
        try:
            yield plain
        except SeatrialError as error:
            raise type(error)(str(error).replace(str(plain), str(path))) from error


def _copy(packed: IO[bytes], out: IO[bytes], path: Path) -> None:
    total = 0
    while chunk := packed.read(_CHUNK):  # bounded by UNPACKED_BYTES_MAX
        total += len(chunk)
        if total > UNPACKED_BYTES_MAX:
            raise BadData(
                f"{str(path)!r} is longer than {UNPACKED_BYTES_MAX >> 30} GiB when unpacked\n\n"
                "hint: a history of that size is not judged here"
            )
        out.write(chunk)
