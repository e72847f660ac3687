"""One gRPC channel to one node, set so that nothing happens behind the caller's back.

No proxy, no retry, no service config, no keepalive: a call is sent at most once and to this node
only. A channel that lost its node tries again every 100 to 500 ms, so that a restarted node is
found at once; an attempt that gets no answer (a paused node) is given up after 500 ms.
"""

from __future__ import annotations

import re

import grpc
from grpc import aio

from seatrial.target import Node

RECONNECT_MS_MIN = 100
RECONNECT_MS_MAX = 500
IPV4 = re.compile(r"[0-9]+(\.[0-9]+){3}")

OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS_MIN),
    # gRPC also takes this one as the time that one attempt to connect may last.
    ("grpc.min_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ("grpc.max_receive_message_length", -1),
)


#: Clients of one node share its connection, which saves system calls; a private channel does not.
PRIVATE_OPTIONS = (*OPTIONS, ("grpc.use_local_subchannel_pool", 1))


def open_channel(node: Node, *, private: bool = False) -> aio.Channel:
    """A channel to the node's client port; it connects with the first call.

    `private`: over a connection of its own, that neither load nor its broken past can delay.
    """
    address = f"{_scheme(node)}:{host(node)}:{node.ports['client']}"
    return aio.insecure_channel(address, PRIVATE_OPTIONS if private else OPTIONS)


def host(node: Node) -> str:
    """The node's address as it stands in a URL."""
    return f"[{node.address}]" if ":" in node.address else node.address


def _scheme(node: Node) -> str:
    """A node on a cluster has a name, which outlives the address of its pod."""
    if ":" in node.address:
        return "ipv6"
    return "ipv4" if IPV4.fullmatch(node.address) else "dns"


RpcError = aio.AioRpcError
StatusCode = grpc.StatusCode
