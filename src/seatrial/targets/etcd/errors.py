"""Which errors of etcd mean that a write certainly did not happen; all others mean nobody knows.

A write that is called failed and yet happened makes a false `invalid` (an op from nowhere) or
hides a real one, so the table is strict: a rule says `certain` only where etcd's or gRPC's own
source shows that the error can only arise before the request could have had an effect. Sources
are named by file and function; etcd 3.4 has the same code under `etcdserver/` and `raft/` that
3.5 has under `server/etcdserver/` and `raft/`. docs/reference/etcd-errors.md tells the reasons at
length. What no rule knows is unknown, and the text says `unclassified`.

A read has no effect: a read that fails, fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from seatrial.target import OpFailed, OpUnknown
from seatrial.targets.etcd.channel import RpcError, StatusCode

#: How much of an error's text is kept.
TEXT_CHARS_MAX = 160
#: What makes equal errors differ: addresses, and numbers of four digits and more.
_PARTICULAR = re.compile(r"ipv[46]:\S+: |\d{4,}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of error: its gRPC code, what its text is or begins with, and what it means.

    `whole`: the text is exactly `text`; else it begins with it. `certain`: a write that ends so
    had no effect. `why` and `source` are the proof.
    """

    code: StatusCode
    text: str
    whole: bool
    certain: bool
    why: str
    source: str

    def matches(self, code: StatusCode, text: str) -> bool:
        """Whether an error is of this kind."""
        if code is not self.code:
            return False
        return text == self.text if self.whole else text.startswith(self.text)


def _certain(code: StatusCode, text: str, why: str, source: str, *, whole: bool = True) -> Rule:
    return Rule(code, text, whole, True, why, source)


def _unknown(code: StatusCode, text: str, why: str, source: str, *, whole: bool = True) -> Rule:
    return Rule(code, text, whole, False, why, source)


#: How gRPC begins when it had no connection to give a call.
NOT_CONNECTED = "failed to connect to all addresses"

_PROPOSE = "server/etcdserver/v3_server.go, processInternalRaftRequestOnce"
_CHECK = "server/etcdserver/api/v3rpc/key.go, checkPutRequest and checkTxnRequest"
_INTERCEPT = "server/etcdserver/api/v3rpc/interceptor.go, newUnaryInterceptor"
_TIMEOUT = "server/etcdserver/server.go, parseProposeCtxErr"
_TRANSPORT = "gRPC core, src/core/ext/transport/chttp2/transport/chttp2_transport.cc"

#: What the text of an error ends with that no rule knows.
UNCLASSIFIED = " (unclassified)"

