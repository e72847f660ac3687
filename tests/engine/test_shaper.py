"""The boxes of shaped links on a virtual clock: shares, order, times, bounds, healing."""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.engine.lab.shaper import stages
from seatrial.engine.lab.shaper.link import Link
from seatrial.engine.lab.shaper.stages import ORDER, Bandwidth, Draws, Rate, Stage, make
from seatrial.fault import Shape

MS = 1_000_000
#: The machine may be busy: an example is not wrong because it took long.
CALM = settings(max_examples=60, deadline=None)
HEADER = bytes([0x45]) + bytes(19)

seeds = st.integers(0, 2**32).map(str)
shares = st.floats(1, 100)
correlations = st.floats(0, 90)


def packet(number: int, size: int = 40) -> bytes:
    """An IPv4 packet with a number behind its header."""
    return HEADER + struct.pack("!I", number) + bytes(size - 24)


def number(of: bytes) -> int:
    return int(struct.unpack_from("!I", of, 20)[0])


class Clock:
    """A link on a virtual clock; `out` has (moment, packet)."""

    def __init__(self, *shapes: Shape, seed: str = "1") -> None:
        self.now = 0
        self.out: list[tuple[int, bytes]] = []
        self.link = Link(lambda sent: self.out.append((self.now, sent)))
        for index, shape in enumerate(shapes):
            self.add(f"f{index}", shape, seed)

    def add(self, fault: str, shape: Shape, seed: str = "1") -> None:
        self.link.add(fault, shape.action, make(shape.action, asdict(shape), f"{seed} {fault}"))

    def until(self, moment: int) -> None:
        while (due := self.link.due()) is not None and due <= moment:
            self.now = max(self.now, due)
            self.link.run(self.now)
        self.now = max(self.now, moment)

    def push(self, moment: int, sent: bytes) -> None:
        self.until(moment)
        self.link.push(sent, self.now)

    def end(self) -> None:
        self.until(10**15)

    @property
    def numbers(self) -> list[int]:
        return [number(sent) for _, sent in self.out]


def stage(action: str, seed: str = "1", **values: float) -> Stage:
    return make(action, asdict(Shape("loss")) | values, seed)


def fates(box: Stage, count: int) -> list[int]:
    """How many copies of each packet come out of a box that holds none."""
    return [len(box.put(packet(index), index)) for index in range(count)]


@given(share=shares, correlation=correlations, seed=seeds)
@settings(max_examples=40, deadline=None)
def test_a_share_is_kept_whatever_the_correlation(
    share: float, correlation: float, seed: str
) -> None:
    count, rho, p = 4000, correlation / 100, share / 100

    lost = fates(stage("loss", seed, percent=share, correlation=correlation), count).count(0)
    twice = fates(stage("duplicate", seed, percent=share, correlation=correlation), count).count(2)

    spread = (count * p * (1 - p) * (1 + rho) / (1 - rho)) ** 0.5
    assert abs(lost - p * count) <= 7 * spread + 1 / (1 - rho)
    assert abs(twice - p * count) <= 7 * spread + 1 / (1 - rho)


@given(correlation=st.floats(0, 0.95), seed=seeds)
@settings(max_examples=20, deadline=None)
def test_neighbouring_draws_are_equal_as_often_as_the_correlation_says(
    correlation: float, seed: str
) -> None:
    draws = Draws(Random(seed).random, correlation)
    values = [draws.next() for _ in range(4000)]
    equal = sum(a == b for a, b in itertools.pairwise(values)) / 3999

    assert abs(equal - correlation) < 7 * (correlation * (1 - correlation) / 3999) ** 0.5 + 1e-9
    assert all(0 <= value < 1 for value in values)


