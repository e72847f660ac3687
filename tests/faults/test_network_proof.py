"""The proofs of faults on packets: a link with the fault passes, one without it never does.

The datagrams that a proof would send are played through the shaper's own boxes on a virtual
clock, beside other faults, and what would have arrived is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from seatrial.engine import packets
from seatrial.engine.lab.shaper.link import Link
from seatrial.engine.lab.shaper.stages import make
from seatrial.fault import Arrivals, Shape, Traffic
from seatrial.faults import network_options as options_of
from seatrial.faults import network_proof as proof
from seatrial.verdict import Json

HEADERS = bytes([0x45]) + bytes(27)


def datagram(number: int, moment: int, size: int) -> bytes:
    head = packets.HEAD.pack(packets.MAGIC, number, moment)
    body = head + packets.SUM.pack(crc32(head))
    return HEADERS + body + bytes(max(0, size - len(HEADERS) - len(body)))


def play(shapes: Sequence[Shape], traffic: Traffic, seed: str) -> Arrivals:
    """What becomes of the datagrams on a link with these faults."""
    now, arrivals, passed = 0, [], []

    def send(packet: bytes) -> None:
        if packet[20:28] == HEADERS[20:28]:  # else UDP would not deliver it
            arrivals.append((now + 20_000, packet[28:]))
        passed.append((now, len(packet) + packets.ETHERNET_BYTES))

    link = Link(send)
    for index, shape in enumerate(shapes):
        stage = make(shape.action, asdict(shape), f"{seed} {index}")
        link.add(f"f{index}", shape.action, stage)
    last = 0
    for number in range(traffic.packets):
        last = int(number * traffic.interval_s * 1e9)
        while (due := link.due()) is not None and due <= last:
            now = max(due, now)
            link.run(now)
        now = last
        link.push(datagram(number, now, traffic.packet_bytes), now)
    end = last + int(traffic.patience_s * 1e9)
    while (due := link.due()) is not None and due <= end:
        now = due
        link.run(now)
    found = packets.judge(traffic.packets, traffic.packet_bytes, arrivals)
    bits_per_s = packets.throughput(passed, 0, last) if traffic.count_bits else 0.0
    offered = (traffic.packet_bytes + packets.ETHERNET_BYTES) * 8 / traffic.interval_s
    return replace(found, bits_per_s=bits_per_s, offered_bits_per_s=offered)


correlations = st.floats(0, options_of.CORRELATION_MAX)
percents = st.floats(1, 100)


@st.composite
def owns(draw: st.DrawFn) -> Shape:
    """A fault with any options that are allowed (a rate that is quick to simulate)."""
    action = draw(st.sampled_from([*options_of.OPTIONS]))
    values: dict[str, float | int] = {}
    if action == "delay":
        values["latency_ms"] = draw(st.floats(1, 2000))
        values["jitter_ms"] = values["latency_ms"] * draw(st.sampled_from([0, 0.2, 1]))
        values["correlation"] = draw(correlations)
    elif action in ("rate", "bandwidth"):
        values["bits_per_s"] = draw(st.integers(8_000, 500_000)) * 8
        if action == "bandwidth":
            most = int(values["bits_per_s"] / 8 * options_of.BUFFER_S_MAX)
            values["buffer_bytes"] = draw(st.integers(1514, most))
    else:
        values["percent"], values["correlation"] = draw(percents), draw(correlations)
        if action == "reorder":
            values["gap"] = draw(st.integers(1, 5))
            values["latency_ms"] = draw(st.floats(5, 500))
    try:
        return options_of.shape(action, options_of.OPTIONS[action].model_validate(values))
    except ValidationError:
        return options_of.shape(action, options_of.OPTIONS[action]())


others = st.lists(
    st.sampled_from(
        [
            Shape("delay", latency_ms=30, jitter_ms=5),
            Shape("loss", percent=10, correlation=25),
            Shape("duplicate", percent=5),
            Shape("corrupt", percent=5),
        ]
    ),
    max_size=2,
    unique_by=lambda shape: shape.action,
)
seeds = st.integers(0, 10**6).map(str)


@given(own=owns(), rest=others, seed=seeds)
@settings(max_examples=40, deadline=None)
def test_a_fault_is_seen_while_it_acts_and_not_afterwards(
    own: Shape, rest: list[Shape], seed: str
) -> None:
    rest = [shape for shape in rest if shape.action != own.action]
    there, without = proof.expect([own, *rest]), proof.expect(rest)

    broken = play([own, *rest], proof.traffic(own, there), seed)
    mended = play(rest, proof.traffic(own, without), seed)

    assert proof.acts(own, there, without, broken) == ""
    assert proof.gone(own, without, broken) != ""
    assert proof.acts(own, there, without, mended) != "" or (
        own.bits_per_s and without.survival < 1
    )
    ended = proof.gone(own, without, mended)
    assert ended == "" or (rest and "cannot be told beside" in ended)


@pytest.mark.parametrize("action", ["delay", "loss", "duplicate", "corrupt"])
def test_two_faults_of_a_kind_on_a_link_are_told_apart(action: str) -> None:
    kind = options_of.OPTIONS[action]  # type: ignore[index]
    own = options_of.shape(action, kind())  # type: ignore[arg-type]
    both, one = proof.expect([own, own]), proof.expect([own])
    for seed in "abcdef":
        two = play([own, own], proof.traffic(own, both), seed)
        single = play([own], proof.traffic(own, one), seed)
        assert proof.acts(own, both, one, two) == ""
        assert proof.gone(own, one, single) == ""
        assert proof.gone(own, one, two) != "" or action != "delay"


def test_a_far_worse_link_than_asked_for_is_not_the_fault() -> None:
    asked = Shape("loss", percent=10)
    seen = play([Shape("loss", percent=90)], proof.traffic(asked, proof.expect([asked])), "1")
    assert "at most expected" in proof.acts(asked, proof.expect([asked]), proof.expect([]), seen)
    asked = Shape("delay", latency_ms=20)
    seen = play([Shape("delay", latency_ms=300)], proof.traffic(asked, proof.expect([asked])), "1")
    assert "at most expected" in proof.acts(asked, proof.expect([asked]), proof.expect([]), seen)


def test_a_link_through_which_nothing_comes_proves_neither_delay_nor_rate() -> None:
    nothing = Arrivals(100, 0, 0, 0, 0, ())
    for own in (Shape("delay", latency_ms=20), Shape("rate", bits_per_s=1e6)):
        there = proof.expect([own])
        assert "nothing" in proof.acts(own, there, proof.expect([]), nothing) or own.latency_ms
        assert proof.acts(own, there, proof.expect([]), nothing)
        assert proof.gone(own, proof.expect([]), nothing)


def test_a_line_that_was_not_filled_proves_nothing() -> None:
    own = Shape("rate", bits_per_s=1e6)
    seen = Arrivals(100, 100, 0, 0, 0, (1.0,), bits_per_s=9e5, offered_bits_per_s=9e5)
    assert "could be sent" in proof.acts(own, proof.expect([own]), proof.expect([]), seen)


def test_all_packets_lost_is_a_loss_of_a_hundred_percent() -> None:
    own = Shape("loss", percent=100)
    nothing = Arrivals(100, 0, 0, 0, 0, ())
    assert proof.acts(own, proof.expect([own]), proof.expect([]), nothing) == ""
    assert proof.gone(own, proof.expect([]), nothing) == "100 of 100 packets lost"


@given(st.permutations(range(8)))
@settings(deadline=None)
def test_overtaking_is_counted_as_a_person_would(order: list[int]) -> None:
    expected = sum(
        any(later < number for later in order[place + 1 :]) for place, number in enumerate(order)
    )
    arrivals = [(place, datagram(number, 0, 60)[28:]) for place, number in enumerate(order)]
    assert packets.judge(8, 60, arrivals).overtaking == expected


def test_damage_and_copies_are_counted() -> None:
    whole = [(10 + number, datagram(number, 0, 100)[28:]) for number in range(4)]
    padding = bytearray(whole[1][1])
    padding[-1] ^= 1
    head = bytearray(whole[2][1])
    head[6] ^= 1
    seen = packets.judge(
        4, 100, [whole[0], whole[0], (11, bytes(padding)), (12, bytes(head)), whole[3]]
    )
    assert (seen.arrived, seen.duplicated, seen.corrupted) == (4, 1, 2)
    assert seen.latencies_ms == (10 / 1e6, 11 / 1e6, 13 / 1e6)


def test_readings_are_json() -> None:
    seen: Mapping[tuple[str, str], Arrivals] = {
        ("a", "b"): Arrivals(2, 1, 0, 0, 0, (3.0,), 5.0, 9.0)
    }
    assert proof.readings(seen) == {
        "a → b": {
            "sent": 2,
            "arrived": 1,
            "duplicated": 0,
            "corrupted": 0,
            "overtaking": 0,
            "latency_ms": {"min": 3.0, "median": 3.0, "max": 3.0},
            "bits_per_s": 5,
            "offered_bits_per_s": 9,
        }
    }


def test_a_link_that_is_worse_than_before_is_named() -> None:
    """More lost, or slower; but a line that was filled loses by itself."""

    def read(arrived: int, median_ms: float, **more: Json) -> dict[str, Json]:
        return {"sent": 100, "arrived": arrived, "latency_ms": {"median": median_ms}, **more}

    before = {"a → b": read(99, 1.0), "b → a": read(90, 4.0), "a → c": read(60, 900.0)}
    assert proof.worse(before, before) == []
    now = {"a → b": read(90, 1.0), "b → a": read(90, 14.0), "c → a": read(0, 0.0)}
    assert proof.worse(before, now) == [
        "a → b: 10% of the packets lost, 1% before",
        "b → a: packets take 14.0 ms, 4.0 ms before",
    ]
    assert proof.worse(before, {"a → b": read(50, 500.0, bits_per_s=1000)}) == []
    assert proof.worse({"a → b": {"sent": 100, "arrived": 0}}, before) == []