RULES: tuple[Rule, ...] = (
    # Refused by etcd before the write was proposed to raft.
    _certain(
        StatusCode.RESOURCE_EXHAUSTED,
        "etcdserver: too many requests",
        "the gap between committed and applied is checked before the proposal is made",
        _PROPOSE,
    ),
    _certain(
        StatusCode.INVALID_ARGUMENT,
        "etcdserver: request is too large",
        "the size is checked before the proposal is made",
        _PROPOSE,
    ),
    _certain(
        StatusCode.UNKNOWN,
        "raft proposal dropped",
        "this node's own raft took the proposal neither into its log nor to a leader; a drop at "
        "a remote leader is not reported back, it ends in a timeout",
        "raft/raft.go, stepLeader, stepCandidate, stepFollower; raft/node.go, stepWithWaitOption",
    ),
    _certain(
        StatusCode.INVALID_ARGUMENT,
        "etcdserver: key is not provided",
        "the request is checked before the server sees it",
        _CHECK,
    ),
    _certain(
        StatusCode.INVALID_ARGUMENT,
        "etcdserver: too many operations in txn request",
        "the request is checked before the server sees it",
        _CHECK,
    ),
    _certain(
        StatusCode.INVALID_ARGUMENT,
        "etcdserver: duplicate key given in txn request",
        "the request is checked before the server sees it",
        _CHECK,
    ),
    _certain(
        StatusCode.RESOURCE_EXHAUSTED,
        "grpc: received message larger than max",
        "the server's gRPC refuses the message before a handler sees it",
        "grpc-go, rpc_util.go, recvMsg; server.go, processUnaryRPC",
        whole=False,
    ),
    _certain(
        StatusCode.UNAVAILABLE,
        "etcdserver: not capable",
        "the interceptor answers instead of the handler",
        _INTERCEPT,
    ),
    _certain(
        StatusCode.UNAVAILABLE,
        "etcdserver: rpc not supported for learner",
        "the interceptor answers instead of the handler",
        _INTERCEPT,
    ),
    _certain(
        StatusCode.UNAVAILABLE,
        "etcdserver: no leader",
        "on the key-value service only the interceptor says it, instead of the handler",
        _INTERCEPT,
    ),
    # Never sent.
    _certain(
        StatusCode.UNAVAILABLE,
        NOT_CONNECTED,
        "the channel had no connection and refused the call when it was to be picked a "
        "connection; the request was never written to one",
        "gRPC core, src/core/load_balancing/pick_first/pick_first.cc, TransientFailurePicker",
        whole=False,
    ),
    # Said after the write may have been proposed.
    _unknown(
        StatusCode.RESOURCE_EXHAUSTED,
        "etcdserver: mvcc: database space exceeded",
        "said before the proposal (quotaKVServer) but also after the write was carried out: "
        "quotaApplierV3 applies it and then reports that it was over the quota (seen by a test)",
        "server/etcdserver/apply.go, quotaApplierV3.Put and Txn",
    ),
    _unknown(
        StatusCode.UNAVAILABLE,
        "etcdserver: request timed out",
        "the proposal was made and its outcome was not seen in time",
        _TIMEOUT,
        whole=False,
    ),
    _unknown(
        StatusCode.UNAVAILABLE,
        "etcdserver: leader changed",
        "reads only, as the source stands; a write that ended so would have been proposed",
        "server/etcdserver/v3_server.go, requestCurrentIndex",
    ),
    _unknown(
        StatusCode.UNAVAILABLE,
        "etcdserver: server stopped",
        "the server stopped while the proposal was under way",
        _PROPOSE,
    ),
    _unknown(
        StatusCode.UNKNOWN,
        "raft: stopped",
        "raft stopped while it was taking the proposal",
        "raft/node.go, stepWithWaitOption",
    ),
    *(
        _unknown(
            StatusCode.UNKNOWN,
            text,
            "the server's own deadline passed or the client went while the proposal was made",
            "raft/node.go, stepWithWaitOption, by way of " + _PROPOSE,
        )
        for text in ("context deadline exceeded", "context canceled")
    ),
    _unknown(
        StatusCode.UNAVAILABLE,
        "etcdserver: unhealthy cluster",
        "membership changes only, as the source stands",
        "server/etcdserver/server.go, AddMember",
    ),
    _unknown(
        StatusCode.DATA_LOSS,
        "etcdserver: corrupt cluster",
        "this member refuses to apply; what the others did cannot be told from here",
        "server/etcdserver/corrupt.go, applierV3Corrupt",
    ),
    _unknown(
        StatusCode.CANCELLED,
        "",
        "the call was given up, here or there, while it may have been under way",
        _PROPOSE,
        whole=False,
    ),
    _unknown(
        StatusCode.DEADLINE_EXCEEDED,
        "",
        "no answer in time",
        "gRPC core, src/core/client_channel; " + _PROPOSE,
        whole=False,
    ),
    # The connection broke under the call.
    *(
        _unknown(
            StatusCode.UNAVAILABLE,
            text,
            "the connection broke while the request may have been on it",
            _TRANSPORT,
            whole=False,
        )
        for text in (
            "Stream removed",  # (Socket closed), (recvmsg:Connection reset by peer (104)), …
            "Socket closed",
            "Connection reset by peer",
            "Connection timed out",
            "Broken pipe",
            "recvmsg:",
            "sendmsg:",
            "GOAWAY received",
            "Transport closed",
            "transport is closing",
            "Endpoint closing",
            "Cancelling all calls",
            "ping timeout",
            "keepalive watchdog timeout",
            "No route to host",
            "Network is unreachable",
        )
    ),
)


def classify(code: StatusCode, text: str) -> Rule | None:
    """The rule for an error, None if no rule knows it. O(number of rules)."""
    for rule in RULES:
        if rule.matches(code, text):
            return rule
    return None


def failure(error: RpcError, *, read: bool) -> OpFailed | OpUnknown:
    """The exception that says what `error` means for an op; `read`: the op only reads."""
    code, text = error.code(), error.details() or ""
    rule = classify(code, text)
    label = f"{code.name}: {_PARTICULAR.sub('', text)[:TEXT_CHARS_MAX]}"
    if rule is None:
        label += UNCLASSIFIED
    if read or (rule is not None and rule.certain):
        return OpFailed(label)
    return OpUnknown(label)


def was_sent(error: RpcError) -> bool:
    """False if the node was not there at all: the call never left."""
    return not (error.details() or "").startswith(NOT_CONNECTED)
