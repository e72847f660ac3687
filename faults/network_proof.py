"""What a link with faults on it should show, how to measure it, and whether a reading fits.

Every bound is one-sided enough not to call a busy machine a missing fault, and tight enough that
a link without the fault never passes: shares are compared with a third of the fault's own part
(more than 30 events are sent for, so chance alone misses that once in 10⁷ readings), a median
with half of its own delay, a throughput with a line that carries half as much again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from seatrial.fault import Action, Arrivals, Shape, Traffic
from seatrial.verdict import Json

#: As many events as a reading should show (times one over the share of fresh draws).
EVENTS = 30
#: Half of a delay is so many standard errors of the median (which is jitter / √packets).
MEDIAN_ERRORS = 2 * 5
PACKETS = (100, 5000)
PACKET_BYTES = 500
#: The share of damaged datagrams that UDP does not deliver: the bit is in its own header.
UNDELIVERED = 8 / (PACKET_BYTES - 20)
#: The sending for one reading lasts about so long, where the number of packets allows it.
SENDING_S = 0.4
INTERVAL_S = (0.0004, 0.004)
#: A line is filled for so long, with so many times what it carries.
FILLING_S = 1.0
OVERLOAD = 1.5
FULL_RATIO = 1.15
#: A line that was offered less than so many times its rate was not filled.
FILLED_RATIO = 1.25
#: A link that carries so many times the rate is not held to it.
FREE_RATIO = 1.3
#: How long a datagram may take besides the faults' delay.
SLACK_S = 0.3
#: What a busy machine may lose, double or add all by itself.
ROUGH_SHARE = 0.02
ROUGH_MS = 50.0
#: A link is worse than before from so much on.
WORSE_SHARE = 0.05
WORSE_TIMES = 2.0
WORSE_MS = 5.0
#: A probe uses up to this share of a thin line that is not itself what is measured.
PROBE_SHARE = 0.3
_ETHERNET_BYTES = 14
_HIDDEN = "cannot be told beside other faults"
_PACKET_BYTES_MIN = 52


@dataclass(frozen=True, slots=True)
class Expected:
    """What all faults on one direction do together."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    survival: float = 1.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    reorder: float = 0.0
    bits_per_s: float = math.inf

    def share(self, action: Action) -> float:
        """The expected share of packets that an action meets."""
        return {
            "loss": 1 - self.survival * (1 - self.corrupt * UNDELIVERED),
            "duplicate": self.duplicate,
            "corrupt": self.corrupt,
            "reorder": self.reorder,
        }[action]


def expect(shapes: Sequence[Shape]) -> Expected:
    """Faults on one direction add up: independent shares, sums of delays, the least rate."""
    whole = {"loss": 1.0, "duplicate": 1.0, "corrupt": 1.0, "reorder": 1.0}
    latency_ms = jitter_ms = 0.0
    for one in shapes:
        if one.action in whole:
            whole[one.action] *= 1 - _share(one)
        latency_ms += one.latency_ms
        jitter_ms += one.jitter_ms
    return Expected(
        latency_ms=latency_ms,
        jitter_ms=jitter_ms,
        survival=whole["loss"],
        duplicate=1 - whole["duplicate"],
        corrupt=1 - whole["corrupt"],
        reorder=1 - whole["reorder"],
        bits_per_s=min((s.bits_per_s for s in shapes if s.bits_per_s), default=math.inf),
    )


def _share(one: Shape) -> float:
    share = one.percent / 100
    return share if one.action != "reorder" else 1 / (one.gap - 1 + 1 / share)


def _runs(one: Shape) -> float:
    """The share of packets that are surely seen to be met: of a run of packets that pass the
    others, only the first one surely overtakes.
    """
    alone = one.action != "reorder" or one.gap > 1
    return _share(one) if alone else _share(one) * (1 - one.percent / 100)


def traffic(own: Shape, all_there: Expected) -> Traffic:
    """What to send through a direction to see `own` among `all_there` (which may include it)."""
    patience_s = (max(all_there.latency_ms, own.latency_ms) + all_there.jitter_ms) / 1000 + SLACK_S
    if own.bits_per_s:
        return _filling(own, patience_s)
    packets = _packets(own, all_there)
    interval_s = min(max(SENDING_S / packets, INTERVAL_S[0]), INTERVAL_S[1])
    size = PACKET_BYTES if own.action == "corrupt" or all_there.corrupt else _PACKET_BYTES_MIN
    if all_there.bits_per_s < math.inf:
        thin_s = (size + _ETHERNET_BYTES) * 8 / (PROBE_SHARE * all_there.bits_per_s)
        interval_s, patience_s = max(interval_s, thin_s), patience_s + 10 * thin_s + SLACK_S
    if own.action == "reorder":
        interval_s = min(interval_s, own.latency_ms / 5000)
    return Traffic(packets, size, interval_s, patience_s)


