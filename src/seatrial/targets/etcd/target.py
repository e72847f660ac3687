"""etcd as the contract of a target wants it: how a node is started, found well, and spoken to."""

from __future__ import annotations

import asyncio
import platform
import re
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from seatrial.target import Command, Node, Placement
from seatrial.targets import kubernetes
from seatrial.targets.etcd import binary, clock, metrics, upkeep
from seatrial.targets.etcd.channel import host
from seatrial.targets.etcd.client import EtcdClient
from seatrial.targets.etcd.settings import EtcdSettings
from seatrial.targets.etcd.status import NodeStatus, status, statuses, takes_part

NODE_COUNTS = (1, 3, 5)
PORT_NAMES = ("client", "peer")
ROLES = ("leader", "follower")
#: Where etcd listens on Kubernetes.
PORTS = {"client": 2379, "peer": 2380}

#: One probe of a node's health, and the pause between two.
PROBE_TIMEOUT_S = 1.0
PROBE_PAUSE_S = 0.05
CLUSTER_TOKEN = "seatrial"
#: `image:v3.5.21`.
TAGGED = re.compile(r":v?([0-9]+\.[0-9]+\.[0-9]+)")
NEW, EXISTING = "--initial-cluster-state=new", "--initial-cluster-state=existing"


class EtcdTarget:
    """A cluster of 1, 3 or 5 etcd nodes."""

    def __init__(self, settings: EtcdSettings) -> None:
        self.settings = settings
        #: Whom a node that joins a running cluster finds there (itself among them).
        self._members: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The name in the catalogue."""
        return "etcd"

    @property
    def node_counts(self) -> tuple[int, ...]:
        """How many nodes it can be made of."""
        return NODE_COUNTS

    @property
    def port_names(self) -> tuple[str, ...]:
        """The ports each node needs."""
        return PORT_NAMES

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles that `locate` resolves."""
        return ROLES

    @cached_property
    def binary(self) -> Path:
        """The etcd binary; raises `Unavailable` if there is none."""
        return binary.find(self.settings.binary)

    def version(self) -> str:
        """The version of the binary (`3.5.1`); raises `Unavailable` if it does not start."""
        return binary.version(self.binary)

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        """How to start `node`.

        `rejoin` changes nothing, on purpose: a member whose data folder holds a log takes its
        cluster from there and ignores `--initial-cluster*`. With `existing`, a member whose folder
        was lost would join again under its old name without its log, and could vote twice in one
        term; with `new`, its peers refuse it and it says so.
        """
        del rejoin
        return Command(
            argv=tuple(self._argv(node, cluster)), env=_environment(), env_not=("ETCD_",)
        )

    async def ready(self, node: Node, timeout_s: float) -> bool:
        """Whether the node answers a linearizable read (so: has a quorum) before the timeout."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if await takes_part(node, min(PROBE_TIMEOUT_S, left_s)):
                return True
            await asyncio.sleep(min(PROBE_PAUSE_S, left_s))
        return False

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        """Roles as they are now, from what each node says of itself.

        The leader is the node that takes itself for it in the highest term that any node knows of;
        a deposed one that has not heard of it yet does not count. Followers are the other nodes
        that answer and know a leader.
        """
        return roles(await self.statuses(cluster))

    async def statuses(self, cluster: Sequence[Node]) -> tuple[NodeStatus, ...]:
        """What each node that answers says of itself."""
        return await statuses(cluster, PROBE_TIMEOUT_S)

    async def connect(self, node: Node, *, timeout_s: float) -> EtcdClient:
        """A client pinned to `node`; `timeout_s` bounds each of its calls."""
        return EtcdClient(node, timeout_s=timeout_s, serializable=self.settings.serializable_reads)

    # ── what an operator can do ──────────────────────────────────────────────────────────────

    async def members(self, cluster: Sequence[Node]) -> Mapping[str, str]:
        """Who is a member now, by the leader's answer: name → member id in hexadecimal."""
        return await upkeep.members(cluster)

    async def remove_member(self, node: Node, cluster: Sequence[Node]) -> str:
        """Take `node` out of the cluster; its member id."""
        return await upkeep.remove_member(node, cluster)

    async def add_member(self, node: Node, cluster: Sequence[Node]) -> None:
        """Announce `node` to the cluster."""
        await upkeep.add_member(node, cluster)

    def joining(self, members: Sequence[str]) -> EtcdTarget:
        """This target as it starts a node that joins: `existing`, with exactly these members."""
        made = EtcdTarget(self.settings)
        made._members = tuple(members)
        return made

    def with_binary(self, binary: str) -> EtcdTarget:
        """The same cluster with another binary; raises `Unavailable` if it does not start."""
        made = EtcdTarget(self.settings.model_copy(update={"binary": binary}))
        made.version()
        return made

    def may_follow(self, binary: str) -> str:
        """Why `binary` cannot take over: etcd goes up, one minor version at a time."""
        return _step(self.version(), self.with_binary(binary).version())

    def image_may_follow(self, image: str) -> str:
        """The same for images, by the versions in their tags; "" where a tag says none."""
        now, then = _tagged(self.settings.kubernetes.image), _tagged(image)
        return _step(now, then) if now and then else ""

    def rejoining(self, command: Sequence[str]) -> tuple[str, ...]:
        """With `--initial-cluster-state=existing`: else it would found a cluster of its own."""
        return tuple(word.replace(NEW, EXISTING) for word in command)

    async def clear(self, cluster: Sequence[Node]) -> None:
        """Delete the keys of earlier trials, which stand below a name of their own."""
        await upkeep.clear(cluster)

    async def rewrites(self, node: Node) -> tuple[float, int]:
        """By its own metrics; raises `Unavailable` where they do not answer."""
        return await metrics.defragmentations(self.metrics_url(node))

    async def running_version(self, node: Node) -> str:
        """What the node says of its version; "" if it does not answer."""
        answer = await status(node, PROBE_TIMEOUT_S)
        return "" if answer is None else answer.version

    async def compact(self, node: Node, keep_revisions: int) -> int:
        """Forget the history but for the last revisions."""
        return await upkeep.compact(node, keep_revisions)

    async def is_compacted(self, node: Node, revision: int) -> bool:
        """Whether the node refuses to read at `revision`."""
        return await upkeep.is_compacted(node, revision)

    async def defragment(self, node: Node) -> None:
        """Rewrite the node's backend."""
        await upkeep.defragment(node)

    async def clock_offset(self, node: Node) -> float:
        """By how many seconds the node's clock is ahead, as an answer of it says."""
        return await clock.clock_offset(node)

    def data_file(self, node: Node) -> Path:
        """The node's backend (bbolt)."""
        return node.data_dir / upkeep.BACKEND

    def metrics_url(self, node: Node) -> str:
        """Where `node` tells its metrics: etcd serves them where it serves clients."""
        return f"{_url(node, 'client')}/metrics"

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        """A StatefulSet and its headless Service, or the cluster that runs already."""
        values = self.settings.kubernetes
        if values.running is not None:
            return kubernetes.found(values.running, nodes, PORTS)
        name = kubernetes.stem(run, self.name)
        members = ",".join(
            f"{name}-{number}=http://{name}-{number}.{name}.{namespace}.svc:{PORTS['peer']}"
            for number in range(len(nodes))
        )
        more = {"members": members, "flags": _tuning(self.settings)}
        return kubernetes.stateful("etcd", values, name, nodes, run, namespace, PORTS, "etcd", more)

    def _argv(self, node: Node, cluster: Sequence[Node]) -> list[str]:
        settings = self.settings
        client_url, peer_url = _url(node, "client"), _url(node, "peer")
        joins = self._members
        known = [member for member in cluster if joins is None or member.name in joins]
        members = ",".join(f"{member.name}={_url(member, 'peer')}" for member in known)
        argv = [
            str(self.binary),
            f"--name={node.name}",
            f"--data-dir={node.data_dir}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster={members}",
            f"--initial-cluster-state={'new' if joins is None else 'existing'}",
            f"--initial-cluster-token={CLUSTER_TOKEN}",
            *_tuning(settings),
            "--logger=zap",
            "--log-outputs=stderr",
        ]
        return argv


