"""The contract of a target: the system under trial, its nodes, roles, clients and health.

A target says how a node is started and spoken to; it starts nothing itself. Engines start nodes
(in a namespace, in a pod) and hand back where they can be reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from seatrial.op import Atom, Value
from seatrial.verdict import Json


class OpFailed(Exception):
    """The op certainly had no effect. The engine records `fail`."""


class OpRefused(OpFailed):
    """The target answered and rightly refused (a compare-and-set that found another value).

    The engine records `fail` without an error: a refusal is no failure of the target.
    """


class OpUnknown(Exception):
    """Nobody knows whether the op had an effect. The engine records `info`."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node as the engine placed it.

    `address` is what clients and peers use (an IP address); `ports` maps the target's port names
    to numbers; `data_dir` and `log_file` are on this machine (empty where they are not).
    """

    name: str
    address: str
    ports: Mapping[str, int]
    data_dir: Path
    log_file: Path


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a node's process. The engine adds namespace, log and supervision.

    The process inherits the tool's environment with `env` added, and without the variables that
    begin with one of `env_not`: a server must not take settings that a person's shell has set.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    env_not: tuple[str, ...] = ()


class Client(Protocol):
    """A connection pinned to one node. What else it can do is said by the capability protocols.

    Each call raises `OpFailed` (certainly no effect) or `OpUnknown` (nobody knows); any other
    exception counts as `OpUnknown` and is kept as a defect of the client.
    """

    async def close(self) -> None:
        """Free the connection; never raises."""
        ...


class RegisterClient(Client, Protocol):
    """Registers by key: read, write, compare-and-set, all linearizable unless said otherwise."""

    async def read(self, key: Atom) -> Atom:
        """The value of `key`, None if absent."""
        ...

    async def write(self, key: Atom, value: Atom) -> None:
        """Set `key` to `value`."""
        ...

    async def cas(self, key: Atom, old: Atom, new: Atom) -> bool:
        """Set `key` to `new` if it is `old` (None: absent); False if it certainly was not."""
        ...


class TransactionClient(Client, Protocol):
    """Transactions of micro-ops `("append", k, v)`, `("r", k, None)`, `("w", k, v)`."""

    async def transact(self, micro_ops: Sequence[tuple[str, Atom, Value]]) -> tuple[Value, ...]:
        """Carry out all micro-ops as one transaction; the same micro-ops, reads filled in."""
        ...


class SetClient(Client, Protocol):
    """A grow-only set of integers."""

    async def add(self, element: int) -> None:
        """Add one element."""
        ...

    async def read_set(self, *, linearizable: bool) -> tuple[int, ...]:
        """All elements, through consensus or from this node's own copy."""
        ...


class BankClient(Client, Protocol):
    """Accounts with whole balances; a transfer and a read of all are one transaction each."""

    async def open_accounts(self, balances: Mapping[int, int]) -> None:
        """Make the accounts that are missing, all at once; those that are there stay as they are.

        Certain when it returns: later ops of every client see all of them.
        """
        ...

    async def transfer(
        self, source: int, destination: int, amount: int, *, may_overdraw: bool
    ) -> None:
        """Move `amount`; raises `OpRefused` where `source` has less and may not overdraw."""
        ...

    async def balances(self) -> Mapping[int, int]:
        """The balance of every account, as one read sees them."""
        ...


class ReplicaClient(Client, Protocol):
    """What one replica holds, for comparison with the others."""

    async def put_many(self, key: int, value: str) -> None:
        """Put `value` at `key`."""
        ...

    async def fingerprint(self) -> Mapping[str, Value]:
        """This node's own view, JSON only, read from its own copy.

        Keys that replicas must agree on (data hash, revision at the same raft index), `check` (what
        the database's own consistency check found, "" if nothing) and their context; the target
        documents them.
        """
        ...


@runtime_checkable
class Scraped(Protocol):
    """A target whose nodes tell metrics to Prometheus: a capability beside `Target`."""

    def metrics_url(self, node: Node) -> str:
        """Where `node` tells its metrics."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a target's nodes are on Kubernetes, and what makes them.

    `pods` maps nodes to pods, `addresses` nodes to the name that clients use (it must last when a
    pod is made anew; "" is the pod's own address), `ports` port names to numbers. `container` is
    one in each pod where a command can be carried out that sees the pod's network and the node's
    process, whose name (`/proc/PID/comm`) is `process`; empty where there is none. `objects` are
    what makes the target, in order; none where it runs already. `volume` is where a node's data
    is mounted in the container of the node, which is called `node` ("": the pod's first). `beside`
    are pods that are no nodes and must be ready as well before clients are served.

    Of a cluster that runs: `selector` finds its pods by their labels where `pods` names none, and
    where neither is known nothing of it can be broken. `node_ports` are the ports of single nodes
    as clients reach them, where they are not `ports`. `apart`: clients speak to others than the
    nodes.
    """

    namespace: str
    pods: Mapping[str, str]
    addresses: Mapping[str, str]
    ports: Mapping[str, int]
    container: str = ""
    process: str = ""
    objects: tuple[Mapping[str, Json], ...] = ()
    node_ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    selector: str = ""
    apart: bool = False
    volume: str = ""
    node: str = ""
    beside: tuple[str, ...] = ()

    @property
    def breakable(self) -> bool:
        """Whether its nodes are pods, so that faults reach them."""
        return bool(self.pods or self.selector)


@runtime_checkable
class Placed(Protocol):
    """A target that can be made, or found, on Kubernetes: a capability beside `Target`."""

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        """Where the nodes of a trial are, and what makes them.

        `run` names the trial: every name that is made begins with it. `namespace` is the trial's.
        """
        ...


