"""What an operator does to a running etcd: members, compaction, defragmentation.

One connection and one call each, with a deadline; an error of etcd becomes `Unavailable` with
etcd's own words. Membership is read with `linearizable` set (etcd 3.5; 3.4 ignores it and answers
from its own copy, so the answer of the leader is asked for there).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aetcd import rpc

from seatrial.errors import Unavailable
from seatrial.target import Node
from seatrial.targets.etcd.channel import RpcError, StatusCode, host, open_channel
from seatrial.targets.etcd.names import OWN, OWN_END
from seatrial.targets.etcd.status import status, statuses

#: One call. Defragmentation copies the whole backend.
CALL_TIMEOUT_S = 5.0
DEFRAGMENT_TIMEOUT_S = 15.0
#: How long a change of members is tried again while etcd refuses it (no quorum of healthy ones).
CHANGE_TIMEOUT_S = 12.0
_CHANGE_PAUSE_S = 0.2
#: Where etcd keeps its backend, below its data folder.
BACKEND = Path("member") / "snap" / "db"


async def _call(node: Node, method: str, request: Any, answer: Any, timeout_s: float) -> Any:
    async with open_channel(node, private=True) as channel:
        call: Any = channel.unary_unary(
            f"/etcdserverpb.{method}", type(request).SerializeToString, answer.FromString
        )
        try:
            return await call(request, timeout=timeout_s)
        except RpcError as error:
            raise Unavailable(f"{method} on {node.name}: {error.details()}") from None


async def members(cluster: Sequence[Node]) -> Mapping[str, str]:
    """Who is a member, by the leader's answer: name of the node → id in hex.

    A member may be called otherwise than the node (on Kubernetes it has its pod's name), so it is
    known by the id that the node gives for itself, or by its peer address; one that is no node of
    ours goes by its own name, or its address until it has one. Raises `Unavailable` if there is
    no leader, or it does not answer.
    """
    request = rpc.MemberListRequest(linearizable=True)
    answer = await _insist(cluster, "Cluster/MemberList", request, rpc.MemberListResponse)
    by_id = {one.member_id: one.name for one in await statuses(cluster, CALL_TIMEOUT_S / 2)}
    by_address = {_peer_url(node): node.name for node in cluster}
    found = {}
    for member in answer.members:
        ours = by_id.get(member.ID) or next(
            (by_address[url] for url in member.peerURLs if url in by_address), ""
        )
        found[ours or member.name or member.peerURLs[0]] = f"{member.ID:x}"
    return found


async def remove_member(node: Node, cluster: Sequence[Node]) -> str:
    """Take a member out of the cluster; its id. Raises `Unavailable` if etcd refuses."""
    number = (await members(cluster)).get(node.name)
    if number is None:
        raise Unavailable(f"{node.name} is no member")
    request = rpc.MemberRemoveRequest(ID=int(number, 16))
    await _insist(cluster, "Cluster/MemberRemove", request, rpc.MemberRemoveResponse)
    return number


async def add_member(node: Node, cluster: Sequence[Node]) -> None:
    """Announce a member by its address; nothing if it is one. Raises `Unavailable`."""
    if node.name not in await members(cluster):
        request = rpc.MemberAddRequest(peerURLs=[_peer_url(node)])
        await _insist(cluster, "Cluster/MemberAdd", request, rpc.MemberAddResponse)


async def _insist(nodes: Sequence[Node], method: str, request: Any, answer: Any) -> Any:
    """Ask the leader until it agrees: after a fault etcd counts who is healthy for a while."""
    deadline = time.monotonic() + CHANGE_TIMEOUT_S
    while True:
        try:
            return await _call(await _leader(nodes), method, request, answer, CALL_TIMEOUT_S)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_CHANGE_PAUSE_S)


async def _leader(cluster: Sequence[Node]) -> Node:
    answers = await statuses(cluster, CALL_TIMEOUT_S / 2)
    term = max((answer.raft_term for answer in answers), default=0)
    for answer in answers:
        if answer.leads and answer.raft_term == term:
            return next(node for node in cluster if node.name == answer.name)
    names = ", ".join(node.name for node in cluster)
    raise Unavailable(f"none of {names} leads: membership cannot be read or changed now")


async def clear(cluster: Sequence[Node]) -> None:
    """Delete all keys of trials, through consensus; raises `Unavailable`."""
    request = rpc.DeleteRangeRequest(key=OWN.encode(), range_end=OWN_END.encode())
    await _insist(cluster, "KV/DeleteRange", request, rpc.DeleteRangeResponse)


async def compact(node: Node, keep_revisions: int) -> int:
    """Forget the history but for the last revisions; the revision below which it is gone."""
    now = await status(node, CALL_TIMEOUT_S)
    if now is None:
        raise Unavailable(f"{node.name} does not answer, so nothing can be compacted")
    revision = now.revision - keep_revisions
    if revision <= 1:
        raise Unavailable(
            f"nothing to compact: the revision is {now.revision}, {keep_revisions} are to be kept"
        )
    request = rpc.CompactionRequest(revision=revision)
    await _call(node, "KV/Compact", request, rpc.CompactionResponse, CALL_TIMEOUT_S)
    return revision


async def is_compacted(node: Node, revision: int) -> bool:
    """Whether the node refuses to read at a revision because it was compacted."""
    async with open_channel(node, private=True) as channel:
        call: Any = channel.unary_unary(
            "/etcdserverpb.KV/Range", rpc.RangeRequest.SerializeToString, None
        )
        request = rpc.RangeRequest(key=b"compacted", revision=revision, serializable=True)
        try:
            await call(request, timeout=CALL_TIMEOUT_S)
        except RpcError as error:
            return error.code() is StatusCode.OUT_OF_RANGE and "compacted" in (
                error.details() or ""
            )
        return False


async def defragment(node: Node) -> None:
    """Copy the backend into a new file without holes; the node answers nothing meanwhile."""
    request = rpc.DefragmentRequest()
    answer = rpc.DefragmentResponse
    await _call(node, "Maintenance/Defragment", request, answer, DEFRAGMENT_TIMEOUT_S)


def _peer_url(node: Node) -> str:
    return f"http://{host(node)}:{node.ports['peer']}"
