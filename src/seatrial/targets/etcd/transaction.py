"""List-append and register transactions on etcd: read, then commit if nothing read has changed.

etcd has no interactive transactions, only one-shot `Txn` requests: compares, then operations. So
the keys are read in one request (one revision, hence a consistent view), the micro-ops are done
here, and the writes are committed under the condition that each key's modification revision is
still the one that was read (optimistic concurrency control, Kung and Robinson 1981). A commit
whose condition fails has certainly done nothing and brings back the fresh values, so it is tried
again, a bounded number of times. Transactions that only read are one request.

Lists are JSON arrays at the keys `t/KEY`; an absent key is an empty list to an append and None to
a read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Protocol

from aetcd import rpc

from seatrial.op import Atom, Value
from seatrial.target import OpRefused
from seatrial.targets.etcd.names import OWN

#: How many commits are tried before the transaction counts as refused.
ATTEMPTS_MAX = 5

PREFIX = f"{OWN}t/"

MicroOp = tuple[str, Atom, Value]

_EQUAL = rpc.Compare.CompareResult.Value("EQUAL")
_MOD = rpc.Compare.CompareTarget.Value("MOD")


class Send(Protocol):
    """Sends one `Txn` within `timeout_s`; raises `OpFailed` or `OpUnknown`."""

    async def __call__(
        self, request: rpc.TxnRequest, timeout_s: float, *, read: bool
    ) -> rpc.TxnResponse:
        """The answer; `read`: the request only reads."""
        ...


async def transact(
    send: Send, micro_ops: Sequence[MicroOp], timeout_s: float, *, serializable: bool
) -> tuple[Value, ...]:
    """Carry out `micro_ops` as one transaction; raises `OpRefused` if it lost all its races.

    `timeout_s` bounds all attempts together.
    """
    deadline = time.monotonic() + timeout_s
    keys = tuple(dict.fromkeys(key for _, key, _ in micro_ops))
    names = {key: f"{PREFIX}{key}".encode() for key in keys}
    reads = tuple(
        rpc.RequestOp(request_range=rpc.RangeRequest(key=names[key], serializable=serializable))
        for key in keys
    )
    answer = await send(rpc.TxnRequest(success=reads), timeout_s, read=True)
    if all(f == "r" for f, _, _ in micro_ops):
        return _apply(micro_ops, _seen(keys, answer))[0]
    for attempt in range(ATTEMPTS_MAX):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise OpRefused(f"no time left after {attempt} lost races")
        seen = _seen(keys, answer)
        done, written = _apply(micro_ops, seen)
        request = rpc.TxnRequest(
            compare=[
                rpc.Compare(result=_EQUAL, target=_MOD, key=names[key], mod_revision=seen[key][1])
                for key in keys
            ],
            success=[
                rpc.RequestOp(request_put=rpc.PutRequest(key=names[key], value=_encode(value)))
                for key, value in written.items()
            ],
            failure=reads,
        )
        answer = await send(request, left_s, read=False)
        if answer.succeeded:
            return done
    raise OpRefused(f"lost {ATTEMPTS_MAX} races for its keys")


def _seen(keys: Sequence[Atom], answer: rpc.TxnResponse) -> dict[Atom, tuple[Value, int]]:
    """Value and modification revision of each key (None and 0 if absent)."""
    seen: dict[Atom, tuple[Value, int]] = {}
    for key, response in zip(keys, answer.responses, strict=True):
        kvs = response.response_range.kvs
        seen[key] = (_decode(kvs[0].value), kvs[0].mod_revision) if kvs else (None, 0)
    return seen


def _apply(
    micro_ops: Sequence[MicroOp], seen: dict[Atom, tuple[Value, int]]
) -> tuple[tuple[Value, ...], dict[Atom, Value]]:
    """The micro-ops with their reads filled in, and the last value of each written key."""
    now = {key: value for key, (value, _) in seen.items()}
    written: dict[Atom, Value] = {}
    done: list[Value] = []
    for f, key, argument in micro_ops:
        if f == "r":
            argument = now[key]
        elif f == "append":
            before = now[key]
            if not (before is None or isinstance(before, tuple)):
                raise ValueError(f"append to {key!r}, which holds {before!r} and no list")
            now[key] = written[key] = (*(before or ()), argument)
        elif f == "w":
            now[key] = written[key] = argument
        else:
            raise ValueError(f"micro-op {f!r} is none of append, r, w")
        done.append((f, key, argument))
    return tuple(done), written


def _encode(value: Value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _decode(data: bytes) -> Value:
    value = json.loads(data)
    return tuple(value) if isinstance(value, list) else value
