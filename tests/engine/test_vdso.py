"""Replaced clock functions tell the wall clock with an offset, and other clocks as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from seatrial import vdso

#: Run in a process of its own: nobody else's clock is to be off.
PROGRAM = """
import ctypes, json, os, sys, time
from seatrial import vdso

class Pair(ctypes.Structure):
    _fields_ = [("whole", ctypes.c_long), ("part", ctypes.c_long)]

libc = ctypes.CDLL(None)
libc.time.restype = ctypes.c_long
offset = int(sys.argv[1])
functions = vdso.find(os.getpid())

def read():
    pair = Pair()
    assert libc.gettimeofday(ctypes.byref(pair), None) == 0
    assert 0 <= pair.part < 10**6
    return {
        "clock": time.time_ns(),
        "coarse": time.clock_gettime_ns(time.CLOCK_REALTIME_COARSE)
        if hasattr(time, "CLOCK_REALTIME_COARSE") else time.clock_gettime_ns(5),
        "day": pair.whole * 10**9 + pair.part * 1000,
        "time": libc.time(None) * 10**9,
        "monotonic": time.monotonic_ns(),
        "thread": time.thread_time_ns(),
    }

fd = os.open("/proc/self/mem", os.O_RDWR)
old = {f.address: os.pread(fd, len(vdso.code(n, offset)), f.address) for n, f in functions.items()}
before = read()
for name, found in functions.items():
    os.pwrite(fd, vdso.code(name, offset), found.address)
shifted = [read() for _ in range(50)]
for address, code in old.items():
    os.pwrite(fd, code, address)
print(json.dumps([before, shifted, read()]))
"""
NEAR_NS = 2 * 10**9


@pytest.mark.skipif(bool(vdso.why_not()), reason=vdso.why_not())
@pytest.mark.parametrize(
    "offset", [3600 * 10**9, -3600 * 10**9, 999_999_999, -1, -86_400 * 10**9 - 123_456_789]
)
def test_the_wall_clock_is_off_by_the_offset_and_nothing_else(offset: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(offset)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    before, shifted, after = json.loads(ran.stdout)
    for reading in shifted:
        for name in ("clock", "coarse", "day", "time"):
            assert abs(reading[name] - before[name] - offset) < NEAR_NS, name
        for name in ("monotonic", "thread"):
            assert 0 <= reading[name] - before[name] < NEAR_NS, name
    for name in before:
        assert abs(after[name] - before[name]) < NEAR_NS, name


def test_the_code_fits_where_it_is_to_stand() -> None:
    if vdso.why_not():
        pytest.skip(vdso.why_not())
    functions = vdso.find(os.getpid())
    assert vdso.FUNCTIONS[0] in functions
    for name, found in functions.items():
        assert len(vdso.code(name, 10**9)) <= found.size
