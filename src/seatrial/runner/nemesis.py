"""The nemesis: carries out a plan's faults at their moments, and keeps the evidence.

Each fault runs on its own: wait, find the victims, inject, *measure*, hold, heal, *measure*. What
it does stands in the history (`seatrial.history.windows`), what it measured in `evidence/`. When
asked to stop it heals at once, all faults or those of one group (`seatrial.runner.halts`), and the
evidence says how long the fault was alive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from seatrial import faults as shelf
from seatrial.errors import SeatrialError
from seatrial.fault import FaultKind, Foresees, PlannedFault, Proof, World
from seatrial.op import NEMESIS, Op, Type
from seatrial.runner import lever
from seatrial.runner.company import Acting, Company, InProcess, taken
from seatrial.runner.halts import Halts
from seatrial.trial import Evidence, StoredProof, write_text

#: Bounds in seconds: one injection or healing; one measurement; waiting for a role to appear.
ACT_TIMEOUT_S = 20.0
PROOF_TIMEOUT_S = 30.0
ROLE_TIMEOUT_S = 5.0
ROLE_POLL_S = 0.1
#: How often a role that moves while its holder is looked at is looked up anew.
ROLE_TRIES = 5
#: How late a fault may begin because one before it on the same victims heals late.
FREE_TIMEOUT_S = 30.0
#: How much longer than planned a fault can hold its victims: looks, proofs and healing at their
#: bounds; one whose process died has been ended by its dead man's switch by then.
AFTERLIFE_S = 300.0
#: How long other faults may go on before recovery is measured beside them.
QUIET_TIMEOUT_S = 7 * 24 * 3600.0
#: A measurement of recovery that another fault came across is taken again, so many times.
RECOVERY_TRIES = 1000

Locate = Callable[[], Awaitable[Mapping[str, tuple[str, ...]]]]


class Nemesis:
    """Carries out planned faults. One instance a trial.

    `clock_bound_ns` is what evidence says of `clock` (`seatrial.trial.Evidence`): None where its
    moments have yet to be brought onto the trial's axis.
    """

    def __init__(
        self,
        world: World,
        locate: Locate,
        *,
        record: Callable[[Op], int],
        clock: Callable[[], int],
        evidence: Path,
        company: Company | None = None,
        halts: Halts | None = None,
        kinds: Callable[[str], FaultKind] = shelf.kind,
        act_timeout_s: float = ACT_TIMEOUT_S,
        recovery_timeout_s: float = PROOF_TIMEOUT_S,
        clock_bound_ns: int | None = 0,
    ) -> None:
        self._clock_bound_ns = clock_bound_ns
        self._kinds, self._act_timeout_s = kinds, act_timeout_s
        self._recovery_timeout_s = recovery_timeout_s
        self._halts = Halts(lever.forbidden) if halts is None else halts
        self._levels: dict[str, tuple[float, int]] = {}
        self._world = world
        self._locate = locate
        self._record = record
        self._clock = clock
        self._folder = evidence
        self._alive: dict[str, tuple[PlannedFault, tuple[str, ...]]] = {}
        self._company: Company = InProcess() if company is None else company

    @property
    def alive(self) -> tuple[tuple[PlannedFault, tuple[str, ...]], ...]:
        """Faults that act now, with their victims."""
        return tuple(self._alive.values())

    def level(self, group: str) -> tuple[float, int] | None:
        """The level that a ramp has reached and when it was first injected (ns); None before."""
        return self._levels.get(group)

    async def run(
        self, faults: Sequence[PlannedFault], load_start_ns: int, stop: asyncio.Event
    ) -> None:
        """Carry out `faults`, their moments counted from `load_start_ns`; all end healed."""
        async with self._halts.watching(faults, stop), asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._carry_out(fault, load_start_ns), name=fault.id)

    async def _carry_out(self, fault: PlannedFault, load_start_ns: int) -> None:
        stop, kind = self._halts.of(fault), self._kinds(fault.kind)
        start_ns = load_start_ns + int(fault.start_s * 1e9)
        looked = await self._look_ahead(kind, fault, start_ns, stop)
        await self._wait_until(start_ns, stop)
        if (left_out := self._halts.left_out(fault)) is not None:
            self._keep(left_out)
            return
        victims, error = await self._choose(fault, kind, looked, stop)
        if error:
            self._keep(Evidence(fault=fault, victims=victims, error=error))
            return
        if (left_out := self._halts.left_out(fault)) is not None:
            await self._company.leave(fault.id)
            self._keep(left_out)
            return
        evidence = Evidence(fault=fault, victims=victims)
        self._alive[fault.id] = (fault, victims)
        if fault.level is not None and self._levels.get(fault.group, (None, 0))[0] != fault.level:
            self._levels[fault.group] = (fault.level, self._clock())
        try:
            evidence = await self._inject(kind, evidence, start_ns)
            await self._wait_until((evidence.acts_ns or 0) + int(fault.duration_s * 1e9), stop)
            evidence = self._halts.cut_short(evidence, self._clock())
        finally:
            evidence = await self._heal(kind, evidence)
            del self._alive[fault.id]
            await self._company.leave(fault.id)
        await self._prove_recovery(kind, evidence)

    async def _choose(
        self, fault: PlannedFault, kind: FaultKind, looked: Sequence[str], stop: asyncio.Event
    ) -> tuple[tuple[str, ...], str]:
        """The victims, free of others' faults and looked at; or why there are none.

        Looked at ahead of its moment, if those are still the victims. Else a kind that looks first
        takes its time, in which a role can move: then it is chosen anew.
        """
        for _ in range(ROLE_TRIES):
            victims = tuple(fault.nodes or await self._resolve(fault, kind, stop))
            if not victims:
                return (
                    (),
                    f"nobody was {fault.victims} within {ROLE_TIMEOUT_S:g} s, or all were taken",
                )
            most_s = fault.duration_s + AFTERLIFE_S
            if not await self._until_free(
                fault, Acting(fault.kind, _touches(kind, fault), victims, most_s)
            ):
                await self._company.leave(fault.id)
                late = f"still had another fault after {FREE_TIMEOUT_S:g} s"
                return victims, f"{', '.join(victims)} {late}"
            if not isinstance(kind, Foresees) or set(victims) == set(looked):
                return victims, ""
            await _bounded(kind.look(self._world, fault, victims), self._act_timeout_s)
            if fault.nodes or stop.is_set() or await self._still(fault, victims):
                return victims, ""
            await self._company.leave(fault.id)
        return (
            (),
            f"the role {fault.victims} moved each of {ROLE_TRIES} times that it was looked up",
        )

    async def _still(self, fault: PlannedFault, victims: Sequence[str]) -> bool:
        """Whether the victims play the role; True where nobody can say, `inject` insists then."""
        try:
            return set(victims) <= set((await self._locate()).get(fault.victims, ()))
        except (OSError, SeatrialError):  # a time-out is an OSError
            return True

    async def _look_ahead(
        self, kind: FaultKind, fault: PlannedFault, start_ns: int, stop: asyncio.Event
    ) -> tuple[str, ...]:
        """See how things are shortly before the fault's moment; the nodes that were looked at.

        Not while another fault has one of its victims. Of a role, whoever has it then is looked
        at; whether that is the victim shows when the moment has come.
        """
        if not isinstance(kind, Foresees) or not kind.lead_s():
            return ()
        if await self._wait_until(start_ns - int(kind.lead_s() * 1e9), stop):
            return ()
        victims = tuple(fault.nodes) or await self._free_holder(fault, kind)
        if not victims or await self._company_of(victims):
            return ()
        await _bounded(kind.look(self._world, fault, victims), self._act_timeout_s)
        return () if await self._company_of(victims) else victims

    async def _company_of(self, victims: Sequence[str]) -> bool:
        """Whether some fault acts on one of these."""
        acting = await self._company.acting()
        return any(set(one.victims) & set(victims) for one in acting.values())

    async def _inject(self, kind: FaultKind, evidence: Evidence, planned_ns: int) -> Evidence:
        fault, victims = evidence.fault, evidence.victims
        began = self._note("inject", evidence, Type.INVOKE)
        error = await _bounded(kind.inject(self._world, fault, victims), self._act_timeout_s)
        ended = self._note("inject", evidence, Type.INFO, error)
        proof = await _proof(kind.prove_injected(self._world, fault, victims))
        return self._keep(
            evidence.model_copy(
                update={
                    "inject_ns": began,
                    "injected_ns": ended if error is None else None,
                    "late_s": round((began - planned_ns) / 1e9, 3),
                    "effect": proof,
                    "error": error,
                }
            )
        )

    async def _heal(self, kind: FaultKind, evidence: Evidence) -> Evidence:
        fault, victims = evidence.fault, evidence.victims
        began = self._note("heal", evidence, Type.INVOKE)
        error = await _bounded(kind.heal(self._world, fault, victims), self._act_timeout_s)
        ended = self._note("heal", evidence, Type.INFO, error)
        return self._keep(
            evidence.model_copy(
                update={
                    "heal_ns": began,
                    "healed_ns": ended if error is None else None,
                    "error": evidence.error or error,
                }
            )
        )

    async def _prove_recovery(self, kind: FaultKind, evidence: Evidence) -> None:
        """Measure that it no longer acts; again when no other fault is in the way."""
        fault, victims = evidence.fault, evidence.victims
        company = self._company
        for _ in range(RECOVERY_TRIES):
            begun, quiet = await company.begun(), not await company.acting()
            measurement = kind.prove_healed(self._world, fault, victims)
            proof = await _proof(measurement, self._recovery_timeout_s)
            if proof.seen or (quiet and begun == await company.begun()):
                break
            await self._until_quiet()
        self._keep(evidence.model_copy(update={"recovery": proof}))

    async def _until_free(self, fault: PlannedFault, acting: Acting) -> bool:
        """Begin once no fault of the same touch holds a victim: a healing may run late."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FREE_TIMEOUT_S):
                while not await self._company.join(fault.id, acting):
                    await self._company.change()
            return True
        return False

    async def _until_quiet(self) -> None:
        """Wait until no fault acts any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_TIMEOUT_S):
                while await self._company.acting():
                    await self._company.change()

    async def _resolve(
        self, fault: PlannedFault, kind: FaultKind, stop: asyncio.Event
    ) -> tuple[str, ...]:
        """Who plays the role now, by the plan's pick, leaving out victims of the same touch."""
        deadline = self._clock() + int(ROLE_TIMEOUT_S * 1e9)
        while not stop.is_set() and self._clock() < deadline:
            if holder := await self._free_holder(fault, kind):
                return holder
            await asyncio.sleep(ROLE_POLL_S)
        return ()

    async def _free_holder(self, fault: PlannedFault, kind: FaultKind) -> tuple[str, ...]:
        """The plan's pick of those who play the role at this moment; none if nobody is free."""
        holders: Sequence[str] = ()
        with contextlib.suppress(OSError, TimeoutError):
            holders = (await self._locate()).get(fault.victims, ())
        free = sorted(set(holders) - taken(await self._company.acting(), _touches(kind, fault)))
        return (free[int(fault.pick * len(free))],) if free else ()

    async def _wait_until(self, at_ns: int, stop: asyncio.Event) -> bool:
        """Wait for a moment; True if the trial was stopped before it."""
        left_s = (at_ns - self._clock()) / 1e9
        if left_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), left_s)
        return stop.is_set()

    def _note(self, f: str, evidence: Evidence, kind: Type, error: str | None = None) -> int:
        now = self._clock()
        value = {
            "fault": evidence.fault.id,
            "kind": evidence.fault.kind,
            "victims": ",".join(evidence.victims),
        }
        self._record(Op(kind, NEMESIS, f, value, time_ns=now, error=error))
        return now

    def _keep(self, evidence: Evidence) -> Evidence:
        evidence = evidence.model_copy(update={"clock_bound_ns": self._clock_bound_ns})
        path = self._folder / f"{evidence.fault.id}.json"
        write_text(path, evidence.model_dump_json(indent=2) + "\n")
        return evidence


def _touches(kind: FaultKind, fault: PlannedFault) -> str:
    """What it must have for itself: nothing that another one touches, where the plan shares it."""
    return f"{kind.touches} shared by {fault.id}" if fault.shares else kind.touches


async def _bounded(act: Awaitable[None], timeout_s: float) -> str | None:
    """Do it within the bound; the error in words, or None."""
    try:
        await asyncio.wait_for(act, timeout_s)
    except TimeoutError:
        return f"did not end within {timeout_s:g} s"
    except Exception as error:  # an injector's failure is evidence, not the end of the trial
        return f"{type(error).__name__}: {error}"
    return None


async def _proof(measurement: Awaitable[Proof], timeout_s: float = PROOF_TIMEOUT_S) -> StoredProof:
    try:
        proof = await asyncio.wait_for(measurement, timeout_s)
    except TimeoutError:
        return StoredProof(seen=False, sentence=f"no measurement within {timeout_s:g} s")
    except Exception as error:  # a probe that fails has seen nothing
        return StoredProof(
            seen=False, sentence=f"the probe failed: {type(error).__name__}: {error}"
        )
    return StoredProof(seen=proof.seen, sentence=proof.sentence, measured=proof.measured)