def _packets(own: Shape, all_there: Expected) -> int:
    """Enough packets for `EVENTS` independent events, or for a median that chance moves little."""
    correlation = own.correlation / 100
    if own.action == "delay":
        jitter_ms = max(own.jitter_ms, all_there.jitter_ms)
        needed = (MEDIAN_ERRORS * jitter_ms / own.latency_ms) ** 2
        needed *= (1 + correlation) / (1 - correlation)
    else:
        needed = EVENTS / (_runs(own) * (1 - correlation))
    return math.ceil(min(max(needed, PACKETS[0]), PACKETS[1]))


def _filling(own: Shape, patience_s: float) -> Traffic:
    """Datagrams that overload a line, and empty its bucket before they are counted."""
    offered = OVERLOAD * own.bits_per_s + 8 * own.buffer_bytes / (0.1 * FILLING_S)
    size = min(1000, max(_PACKET_BYTES_MIN, int(own.bits_per_s / 8 / 60)))
    interval_s = (size + _ETHERNET_BYTES) * 8 / offered
    return Traffic(math.ceil(FILLING_S / interval_s), size, interval_s, patience_s, True)


def acts(own: Shape, there: Expected, rest: Expected, seen: Arrivals) -> str:
    """Why a reading does not show `own` (part of `there`, without which it is `rest`); "" if it
    does.
    """
    if own.action in ("rate", "bandwidth"):
        if rest.bits_per_s <= own.bits_per_s:
            return "a thinner line of another fault hides it"
        if seen.bits_per_s > FULL_RATIO * own.bits_per_s:
            return f"{_bits(seen.bits_per_s)} came through"
        if seen.offered_bits_per_s < FILLED_RATIO * own.bits_per_s:
            return f"no more than {_bits(seen.offered_bits_per_s)} could be sent: nothing is shown"
        return "" if seen.bits_per_s else "nothing came through"
    if own.action == "delay":
        return _delayed(own, there, seen)
    if own.action == "reorder" and rest.jitter_ms:
        return "" if _held_back_ms(own, rest, seen) > 0 else "no packet is held back"
    count = counted(own.action, seen)
    low, high = _bounds(own, there, rest, seen.sent)
    if count < low:
        return f"{count} of {seen.sent} packets {WORDS[own.action]}, {low:.0f} at least expected"
    if count > high:
        return f"{count} of {seen.sent} packets {WORDS[own.action]}, {high:.0f} at most expected"
    return ""


def gone(own: Shape, rest: Expected, seen: Arrivals) -> str:
    """Why a reading does not show that `own` has ended, beside `rest`; "" if it does.

    What cannot be told beside other faults is said to be so: it is measured again without them.
    """
    if own.action in ("rate", "bandwidth"):
        least = FREE_RATIO * own.bits_per_s
        if rest.bits_per_s < least or rest.survival < 1:
            return f"{_HIDDEN}: they thin the line"
        return "" if seen.bits_per_s > least else f"only {_bits(seen.bits_per_s)} came through"
    if own.action == "delay":
        return _still_delayed(own, rest, seen)
    if own.action == "reorder" and rest.jitter_ms:
        return f"{_HIDDEN}: their jitter reorders as well"
    count = counted(own.action, seen)
    low, _ = _bounds(own, _both(expect([own]), rest), rest, seen.sent)
    return f"{count} of {seen.sent} packets {WORDS[own.action]}" if count >= low else ""


def _still_delayed(own: Shape, rest: Expected, seen: Arrivals) -> str:
    if rest.bits_per_s < math.inf:
        return f"{_HIDDEN}: a thin line's queue delays as well"
    if not seen.latencies_ms:
        return "no packet arrived"
    median = statistics.median(seen.latencies_ms)
    most = rest.latency_ms + own.latency_ms / 2
    return "" if median < most else f"packets still take {median:.1f} ms"


def _held_back_ms(own: Shape, rest: Expected, seen: Arrivals) -> float:
    """By how much the mean latency exceeds half of what holding back adds to it."""
    if not seen.latencies_ms:
        return 0.0
    added = own.latency_ms * (1 - _share(own))
    return statistics.fmean(seen.latencies_ms) - rest.latency_ms - added / 2


def counted(action: Action, seen: Arrivals) -> int:
    """How many packets of a reading met the action."""
    return {
        "loss": seen.sent - seen.arrived,
        "duplicate": seen.duplicated,
        "corrupt": seen.corrupted,
        "reorder": seen.overtaking,
    }[action]


def readings(seen: Mapping[tuple[str, str], Arrivals]) -> dict[str, Json]:
    """Readings by direction, for the evidence."""
    return {
        f"{source} → {destination}": reading(one) for (source, destination), one in seen.items()
    }


