"""One replica's own view of its data, for comparison with the others.

Everything is read from the node's own copy, without consensus. The keys of a fingerprint:

- `node`, `member`: who speaks (the member id in hexadecimal);
- `version`: of the etcd that speaks, since the hash of 3.4 and 3.5 need not agree;
- `index`, `term`: the raft index applied, the raft term;
- `revision`: of the key-value store; replicas at the same index must be at the same revision;
- `hash`, `hash_revision`, `compact_revision`: `HashKV` over all keys and their history up to
  `hash_revision` (equal to `revision`); replicas at the same revision and compaction must agree;
- `data`, `keys`: a digest over key, value and modification revision of every current key, made
  here from a serializable read at `revision`, and their number; it needs no faith in `HashKV`;
- `settled`: whether index and revision stood still while all this was read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from aetcd import rpc
from grpc import aio

from seatrial.op import Value
from seatrial.targets.etcd.status import NodeStatus, ask_status

#: How often a view is taken again because the replica moved while it was read.
ATTEMPTS_MAX = 3
#: Bytes of a digest that are kept (in hexadecimal twice as many characters).
DIGEST_BYTES = 8

_FIRST_KEY = b"\0"
_NO_END = b"\0"


async def take_fingerprint(
    channel: aio.Channel, name: str, timeout_s: float
) -> Mapping[str, Value]:
    """The fingerprint of the node behind `channel`; raises gRPC's error. O(size of its data).

    `timeout_s` bounds all of it.
    """
    view: Mapping[str, Value] = {}
    deadline = time.monotonic() + timeout_s

    def left_s() -> float:
        return max(0.0, deadline - time.monotonic())

    for _ in range(ATTEMPTS_MAX):
        before = await ask_status(channel, name, left_s())
        hashed = await _hash_kv(channel, before.revision, left_s())
        digest, keys = await _digest(channel, before.revision, left_s())
        after = await ask_status(channel, name, left_s())
        settled = (before.applied_index, before.revision) == (after.applied_index, after.revision)
        view = _view(before, hashed, digest, keys, settled)
        if settled:
            break
    return view


def _view(
    status: NodeStatus, hashed: rpc.HashKVResponse, digest: str, keys: int, settled: bool
) -> Mapping[str, Value]:
    return {
        "node": status.name,
        "member": f"{status.member_id:x}",
        "version": status.version,
        "index": status.applied_index,
        "term": status.raft_term,
        "revision": status.revision,
        "hash": hashed.hash,
        "hash_revision": status.revision,
        "compact_revision": hashed.compact_revision,
        "data": digest,
        "keys": keys,
        "settled": settled,
    }


async def _hash_kv(channel: aio.Channel, revision: int, timeout_s: float) -> rpc.HashKVResponse:
    call: Any = channel.unary_unary(
        "/etcdserverpb.Maintenance/HashKV",
        rpc.HashKVRequest.SerializeToString,
        rpc.HashKVResponse.FromString,
    )
    return await call(rpc.HashKVRequest(revision=revision), timeout=timeout_s)


async def _digest(channel: aio.Channel, revision: int, timeout_s: float) -> tuple[str, int]:
    call: Any = channel.unary_unary(
        "/etcdserverpb.KV/Range",
        rpc.RangeRequest.SerializeToString,
        rpc.RangeResponse.FromString,
    )
    request = rpc.RangeRequest(
        key=_FIRST_KEY, range_end=_NO_END, revision=revision, serializable=True
    )
    answer = await call(request, timeout=timeout_s)
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for kv in answer.kvs:
        for part in (kv.key, kv.value, b"%d" % kv.mod_revision):
            digest.update(b"%d:%b" % (len(part), part))
    return digest.hexdigest(), len(answer.kvs)