@pytest.mark.parametrize("action", ["loss", "duplicate", "corrupt", "delay", "reorder"])
def test_the_same_seed_gives_the_same_fate_and_another_one_another(action: str) -> None:
    def fate(seed: str) -> list[tuple[int, bytes]]:
        shape = Shape(action, latency_ms=9, jitter_ms=9, percent=50, correlation=20)  # type: ignore[arg-type]
        clock = Clock(shape, seed=seed)
        for index in range(200):
            clock.push(index * MS, packet(index))
        clock.end()
        return clock.out

    assert fate("7") == fate("7") != fate("8")


@given(seed=seeds, size=st.integers(21, 1500), options=st.integers(0, 10))
@CALM
def test_a_damaged_packet_differs_in_one_bit_behind_its_header(
    seed: str, size: int, options: int
) -> None:
    header = 20 + 4 * options
    whole = bytes([0x40 | header // 4]) + bytes(header - 1) + bytes(size)

    (damaged,) = stage("corrupt", seed, percent=100).put(whole, 0)

    assert damaged[:header] == whole[:header]
    difference = int.from_bytes(damaged, "big") ^ int.from_bytes(whole, "big")
    assert difference.bit_count() == 1


@given(words=st.lists(st.integers(0, 0xFFFF), min_size=2, max_size=40), seed=seeds)
@CALM
def test_the_internet_checksum_finds_every_damage(words: list[int], seed: str) -> None:
    """RFC 1071: which is why applications over TCP see a loss and never a wrong byte."""
    payload = struct.pack(f"!{len(words)}H", *words)
    payload += struct.pack("!H", 0xFFFF - _sum(payload))
    assert _sum(payload) == 0xFFFF

    (damaged,) = stage("corrupt", seed, percent=100).put(HEADER + payload, 0)

    assert _sum(damaged[20:]) != 0xFFFF


def _sum(data: bytes) -> int:
    total = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_packet_without_a_payload_is_not_damaged() -> None:
    assert stage("corrupt", percent=100).put(HEADER, 0) == (HEADER,)


delays = st.builds(
    lambda latency, part: Shape("delay", latency_ms=latency, jitter_ms=latency * part),
    st.floats(1, 500),
    st.floats(0, 1),
)
gaps = st.lists(st.integers(0, 20 * MS), min_size=1, max_size=60)


@given(shapes=st.lists(delays, min_size=1, max_size=3), gaps=gaps, seed=seeds)
@CALM
def test_each_packet_waits_as_long_as_all_delays_together_say(
    shapes: Sequence[Shape], gaps: Sequence[int], seed: str
) -> None:
    clock = Clock(*shapes, seed=seed)
    sent, moment = {}, 0
    for index, gap in enumerate(gaps):
        moment += gap
        sent[index] = moment
        clock.push(moment, packet(index))
    clock.end()

    least = sum(shape.latency_ms - shape.jitter_ms for shape in shapes) * MS
    most = sum(shape.latency_ms + shape.jitter_ms for shape in shapes) * MS
    assert sorted(clock.numbers) == sorted(sent)
    for arrived, one in clock.out:
        assert least - 5 <= arrived - sent[number(one)] <= most + 5


@given(gaps=gaps, latency=st.floats(1, 500))
@CALM
def test_a_delay_without_jitter_keeps_the_order(gaps: Sequence[int], latency: float) -> None:
    clock = Clock(Shape("delay", latency_ms=latency))
    moment = 0
    for index, gap in enumerate(gaps):
        moment += gap
        clock.push(moment, packet(index))
    clock.end()

    assert clock.numbers == list(range(len(gaps)))


def test_the_median_of_a_delay_with_jitter_is_the_latency() -> None:
    clock = Clock(Shape("delay", latency_ms=50, jitter_ms=10, correlation=25))
    for index in range(5000):
        clock.push(index * MS, packet(index))
    clock.end()
    waits = sorted(at - number(sent) * MS for at, sent in clock.out)

    assert abs(waits[2500] - 50 * MS) < MS
    assert 40 * MS <= waits[0] < 40.2 * MS and 59.8 * MS < waits[-1] <= 60 * MS


@given(
    sizes=st.lists(st.integers(24, 1500), min_size=1, max_size=80),
    spacing=st.integers(0, 5 * MS),
    bits_per_s=st.integers(8_000, 10_000_000),
)
@CALM
def test_a_rate_sends_one_packet_after_another(
    sizes: Sequence[int], spacing: int, bits_per_s: int
) -> None:
    """Against the recursion of a single server (Lindley 1952), in exact fractions."""
    clock = Clock(Shape("rate", bits_per_s=bits_per_s))
    expected, free = [], Fraction(0)
    for index, size in enumerate(sizes):
        clock.push(index * spacing, packet(index, size))
        free = max(free, Fraction(index * spacing))
        free += Fraction((size + 14) * 8 * 10**9, bits_per_s)
        expected.append(free)
    clock.end()

    assert clock.numbers == list(range(len(sizes)))
    for (at, _), due in zip(clock.out, expected, strict=True):
        assert abs(at - due) <= 1 + float(due) * 1e-9


@given(
    sizes=st.lists(st.integers(24, 1500), min_size=1, max_size=80),
    spacing=st.integers(0, 5 * MS),
    bits_per_s=st.integers(64_000, 10_000_000),
    buffer_bytes=st.integers(1514, 20_000),
)
@CALM
def test_a_bucket_lets_no_more_through_than_it_holds_and_its_rate(
    sizes: Sequence[int], spacing: int, bits_per_s: int, buffer_bytes: int
) -> None:
    """In every stretch between two departures: bytes ≤ buffer + rate · time."""
    shape = Shape("bandwidth", bits_per_s=bits_per_s, limit_bytes=10**9, buffer_bytes=buffer_bytes)
    clock = Clock(shape)
    for index, size in enumerate(sizes):
        clock.push(index * spacing, packet(index, size))
    clock.end()

    assert clock.numbers == list(range(len(sizes)))
    for first in range(len(sizes)):
        total = 0
        for at, sent in clock.out[first:]:
            total += len(sent) + 14
            stretch = at - clock.out[first][0]
            assert total <= buffer_bytes + bits_per_s * stretch / 8e9 + 1


def test_a_bucket_is_as_quick_as_it_may() -> None:
    """What fits into the bucket passes at once, the rest exactly at the rate."""
    clock = Clock(Shape("bandwidth", bits_per_s=8000, limit_bytes=10_000, buffer_bytes=3000))
    for index in range(6):
        clock.push(0, packet(index, 986))
    clock.end()

    assert [at // MS for at, _ in clock.out] == [0, 0, 0, 1000, 2000, 3000]


def test_queues_drop_at_their_ends() -> None:
    thin = Rate(8000)
    for index in range(stages.RATE_PACKETS_MAX + 5):
        thin.put(packet(index), 0)
    assert (thin.held, thin.dropped) == (stages.RATE_PACKETS_MAX, 5)
    assert number(thin.take()) == 0, "the tail is dropped, not the head"

    bucket = Bandwidth(8000, 2000, 1600)
    passed = [len(bucket.put(packet(index, 986), 0)) for index in range(5)]
    assert passed == [1, 0, 0, 0, 0]
    assert (bucket.held, bucket.dropped) == (2, 2)
    assert bucket.put(packet(9, 1600), 0) == () and bucket.dropped == 3, "larger than the bucket"


@pytest.mark.parametrize("action", ["delay", "reorder"])
def test_memory_has_a_bound(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "HELD_PACKETS_MAX", 10)
    box = stage(action, latency_ms=1, percent=0.0001)
    for index in range(12):
        box.put(packet(index), 0)
    assert (box.held, box.dropped) == (10, 2)

    monkeypatch.setattr(stages, "HELD_PACKETS_MAX", 1000)
    monkeypatch.setattr(stages, "HELD_BYTES_MAX", 1000)
    box = stage(action, latency_ms=1, percent=0.0001)
    for index in range(12):
        box.put(packet(index, 100), 0)
    assert (box.held, box.dropped) == (10, 2)
    assert len(box.take_due(10**12)) == 10
    assert box.put(packet(1, 100), 0) == () and box.held == 1, "room again"


@given(share=st.floats(5, 95), gap=st.integers(1, 10), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_reordering_lets_one_in_a_gap_pass(share: float, gap: int, seed: str) -> None:
    box = stage("reorder", seed, percent=share, gap=gap, latency_ms=10)
    passing = [index for index in range(2000) if box.put(packet(index), index)]

    assert all(b - a >= gap for a, b in itertools.pairwise(passing))
    cycle = gap - 1 + 100 / share
    spread = (2000 / cycle) ** 0.5 * (1 - share / 100) ** 0.5 + 1
    assert abs(len(passing) - 2000 / cycle) < 7 * spread


shapes = st.one_of(
    delays,
    st.builds(lambda p: Shape("duplicate", percent=p), shares),
    st.builds(lambda p: Shape("reorder", percent=p, latency_ms=20), shares),
    st.builds(lambda r: Shape("rate", bits_per_s=r), st.integers(64_000, 10_000_000)),
)


@given(
    shapes=st.lists(shapes, min_size=1, max_size=4),
    heal_at=st.lists(st.integers(0, 300), min_size=4, max_size=4),
    seed=seeds,
)
@CALM
def test_faults_heal_in_any_order_and_lose_nothing(
    shapes: Sequence[Shape], heal_at: Sequence[int], seed: str
) -> None:
    """Every packet arrives, as often as without healing; after the last healing at once."""
    clock = Clock(*shapes, seed=seed)
    moments = {f"f{index}": heal_at[index] * MS for index in range(len(shapes))}
    for index in range(300):
        for fault in [name for name, at in moments.items() if at <= index * MS]:
            clock.until(index * MS)
            clock.link.remove(fault, clock.now)
            del moments[fault]
        clock.push(index * MS, packet(index))
    for fault in list(moments):
        clock.link.remove(fault, clock.now)
    last = clock.now
    clock.end()

    assert set(clock.numbers) == set(range(300))
    assert clock.out[-1][0] <= last and clock.link.due() is None
    if all(shape.action != "duplicate" for shape in shapes):
        assert Counter(clock.numbers) == Counter(range(300))


def test_healing_one_fault_leaves_what_another_holds() -> None:
    clock = Clock(Shape("delay", latency_ms=100), Shape("delay", latency_ms=300))
    clock.push(0, packet(1))
    clock.until(10 * MS)
    clock.link.remove("f0", clock.now)
    assert clock.out == []
    clock.end()
    assert clock.out == [(310 * MS, packet(1))], "from the first box to the next one at 10 ms"


def test_the_order_of_boxes_does_not_depend_on_which_fault_came_first() -> None:
    forth, back = Clock(), Clock()
    both = {"a": Shape("rate", bits_per_s=80_000), "b": Shape("delay", latency_ms=50, jitter_ms=40)}
    for clock, names in ((forth, ["a", "b"]), (back, ["b", "a"])):
        for name in names:
            clock.add(name, both[name])
        for index in range(50):
            clock.push(index * MS, packet(index))
        clock.end()

    assert forth.out == back.out
    assert {shape.action for shape in both.values()} < set(ORDER)


def test_a_fault_that_is_there_already_keeps_its_box() -> None:
    clock = Clock(Shape("delay", latency_ms=50))
    clock.push(0, packet(1))
    clock.add("f0", Shape("delay", latency_ms=999))
    clock.end()
    assert clock.out == [(50 * MS, packet(1))]
    clock.link.remove("nobody", 0)
    assert list(clock.link.faults()) == ["f0"]