class Target(Protocol):
    """A system under trial."""

    @property
    def name(self) -> str:
        """The name in the catalogue."""
        ...

    @property
    def node_counts(self) -> tuple[int, ...]:
        """How many nodes it can be made of, for instance (1, 3, 5)."""
        ...

    @property
    def port_names(self) -> tuple[str, ...]:
        """The ports each node needs, for instance ("client", "peer")."""
        ...

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles that `locate` resolves besides the sizes, for instance ("leader", "follower")."""
        ...

    def version(self) -> str:
        """The version of the binary; raises `Unavailable` if it does not start."""
        ...

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        """How to start `node` (`rejoin`: its data folder already holds a member)."""
        ...

    async def ready(self, node: Node, timeout_s: float) -> bool:
        """Whether the node answers (and takes part in a quorum) before the timeout."""
        ...

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        """Roles as they are now: role → names of nodes. A role nobody has is absent."""
        ...

    async def connect(self, node: Node, *, timeout_s: float) -> Client:
        """A client pinned to `node`; `timeout_s` bounds each of its calls."""
        ...


@runtime_checkable
class Membership(Protocol):
    """A target whose nodes can leave the cluster and join it anew while it runs.

    Each call raises `Unavailable` with the target's own words where it is refused.
    """

    async def members(self, cluster: Sequence[Node]) -> Mapping[str, str]:
        """Who is a member now, as the cluster agreed: name of the node → its number there."""
        ...

    async def remove_member(self, node: Node, cluster: Sequence[Node]) -> str:
        """Take `node` out of the cluster; its number."""
        ...

    async def add_member(self, node: Node, cluster: Sequence[Node]) -> None:
        """Announce `node`, with no data, to the cluster; harmless if it is announced."""
        ...

    def joining(self, members: Sequence[str]) -> Target:
        """This target as it starts a node with no data that joins `members` (it is among them)."""
        ...


@runtime_checkable
class Versioned(Protocol):
    """A target whose nodes say which version they run."""

    async def running_version(self, node: Node) -> str:
        """The version that `node` runs, as it says itself; "" if it does not answer."""
        ...


@runtime_checkable
class Images(Versioned, Protocol):
    """A target whose pods can run another image on the same data."""

    def image_may_follow(self, image: str) -> str:
        """Why `image` cannot take over the data of its own, "" if it can or nobody can say."""
        ...


@runtime_checkable
class Clearing(Protocol):
    """A target on which what earlier trials wrote can be told apart, and taken away."""

    async def clear(self, cluster: Sequence[Node]) -> None:
        """Remove all that trials have written; raises `Unavailable` where it may not be removed.

        A history begins with nothing written: what an older trial left would be read as an error.
        """
        ...


@runtime_checkable
class Rejoining(Protocol):
    """A target that says how a pod of it is started to join a cluster that is there."""

    def rejoining(self, command: Sequence[str]) -> tuple[str, ...]:
        """The container's command for a node with no data that joins as a new member."""
        ...


@runtime_checkable
class Rewrites(Protocol):
    """A target whose nodes tell how often they have rewritten their data file."""

    async def rewrites(self, node: Node) -> tuple[float, int]:
        """When the node's process started (any clock), and how often it rewrote the file since."""
        ...


@runtime_checkable
class Versions(Protocol):
    """A target whose nodes can run another binary on the same data."""

    def with_binary(self, binary: str) -> Target:
        """This target with another binary; raises `Unavailable` if it does not start."""
        ...

    def may_follow(self, binary: str) -> str:
        """Why `binary` cannot take over the data of this one, "" if it can."""
        ...

    async def running_version(self, node: Node) -> str:
        """The version that `node` runs, as it says itself; "" if it does not answer."""
        ...


@runtime_checkable
class Upkeep(Protocol):
    """A target with a history that can be compacted and a file that can be defragmented."""

    async def compact(self, node: Node, keep_revisions: int) -> int:
        """Forget the history but for the last revisions; the revision below which it is gone."""
        ...

    async def is_compacted(self, node: Node, revision: int) -> bool:
        """Whether `node` says that the history at `revision` is gone."""
        ...

    async def defragment(self, node: Node) -> None:
        """Rewrite the node's data file without holes."""
        ...

    def data_file(self, node: Node) -> Path:
        """The file that `defragment` rewrites."""
        ...


@runtime_checkable
class Clock(Protocol):
    """A target whose nodes say what time it is for them."""

    async def clock_offset(self, node: Node) -> float:
        """By how many seconds the clock of `node` is ahead of this machine's; to a second."""
        ...


@runtime_checkable
class NeedsTarget(Protocol):
    """A kind of fault that not every target can have; it says so when a plan is made."""

    def lacking(
        self,
        target: Target,
        nodes: Sequence[str],
        victims: Sequence[str],
        options: Mapping[str, Json],
    ) -> str:
        """Why `target` cannot have it on these victims (sizes and roles), "" if it can."""
        ...


@runtime_checkable
class StartsSlowly(Protocol):
    """A target whose nodes need longer to be ready for the first time than an engine allows."""

    @property
    def start_timeout_s(self) -> float:
        """How long all of them together may take."""
        ...


@runtime_checkable
class EndsItself(Protocol):
    """A target whose nodes end by design in a state that they cannot go on from.

    Whoever looks after them starts them again; such an end is no defect of the target.
    """

    def why_it_ended(self, last_words: str) -> str:
        """Why a node whose log ends so has rightly ended itself, "" if that is not known."""
        ...


@runtime_checkable
class PerhapsNotHere(Protocol):
    """A target whose nodes cannot be started on every machine."""

    def why_not_here(self) -> str:
        """Why no node can be started on this machine, "" if they can."""
        ...
