"""The error taxonomy as a table: strict, with reasons, and safe where it knows nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from seatrial.target import OpFailed, OpUnknown
from seatrial.targets.etcd.errors import RULES, UNCLASSIFIED, classify, failure

REFUSED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:2379: "
    "Failed to connect to remote host: Connection refused"
)


def error(code: StatusCode, text: str) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details=text)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (StatusCode.UNAVAILABLE, REFUSED),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large"),
        (StatusCode.UNKNOWN, "raft proposal dropped"),
    ],
)
def test_a_write_refused_before_it_could_act_failed(code: StatusCode, text: str) -> None:
    assert isinstance(failure(error(code, text), read=False), OpFailed)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (StatusCode.UNAVAILABLE, "Stream removed (Socket closed)"),
        (StatusCode.UNAVAILABLE, "etcdserver: request timed out"),
        (
            StatusCode.UNAVAILABLE,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        (StatusCode.UNAVAILABLE, "etcdserver: leader changed"),
        (StatusCode.UNAVAILABLE, "etcdserver: server stopped"),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
        (StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
        (StatusCode.CANCELLED, "Received RST_STREAM with error code 8"),
        (StatusCode.UNKNOWN, "context deadline exceeded"),
    ],
)
def test_a_write_that_may_have_acted_is_unknown_and_a_read_failed(
    code: StatusCode, text: str
) -> None:
    said = failure(error(code, text), read=False)
    assert isinstance(said, OpUnknown)
    assert not str(said).endswith(UNCLASSIFIED)
    assert isinstance(failure(error(code, text), read=True), OpFailed)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (StatusCode.UNAVAILABLE, "something new"),
        (StatusCode.INTERNAL, "etcdserver: too many requests"),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests, or so"),
        (StatusCode.UNAVAILABLE, "last error: failed to connect to all addresses"),
    ],
)
def test_what_no_rule_knows_is_unknown_and_says_so(code: StatusCode, text: str) -> None:
    assert classify(code, text) is None
    said = failure(error(code, text), read=False)
    assert isinstance(said, OpUnknown)
    assert str(said).endswith(UNCLASSIFIED)


def test_equal_errors_of_different_nodes_read_the_same() -> None:
    other = REFUSED.replace("127.0.0.1:2379", "10.0.0.2:23790")
    one, two = (failure(error(StatusCode.UNAVAILABLE, t), read=False) for t in (REFUSED, other))
    assert str(one) == str(two)
    assert "Connection refused" in str(one)


def test_each_rule_gives_its_reason_and_source_and_none_hides_another() -> None:
    for rule in RULES:
        assert rule.why
        assert ".go" in rule.source or ".cc" in rule.source or "src/core" in rule.source
        assert classify(rule.code, rule.text) is rule


def test_the_reference_page_has_each_rule_on_its_side() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/etcd-errors.md").read_text()
    certain, unknown = page.split("## Nobody knows: `info`")
    transport = "and the like"
    for rule in RULES:
        side = certain if rule.certain else unknown
        if rule.text:
            listed = f"`{rule.text}" in side or f"`{rule.text}…`" in side
            broken = "connection broke" in rule.why and transport in side
            assert listed or broken, rule
