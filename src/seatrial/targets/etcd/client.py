"""The client: one connection to one node, the stubs of `aetcd` driven directly on `grpc.aio`.

`aetcd`'s own client hides deadlines, wraps each answer and maps errors to a few classes; the
taxonomy needs the gRPC code and text as they came, and a load generator needs the shortest path.
So only its generated protobuf messages are used. One method call is one gRPC call with a deadline;
nothing is retried, except a transaction that certainly lost its race (`transaction.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from aetcd import rpc

from seatrial.op import Atom, Value
from seatrial.target import Node, OpFailed, OpUnknown
from seatrial.targets.etcd import transaction
from seatrial.targets.etcd.channel import RpcError, open_channel
from seatrial.targets.etcd.errors import failure, was_sent
from seatrial.targets.etcd.fingerprint import take_fingerprint
from seatrial.targets.etcd.names import OWN

#: A client that finds nobody at home waits this long before it says so: a closed loop against a
#: dead port would otherwise spin through thousands of failures a second.
REFUSED_PAUSE_S = 0.05

REGISTER_PREFIX = f"{OWN}r/"
_PREFIX = REGISTER_PREFIX.encode()
SET_PREFIX = f"{OWN}s/".encode()
SET_END = f"{OWN}s0".encode()  # the byte after "/"
REPLICA_PREFIX = f"{OWN}p/"

_EQUAL = rpc.Compare.CompareResult.Value("EQUAL")
_VALUE = rpc.Compare.CompareTarget.Value("VALUE")
_CREATE = rpc.Compare.CompareTarget.Value("CREATE")


class EtcdClient:
    """Registers, transactions, a set and replica fingerprints on one node of etcd.

    `timeout_s` bounds each method. `serializable`: reads are answered from this node's own copy
    and may be stale (a client that lies, for tests).
    """

    def __init__(self, node: Node, *, timeout_s: float, serializable: bool = False) -> None:
        self.node = node
        self._timeout_s = timeout_s
        self._serializable = serializable
        self._channel = open_channel(node)
        unary = self._channel.unary_unary
        # The answer of a Put says nothing that is needed, so it is left as bytes.
        self._put = unary("/etcdserverpb.KV/Put", rpc.PutRequest.SerializeToString, None)
        self._range = unary(
            "/etcdserverpb.KV/Range",
            rpc.RangeRequest.SerializeToString,
            rpc.RangeResponse.FromString,
        )
        self._txn = unary(
            "/etcdserverpb.KV/Txn", rpc.TxnRequest.SerializeToString, rpc.TxnResponse.FromString
        )

    async def close(self) -> None:
        """Free the connection; never raises."""
        await self._channel.close()

    # ── registers ────────────────────────────────────────────────────────────────────────────

    async def read(self, key: Atom) -> Atom:
        """The value of `key`, None if absent."""
        request = rpc.RangeRequest(key=_register(key))
        if self._serializable:
            request.serializable = True
        try:
            answer = await self._range(request, timeout=self._timeout_s)
        except RpcError as error:
            raise await self._failure(error, read=True) from None
        found = answer.kvs
        return decode(found[0].value) if found else None

    async def write(self, key: Atom, value: Atom) -> None:
        """Set `key` to `value`."""
        request = rpc.PutRequest(key=_register(key), value=encode(value))
        try:
            await self._put(request, timeout=self._timeout_s)
        except RpcError as error:
            raise await self._failure(error, read=False) from None

    async def cas(self, key: Atom, old: Atom, new: Atom) -> bool:
        """Set `key` to `new` if it is `old` (None: absent); False if it certainly was not."""
        name = _register(key)
        if old is None:
            compare = rpc.Compare(result=_EQUAL, target=_CREATE, key=name, create_revision=0)
        else:
            compare = rpc.Compare(result=_EQUAL, target=_VALUE, key=name, value=encode(old))
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=name, value=encode(new)))
        request = rpc.TxnRequest(compare=(compare,), success=(put,))
        answer = await self._do_txn(request, self._timeout_s, read=False)
        return bool(answer.succeeded)

    # ── transactions ─────────────────────────────────────────────────────────────────────────

    async def transact(self, micro_ops: Sequence[tuple[str, Atom, Value]]) -> tuple[Value, ...]:
        """Carry out all micro-ops as one transaction; the same micro-ops, reads filled in.

        Raises `OpRefused` if it lost `transaction.ATTEMPTS_MAX` races, certainly without effect.
        """
        return await transaction.transact(
            self._do_txn, micro_ops, self._timeout_s, serializable=self._serializable
        )

    # ── a grow-only set ──────────────────────────────────────────────────────────────────────

    async def add(self, element: int) -> None:
        """Add one element: one key each, so that adding is a blind write."""
        await self._do_put(b"%b%012d" % (SET_PREFIX, element), b"")

    async def read_set(self, *, linearizable: bool) -> tuple[int, ...]:
        """All elements, ascending, through consensus or from this node's own copy."""
        request = rpc.RangeRequest(
            key=SET_PREFIX,
            range_end=SET_END,
            keys_only=True,
            serializable=self._serializable or not linearizable,
        )
        try:
            answer = await self._range(request, timeout=self._timeout_s)
        except RpcError as error:
            raise await self._failure(error, read=True) from None
        return tuple(int(kv.key[len(SET_PREFIX) :]) for kv in answer.kvs)

    # ── replicas ─────────────────────────────────────────────────────────────────────────────

    async def put_many(self, key: int, value: str) -> None:
        """Put `value` at `key`."""
        await self._do_put(f"{REPLICA_PREFIX}{key:08d}".encode(), value.encode())

    async def fingerprint(self) -> Mapping[str, Value]:
        """This node's own view of its data; `fingerprint.py` says what the keys mean."""
        try:
            return await take_fingerprint(self._channel, self.node.name, self._timeout_s)
        except RpcError as error:
            raise await self._failure(error, read=True) from None

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    async def _do_put(self, key: bytes, value: bytes) -> None:
        try:
            await self._put(rpc.PutRequest(key=key, value=value), timeout=self._timeout_s)
        except RpcError as error:
            raise await self._failure(error, read=False) from None

    async def _do_txn(
        self, request: rpc.TxnRequest, timeout_s: float, *, read: bool
    ) -> rpc.TxnResponse:
        try:
            return await self._txn(request, timeout=timeout_s)
        except RpcError as error:
            raise await self._failure(error, read=read) from None

    async def _failure(self, error: RpcError, *, read: bool) -> OpFailed | OpUnknown:
        if not was_sent(error):
            await asyncio.sleep(REFUSED_PAUSE_S)
        return failure(error, read=read)


def _register(key: Atom) -> bytes:
    return b"%b%d" % (_PREFIX, key) if type(key) is int else f"{REGISTER_PREFIX}{key}".encode()


def encode(value: Atom) -> bytes:
    """An atom as etcd holds it: JSON, so that `1` and `"1"` stay apart."""
    if type(value) is int:
        return b"%d" % value
    return json.dumps(value).encode()


def decode(data: bytes) -> Atom:
    """The atom that `encode` wrote."""
    if data.isdigit():
        return int(data)
    value: Atom = json.loads(data)
    return value