def roles(answers: Sequence[NodeStatus]) -> Mapping[str, tuple[str, ...]]:
    """Who leads and who follows, by what the nodes say; a role nobody has is absent."""
    term = max((answer.raft_term for answer in answers), default=0)
    leaders = tuple(a.name for a in answers if a.leads and a.raft_term == term)
    followers = tuple(a.name for a in answers if not a.leads and a.leader_id != 0)
    found = {"leader": leaders[:1], "follower": followers}
    return {role: names for role, names in found.items() if names}


def _step(now: str, then: str) -> str:
    """Why the one version cannot be followed by the other, "" if it can."""
    (major, minor), (other, next_minor) = _minor(now), _minor(then)
    if other == major and minor <= next_minor <= minor + 1 and now != then:
        return ""
    if (other, next_minor) < (major, minor):
        return (
            f"etcd {now} → {then}: the cluster's version only goes up (a member of {then} "
            f"ends with 'cluster cannot be downgraded' once all members ran {now})\n\n"
            f"hint: start with {then} (--etcd, or the image) and let a part of the nodes go up "
            "and back"
        )
    if now == then:
        return f"both binaries are etcd {now}\n\nhint: give another version"
    return f"etcd {now} → {then}: one minor version at a time\n\nhint: go through those between"


def _tagged(image: str) -> str:
    """The version in an image's tag, "" if it has none."""
    match = TAGGED.search(image.partition("@")[0])
    return "" if match is None else match[1]


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _url(node: Node, port: str) -> str:
    return f"http://{host(node)}:{node.ports[port]}"


def _tuning(settings: EtcdSettings) -> list[str]:
    """Flags that are the same wherever etcd runs."""
    flags = [
        f"--snapshot-count={settings.snapshot_count}",
        f"--heartbeat-interval={settings.heartbeat_ms}",
        f"--election-timeout={settings.election_ms}",
        f"--log-level={settings.log_level}",
    ]
    if settings.quota_bytes:
        flags.append(f"--quota-backend-bytes={settings.quota_bytes}")
    if settings.pre_vote is not None:
        flags.append(f"--pre-vote={str(settings.pre_vote).lower()}")
    return flags


def _environment() -> Mapping[str, str]:
    """No proxy between the nodes (Go's HTTP client would take one from the environment)."""
    environment = {"NO_PROXY": "*", "no_proxy": "*"}
    if platform.machine() == "aarch64":
        # etcd 3.4 refuses to start on arm64 without it; 3.5 ignores it.
        environment["ETCD_UNSUPPORTED_ARCH"] = "arm64"
    return environment
