"""What a node says of itself: its identity, its place in raft, and its revision.

Asked over a connection of its own, so that a probe never waits behind the load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aetcd import rpc
from grpc import aio

from seatrial.target import Node
from seatrial.targets.etcd.channel import RpcError, open_channel


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """`Maintenance.Status` of one node. `leader_id` is 0 where it knows none.

    `revision` counts the changes of the key-value store; `raft_index` is committed,
    `applied_index` applied.
    """

    name: str
    version: str
    member_id: int
    leader_id: int
    raft_term: int
    raft_index: int
    applied_index: int
    revision: int
    db_bytes: int
    errors: tuple[str, ...]

    @property
    def leads(self) -> bool:
        """Whether it takes itself for the leader."""
        return self.leader_id != 0 and self.leader_id == self.member_id


async def ask_status(channel: aio.Channel, name: str, timeout_s: float) -> NodeStatus:
    """The status over an open channel; raises gRPC's error."""
    call: Any = channel.unary_unary(
        "/etcdserverpb.Maintenance/Status",
        rpc.StatusRequest.SerializeToString,
        rpc.StatusResponse.FromString,
    )
    answer = await call(rpc.StatusRequest(), timeout=timeout_s)
    return NodeStatus(
        name=name,
        version=answer.version,
        member_id=answer.header.member_id,
        leader_id=answer.leader,
        raft_term=answer.raftTerm,
        raft_index=answer.raftIndex,
        applied_index=answer.raftAppliedIndex,
        revision=answer.header.revision,
        db_bytes=answer.dbSize,
        errors=tuple(answer.errors),
    )


async def status(node: Node, timeout_s: float) -> NodeStatus | None:
    """The node's status, None if it does not answer in time."""
    async with open_channel(node, private=True) as channel:
        try:
            return await ask_status(channel, node.name, timeout_s)
        except RpcError:
            return None


async def statuses(cluster: Sequence[Node], timeout_s: float) -> tuple[NodeStatus, ...]:
    """The statuses of the nodes that answer in time, asked at once."""
    answers = await asyncio.gather(*(status(node, timeout_s) for node in cluster))
    return tuple(answer for answer in answers if answer is not None)


async def takes_part(node: Node, timeout_s: float) -> bool:
    """Whether the node answers one linearizable read, which needs a quorum."""
    async with open_channel(node, private=True) as channel:
        call: Any = channel.unary_unary(
            "/etcdserverpb.KV/Range", rpc.RangeRequest.SerializeToString, None
        )
        try:
            await call(rpc.RangeRequest(key=b"ready"), timeout=timeout_s)
        except RpcError:
            return False
        return True
