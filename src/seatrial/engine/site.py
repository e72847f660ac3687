"""The seam between the steps of a trial and the place where it happens.

A step is a process of its own. It finds the cluster that an earlier step made through an `Engine`:
`provision` makes it and says in a `ClusterRecord` how to reach it, `open` reaches it. What it gets
is a `Site`: the world that faults act on, roles, the trial's board, and the end of it all. Nothing
else in a step knows whether that is a sandbox of this machine or a cluster.

An engine that comes later adds its module here and its line to `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict

from seatrial.catalogue import Catalogue, Entry
from seatrial.fault import FaultKind, World
from seatrial.plan import Plan
from seatrial.target import Node
from seatrial.verdict import Json


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlacedNode(_Data):
    """One node as `cluster.json` has it (`seatrial.target.Node`)."""

    name: str
    address: str
    ports: Mapping[str, int]
    data_dir: str = ""
    log_file: str = ""

    def node(self) -> Node:
        """As targets and clients take it."""
        return Node(
            self.name, self.address, dict(self.ports), Path(self.data_dir), Path(self.log_file)
        )


class ClusterRecord(_Data):
    """`cluster.json`: what `provision` made. `site` is the engine's own: how to reach it again."""

    format: Literal["seatrial/cluster/1"] = "seatrial/cluster/1"
    engine: str
    nodes: tuple[PlacedNode, ...]
    #: What its nodes say they run, where the engine's preflight could not know.
    versions: Mapping[str, str] = {}
    site: Mapping[str, Json] = {}


class Notice(_Data):
    """A notice on the board. `version` grows by one each time it is posted anew."""

    version: int
    document: Mapping[str, Json]


class Board(Protocol):
    """Notices by name, seen by all steps of a trial. Small: it carries no ops."""

    async def post(
        self, name: str, document: Mapping[str, Json], *, version: int | None = None
    ) -> bool:
        """Put a notice up in place of the one before; whether it was put up.

        With `version` only if the one before has that version (0: there is none).
        """
        ...

    async def read(self, name: str) -> Notice | None:
        """The notice of that name, None if there is none."""
        ...

    async def read_all(self) -> Mapping[str, Notice]:
        """All notices."""
        ...


class Site(Protocol):
    """A cluster that stands, as a step sees it. `close` lets go of it and leaves it standing."""

    @property
    def world(self) -> World:
        """What faults act on."""
        ...

    @property
    def board(self) -> Board:
        """The trial's board."""
        ...

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, as clients reach them."""
        ...

    @property
    def stays(self) -> str:
        """Why `teardown` leaves the cluster as it is; "" where it takes it down."""
        ...

    @property
    def act_timeout_s(self) -> float:
        """How long one injection or one healing may take here."""
        ...

    @property
    def recovery_timeout_s(self) -> float:
        """How long it may take to see that a fault is over and its victims are back."""
        ...

    @property
    def heal_timeout_s(self) -> float:
        """How long `heal_everything` may take."""
        ...

    def kind(self, name: str) -> FaultKind:
        """The kind of fault called `name`, as it is done here; raises `UnknownName`."""
        ...

    async def locate(self) -> Mapping[str, tuple[str, ...]]:
        """Roles as they are now: role → names of nodes."""
        ...

    async def heal_everything(self) -> tuple[str, ...]:
        """Undo all that faults did, whatever is known of them; safe to call at any time.

        What did not end in order, so that nobody knows whether it is undone, in sentences.
        """
        ...

    async def audit(self) -> tuple[str, ...]:
        """What is still broken, in sentences; empty is good."""
        ...

    async def unplanned(self) -> tuple[str, ...]:
        """What happened to nodes so far that nobody planned, in sentences."""
        ...

    async def collect(self, into: Path) -> tuple[str, ...]:
        """Bring logs and whatever else tells a story into a folder; names of what came."""
        ...

    async def teardown(self, keep: Path | None) -> tuple[str, ...]:
        """Take the cluster down; what could not be removed, in sentences. `keep`: a copy of its
        data goes there first."""
        ...

    async def close(self) -> None:
        """Let go of it; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Where a step listens for others: `listen` for itself, `advertise` for the board.

    `unix:PATH` or `tcp:HOST:PORT`.
    """

    listen: str
    advertise: str


class Engine(Protocol):
    """Makes clusters and finds them again."""

    async def preflight(self, plan: Plan) -> Mapping[str, str]:
        """Whether the plan can be carried out here: versions by name; raises `Unavailable`."""
        ...

    async def provision(self, plan: Plan, folder: Path, lease_s: float) -> ClusterRecord:
        """Make the cluster of a plan; returns when all nodes are ready, raises `Unavailable`.

        `folder` is the trial's. A cluster that no step has been near for `lease_s` may end itself.
        """
        ...

    async def open(self, cluster: ClusterRecord | None, plan: Plan, folder: Path) -> Site:
        """Reach a cluster; raises `Unavailable` if it is gone.

        An exit handler may have no record: an engine that finds its clusters by other means (a
        label) does so then.
        """
        ...

    def entry(self, cluster: ClusterRecord, folder: Path) -> Sequence[str] | None:
        """The words to put before a command that must run where clients reach the nodes.

        None where this process is there already.
        """
        ...

    def line(self, folder: Path) -> Line:
        """Where a step of the trial in that folder listens for others."""
        ...


#: What it means for a verdict that an effect cannot be seen.
UNKNOWN_AT_BEST = (
    "A fault that was not seen to act proves nothing: such a trial can be invalid or unknown, "
    "never valid."
)


@runtime_checkable
class Foretells(Protocol):
    """An engine on which the effect of some faults cannot be measured."""

    def unseen(self, plan: Plan) -> tuple[str, ...]:
        """The faults of a plan whose effect nobody can see there, with the reason, in sentences."""
        ...


#: Engines that carry out plans step by step.
ENGINES = Catalogue(
    "engine",
    {
        "lab": Entry("this machine, in a sandbox", "seatrial.engine.lab.site:ENGINE"),
        "argo": Entry("Kubernetes, faults by Chaos Mesh", "seatrial.engine.argo.site:ENGINE"),
    },
)


def engine_of(name: str) -> Engine:
    """The engine called `name`; raises `UnknownName`."""
    return cast(Engine, ENGINES[name].load())
