"""The kernel's page of clock functions in a process (vdso(7)): how to make it tell another time.

Programs read the clock without a system call: the kernel maps a small library into each process,
and Go, glibc and others call `__vdso_clock_gettime` in it. The mapping is private to the process
once it is written to (through /proc/PID/mem, as a debugger sets a breakpoint there), so functions
can be replaced for one process and put back: by code that makes the system call and adds an offset
to the wall clock. Other clocks pass unchanged. A program that makes the system call itself, or one
linked to a page of its own, is not deceived: measure on the node. x86-64 only.
"""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SECOND_NS: Final = 10**9
#: Functions that tell the wall clock; the first must be there.
FUNCTIONS: Final = ("__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time")
_DT_STRTAB, _DT_SYMTAB = 5, 6
_PT_LOAD, _PT_DYNAMIC = 1, 2
_SYMBOLS_MAX = 64


@dataclass(frozen=True, slots=True)
class Function:
    """Where a function of the page begins, and how many bytes it has."""

    address: int
    size: int


def find(pid: int) -> Mapping[str, Function]:
    """The functions of a process's page that tell the wall clock; raises OSError."""
    low, high = _mapping(pid)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        image = os.pread(memory.fileno(), high - low, low)
    return {
        name: Function(low + address, size)
        for name, (address, size) in _symbols(image).items()
        if name in FUNCTIONS
    }


def why_not() -> str:
    """Why the page cannot be replaced on this machine, "" if it can (tried on this process)."""
    if platform.machine() != "x86_64":
        return f"the clock functions of {platform.machine()} are not known here, only x86_64's"
    try:
        functions = find(os.getpid())
        if FUNCTIONS[0] not in functions:
            return f"this kernel's page of clock functions has no {FUNCTIONS[0]}"
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            begin = functions[FUNCTIONS[0]].address
            same = os.pread(memory.fileno(), 16, begin)
            os.pwrite(memory.fileno(), same, begin)  # the page becomes this process's own
    except OSError as error:
        return f"this kernel lets nobody write to a process's clock functions: {error.strerror}"
    return ""


def code(name: str, offset_ns: int) -> bytes:
    """Machine code for a function: the system call, and the offset added to the wall clock."""
    seconds, rest_ns = divmod(offset_ns, SECOND_NS)
    if name == "__vdso_time":
        return b"".join(
            (
                b"\xb8\xc9\x00\x00\x00\x0f\x05",  # eax = 201 (time); syscall
                b"\x48\xb9" + struct.pack("<q", seconds),  # rcx = seconds
                b"\x48\x01\xc8",  # rax += rcx
                b"\x48\x85\xff\x74\x03",  # if rdi:
                b"\x48\x89\x07",  # [rdi] = rax
                b"\xc3",
            )
        )
    if name == "__vdso_gettimeofday":
        add = _add(b"\x07", b"\x4f", seconds, rest_ns // 1000, 10**6)
        skip = b"\x48\x85\xff\x74" + bytes([len(add)])  # unless rdi: leave
        return b"\xb8\x60\x00\x00\x00\x0f\x05" + _unless_failed(skip + add)
    add = _add(b"\x06", b"\x4e", seconds, rest_ns, SECOND_NS)
    # CLOCK_REALTIME (0) and CLOCK_REALTIME_COARSE (5) only
    skip = b"\x85\xff\x74\x05\x83\xff\x05\x75" + bytes([len(add)])
    return b"\xb8\xe4\x00\x00\x00\x0f\x05" + _unless_failed(skip + add)


def _unless_failed(body: bytes) -> bytes:
    return b"\x85\xc0\x75" + bytes([len(body)]) + body + b"\xc3"


def _add(first: bytes, second: bytes, whole: int, part: int, base: int) -> bytes:
    """Add to the two words of a time, with a carry; `first`, `second` name the register."""
    limit = struct.pack("<i", base)
    carry = b"\x48\x81\xe9" + limit + b"\x48\xff" + first  # rcx -= base; [r] += 1
    return b"".join(
        (
            b"\x48\xb9" + struct.pack("<q", whole),  # rcx = whole
            b"\x48\x01" + (b"\x0f" if first == b"\x07" else b"\x0e"),  # [r] += rcx
            b"\x48\xb9" + struct.pack("<q", part),  # rcx = part
            b"\x48\x03" + second + b"\x08",  # rcx += [r + 8]
            b"\x48\x81\xf9" + limit + b"\x7c" + bytes([len(carry)]) + carry,
            b"\x48\x89" + second + b"\x08",  # [r + 8] = rcx
            b"\x31\xc0",
        )
    )


def _mapping(pid: int) -> tuple[int, int]:
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        if line.endswith("[vdso]"):
            low, _, high = line.split()[0].partition("-")
            return int(low, 16), int(high, 16)
    raise OSError(2, "the process has no page of clock functions")


def _symbols(image: bytes) -> dict[str, tuple[int, int]]:
    """Names of the dynamic symbols of a 64-bit ELF image → (address, size)."""
    (headers_at,) = struct.unpack_from("<Q", image, 32)
    entry, count = struct.unpack_from("<HH", image, 54)
    loaded, dynamic = 0, 0
    for index in range(count):
        kind, _, at, address = struct.unpack_from("<IIQQ", image, headers_at + entry * index)
        if kind == _PT_LOAD:
            loaded = address - at
        elif kind == _PT_DYNAMIC:
            dynamic = at
    tables: dict[int, int] = {}
    while (tag := struct.unpack_from("<qQ", image, dynamic))[0] != 0:
        tables[tag[0]] = tag[1] - loaded
        dynamic += 16
    found = {}
    for index in range(1, _SYMBOLS_MAX):
        at = tables[_DT_SYMTAB] + 24 * index
        if at + 24 > len(image) or at == tables[_DT_STRTAB]:
            break
        name_at, _, _, _, address, size = struct.unpack_from("<IBBHQQ", image, at)
        begin = tables[_DT_STRTAB] + name_at
        name = image[begin : image.find(b"\0", begin)].decode("ascii", "replace")
        found[name] = (address - loaded, size)
    return found
