"""Write much, heal, and compare what each node holds.

A replicated state machine is deterministic: replicas that have applied the same log hold the same
data (Schneider, "Implementing fault-tolerant services using the state machine approach", ACM
Computing Surveys 1990). Clients cannot see a replica that has diverged as long as another one
answers; so at the end each node is asked for the fingerprint of its own copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar, cast

from pydantic import Field

from seatrial.generator import PENDING, Answer, Body, Context, Generator, below, derive, unfold
from seatrial.op import Op, Type, Value
from seatrial.settings import Settings, parse
from seatrial.target import Client, ReplicaClient
from seatrial.verdict import Json

T = TypeVar("T")

FS = ("put",)
#: Each node is asked this often at most, with this pause between, until all stand at one index.
ROUNDS_MIN = 2
ROUNDS_MAX = 20
ROUND_GAP_NS = 500_000_000


class ReplicasSettings(Settings):
    """`keys`: how many there are. `value_bytes`: the length of each value."""

    keys: int = Field(default=1000, ge=1)
    value_bytes: int = Field(default=200, ge=1, le=1 << 20)


class _Fingerprints(NamedTuple):
    """The first threads, each a client of another node, ask until all nodes stand still together.

    `asked`: how often each thread has asked; `due_ns`: when it may again; `last`: the last answer.
    """

    asked: tuple[int, ...]
    due_ns: tuple[int, ...]
    last: tuple[Value, ...]

    def op(self, context: Context) -> Answer:
        if self._together():
            return None, self
        left = [thread for thread, asked in enumerate(self.asked) if asked < ROUNDS_MAX]
        if not left:
            return None, self
        ready = [thread for thread in left if thread in context.free]
        if not ready:
            return PENDING, self
        thread = min(ready, key=self.due_ns.__getitem__)
        time_ns = max(context.time_ns, self.due_ns[thread])
        op = Op(Type.INVOKE, context.processes[thread], "fingerprint", None, None, time_ns)
        asked = _with(self.asked, thread, self.asked[thread] + 1)
        due_ns = _with(self.due_ns, thread, time_ns + ROUND_GAP_NS)
        # Its last answer is stale from now on: nodes stand together by answers of one round.
        last = _with(self.last, thread, None)
        return op, self._replace(asked=asked, due_ns=due_ns, last=last)

    def update(self, context: Context, event: Op) -> Generator:
        if event.type != Type.OK or event.f != "fingerprint":
            return self
        for thread in range(len(self.asked)):
            if context.processes.get(thread) == event.process:
                return self._replace(last=_with(self.last, thread, event.value))
        return self

    def _together(self) -> bool:
        if min(self.asked) < ROUNDS_MIN:
            return False
        indexes = {v["index"] if isinstance(v, Mapping) else None for v in self.last}
        settled = all(isinstance(v, Mapping) and v["settled"] for v in self.last)
        return settled and len(indexes) == 1


class ReplicasWorkload:
    """The workload `replicas`."""

    name = "replicas"
    fs = FS

    def __init__(self, settings: ReplicasSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> Mapping[str, Json]:
        """All settings with their values."""
        return self._settings.model_dump()

    def generator(self, seed: int, concurrency: int, nodes: int) -> Generator:
        """Puts without end; an op's value is the key and the put's number."""
        keys = self._settings.keys

        def step(number: int, drawn: int, context: Context) -> tuple[Body, int]:
            return ("put", (below(drawn, keys), number), None), number + 1

        return unfold(step, 0, derive(seed, "replicas"))

    def final_generator(self, seed: int, concurrency: int, nodes: int) -> Generator | None:
        """Each node's fingerprint, again and again until all stand at the same log index."""
        return fingerprints(nodes, concurrency)

    async def invoke(self, client: Client, op: Op) -> Value:
        """Do `op` on a `ReplicaClient`."""
        replica = cast(ReplicaClient, client)
        if op.f == "fingerprint":
            return await replica.fingerprint()
        key, number = cast(tuple[int, int], op.value)
        await replica.put_many(key, text(number, self._settings.value_bytes))
        return op.value

    def checkers(self) -> Mapping[str, Mapping[str, Json]]:
        """All replicas agree."""
        return {"replicas": {}}


def fingerprints(nodes: int, concurrency: int) -> Generator:
    """Ops `fingerprint` by a client of each node, until all stand still at one log index.

    For the end of any workload's last reads, where its target's clients are `ReplicaClient`s.
    """
    threads = min(nodes, concurrency)
    return _Fingerprints((0,) * threads, (0,) * threads, (None,) * threads)


def text(number: int, size: int) -> str:
    """The value of a put: `size` characters that no other put writes (if `size` allows)."""
    said = f"{number}."
    return (said * (size // len(said) + 1))[:size]


def _with(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])


def make(settings: Mapping[str, Json]) -> ReplicasWorkload:
    """The workload with these settings; raises `UsageError` that lists the known ones."""
    return ReplicasWorkload(parse("workload 'replicas'", ReplicasSettings, settings))