def reading(seen: Arrivals) -> dict[str, Json]:
    """One reading, for the evidence."""
    out: dict[str, Json] = {
        "sent": seen.sent,
        "arrived": seen.arrived,
        "duplicated": seen.duplicated,
        "corrupted": seen.corrupted,
        "overtaking": seen.overtaking,
    }
    if seen.latencies_ms:
        ordered = sorted(seen.latencies_ms)
        out["latency_ms"] = {
            "min": round(ordered[0], 3),
            "median": round(statistics.median(ordered), 3),
            "max": round(ordered[-1], 3),
        }
    if seen.bits_per_s:
        out["bits_per_s"] = round(seen.bits_per_s)
        out["offered_bits_per_s"] = round(seen.offered_bits_per_s)
    return out


def worse(
    before: Mapping[str, Mapping[str, Json]], now: Mapping[str, Mapping[str, Json]]
) -> list[str]:
    """Links whose `readings` are worse than the same links' before, in words."""
    found = []
    for link in sorted(set(before) & set(now)):
        lost, was_lost = (_lost_share(one[link]) for one in (now, before))
        took, took_before = (_median_ms(one[link]) for one in (now, before))
        if lost > was_lost + WORSE_SHARE:
            found.append(f"{link}: {lost:.0%} of the packets lost, {was_lost:.0%} before")
        elif took > WORSE_TIMES * took_before + WORSE_MS:
            found.append(f"{link}: packets take {took:.1f} ms, {took_before:.1f} ms before")
    return found


def _lost_share(read: Mapping[str, Json]) -> float:
    sent, arrived = cast(int, read["sent"]), cast(int, read["arrived"])
    return 0.0 if "bits_per_s" in read else 1 - arrived / sent  # a line that was filled loses


def _median_ms(read: Mapping[str, Json]) -> float:
    if "bits_per_s" in read:
        return 0.0
    return cast("dict[str, float]", read.get("latency_ms") or {}).get("median", 0.0)


WORDS: Mapping[Action, str] = {
    "loss": "lost",
    "duplicate": "came twice",
    "corrupt": "damaged",
    "reorder": "overtook others",
}


def sentence(action: Action, seen: Sequence[Arrivals]) -> str:
    """What was seen on the faulty directions, in words."""
    if action in ("rate", "bandwidth"):
        least, most = (f(one.bits_per_s for one in seen) for f in (min, max))
        return f"{_bits(least)} to {_bits(most)} came through an overloaded line"
    if action == "delay":
        medians = [statistics.median(one.latencies_ms) for one in seen if one.latencies_ms]
        if not medians:
            return "no packet arrived"
        return f"packets took {min(medians):.1f} to {max(medians):.1f} ms (medians)"
    count, sent = sum(counted(action, one) for one in seen), sum(one.sent for one in seen)
    return f"{count} of {sent} packets {WORDS[action]}"


def _delayed(own: Shape, there: Expected, seen: Arrivals) -> str:
    if not seen.latencies_ms:
        return "no packet arrived"
    median = statistics.median(seen.latencies_ms)
    correlation = own.correlation / 100
    effective = len(seen.latencies_ms) * (1 - correlation) / (1 + correlation)
    chance_ms = 2 + 5 * there.jitter_ms / math.sqrt(max(effective, 1))
    least = there.latency_ms - min(own.latency_ms / 2, chance_ms)
    most = 1.5 * there.latency_ms + chance_ms + ROUGH_MS
    if median < least:
        return f"packets took {median:.1f} ms, {least:.1f} ms at least expected"
    if median > most and there.bits_per_s == math.inf:
        return f"packets took {median:.1f} ms, {most:.1f} ms at most expected"
    return ""


def _bounds(own: Shape, there: Expected, rest: Expected, sent: int) -> tuple[float, float]:
    """The least and the most events that fit the fault. `sent` packets, normal approximation."""
    correlation = own.correlation / 100
    if own.action == "reorder":
        return max(sent * _runs(own) * (1 - correlation) / 3, 1), math.inf
    part, without = there.share(own.action), rest.share(own.action)
    low = sent * (without + (part - without) / 3)
    spread = math.sqrt(sent * part * (1 - part) * (1 + correlation) / (1 - correlation))
    copies = 1 + there.duplicate if own.action == "corrupt" else 1
    return max(low, 1), copies * (sent * (part + ROUGH_SHARE) + 6 * spread)


def _both(own: Expected, rest: Expected) -> Expected:
    return Expected(
        latency_ms=own.latency_ms + rest.latency_ms,
        jitter_ms=own.jitter_ms + rest.jitter_ms,
        survival=own.survival * rest.survival,
        duplicate=1 - (1 - own.duplicate) * (1 - rest.duplicate),
        corrupt=1 - (1 - own.corrupt) * (1 - rest.corrupt),
        reorder=1 - (1 - own.reorder) * (1 - rest.reorder),
        bits_per_s=min(own.bits_per_s, rest.bits_per_s),
    )


def _bits(bits_per_s: float) -> str:
    return (
        f"{bits_per_s / 1e6:.3g} Mbit/s" if bits_per_s >= 1e6 else f"{bits_per_s / 1e3:.3g} kbit/s"
    )
