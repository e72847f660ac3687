"""Fault `pause` on a cluster: signals sent by commands in the pods, with a dead man's switch.

Chaos Mesh has nothing like it, so nobody but us would let a stopped process run on. Before the
signal is sent, a detached process is left in the pod that sends SIGCONT when the fault is long
over, whatever became of its step. Healing ends that switch first, and insists on the very process
that was stopped: one that was started anew meanwhile (by the kubelet, whose liveness probe got no
answer) was restarted, not paused. A process is known by its number and its start.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from seatrial.engine.argo.api import ApiError
from seatrial.engine.argo.chaos import SWITCH_S
from seatrial.engine.argo.run import Run
from seatrial.engine.argo.seen import see
from seatrial.engine.argo.shelved import Shelved
from seatrial.engine.argo.world import ClusterWorld, Process
from seatrial.errors import SeatrialError, Unavailable
from seatrial.fault import PlannedFault, Proof, World

#: How long the kernel may take to stop a process (one in an uninterruptible call finishes it).
STOP_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.1
#: The kernel's letters for a process that stands: by a signal, by a tracer.
STOPPED: Final = ("T", "t")

#: What scripts print of a process that is not the one that was meant.
ANOTHER: Final = "another"
#: `same PID START`: whether that process is still there (fields 1 and 22 of its stat).
_SAME: Final = (
    'same() { w=$2; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; set -- ${s##*) }; '
    '[ "${20}" = "$w" ]; }; '
)
#: `disarm PATTERN`: end switches by their last words. The mark is put together here, so that it
#: stands in no command line but the switches' own.
_DISARM: Final = (
    "m=seatrial; disarm() { for p in /proc/[0-9]*; do "
    'c=$(tr "\\000" " " <"$p/cmdline" 2>/dev/null) || continue; case "$c" in '
    '*" $m-switch "*" "$1) q=${p#/proc/}; '
    'kill -TERM "-$q" 2>/dev/null || kill -TERM "$q" 2>/dev/null;; esac; done; }; '
)
#: PID START SECONDS PROCESS OWNER: wait, then let it run on.
_SWITCH: Final = _SAME + 'sleep "$3"; same "$1" "$2" && kill -CONT "$1"'
#: PID START SECONDS PROCESS OWNER SWITCH: stop it once the switch is there; exit 3 if it never is.
_STOP: Final = (
    _SAME + f'same "$1" "$2" || {{ echo {ANOTHER}; exit 0; }}; m=seatrial; '
    '$(command -v setsid) sh -c "$6" "$m-switch" "$1" "$2" "$3" "$4" "$5" '
    "</dev/null >/dev/null 2>&1 & n=0; "
    'until case "$(tr "\\000" " " <"/proc/$!/cmdline")" in *" $m-switch "*) :;; *) false;; esac; '
    'do n=$((n+1)); [ "$n" -le 20 ] || { echo "the switch did not start" >&2; exit 3; }; '
    'sleep 0.1; done; kill -STOP "$1"'
)
#: PID START PATTERN: end the switch, say the process's letter, let it run on.
_GO_ON: Final = (
    _DISARM + _SAME + f'disarm "$3"; same "$1" "$2" || {{ echo {ANOTHER}; exit 0; }}; p=$1; '
    's=$(cat "/proc/$p/stat"); set -- ${s##*) }; kill -CONT "$p" && echo "$1"'
)
#: PROCESS PATTERN: the same for all processes of the name that stand.
_RELEASE: Final = (
    _DISARM
    + 'disarm "$2"; for p in /proc/[0-9]*; do read -r c < "$p/comm" 2>/dev/null || continue; '
    '[ "$c" = "$1" ] || continue; s=$(cat "$p/stat" 2>/dev/null) || continue; '
    'case "${s##*) }" in T*) kill -CONT "${p#/proc/}" && echo "${p#/proc/}";; esac; done'
)


@dataclass(slots=True)
class PauseThere(Shelved):
    """`seatrial.fault.FaultKind`: the shelf's `pause`. One instance a step: it remembers whom it
    stopped."""

    run: Run
    #: Fault → node → the process that was stopped, until it runs on.
    _stopped: dict[str, dict[str, Process]] = field(default_factory=dict)
    #: Faults of which every victim was stopped, and none was let run on.
    _whole: set[str] = field(default_factory=set)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Stop all victims; raises `Unavailable` if one cannot be, after the others are."""
        told = await asyncio.gather(
            *(self._stop(_cluster(world), fault, node) for node in victims), return_exceptions=True
        )
        for error in told:
            if error is not None:
                raise error
        self._whole.add(fault.id)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Let those run on that it stopped. Raises `Unavailable`: one cannot be, or did not stand
        until now. Who runs on is left alone the second time."""
        stopped, whole = self._stopped.get(fault.id, {}), fault.id in self._whole
        self._whole.discard(fault.id)
        told = await asyncio.gather(
            *(self._go_on(_cluster(world), fault, node, whole) for node in [*stopped])
        )
        if problems := [one for one in told if one]:
            raise Unavailable("; ".join(problems))

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The shelf's proof, once the kernel says that all stand, or its time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_TIMEOUT_S
        seen = await see(_cluster(world), victims)
        while not all(seen.process_state(node) in STOPPED for node in victims):
            if loop.time() > deadline:
                break
            await asyncio.sleep(_POLL_S)
            seen = await see(_cluster(world), victims)
        return await self.shelf.prove_injected(seen, fault, victims)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The shelf's proof."""
        return await self.shelf.prove_healed(await see(_cluster(world), victims), fault, victims)

    async def _stop(self, cluster: ClusterWorld, fault: PlannedFault, node: str) -> None:
        process = cluster.placement.process
        found = await cluster.process(node)
        if found is None:
            raise Unavailable(f"{node} has no process {process!r} to signal")
        if found.pid == 1:
            raise Unavailable(
                f"{node}'s process is the first of its namespace, which cannot be stopped from "
                "inside\n\nhint: shareProcessNamespace: true in the pod"
            )
        # Remembered first: an answer may be lost on its way back.
        self._stopped.setdefault(fault.id, {})[node] = found
        switch_s = str(math.ceil(fault.duration_s + SWITCH_S))
        words = (str(found.pid), str(found.start), switch_s, process, self._owner(fault), _SWITCH)
        if (await cluster.command(node, _STOP, *words)).strip() == ANOTHER:
            raise Unavailable(f"{node}: its process ended before it was stopped")

    async def _go_on(
        self, cluster: ClusterWorld, fault: PlannedFault, node: str, whole: bool
    ) -> str:
        """Let one run on; what was wrong with it, or ""."""
        before = self._stopped[fault.id][node]
        pattern = f"{cluster.placement.process} {self._owner(fault)} "
        try:
            words = (str(before.pid), str(before.start), pattern)
            state = (await cluster.command(node, _GO_ON, *words)).strip()
        except SeatrialError as error:
            return f"{node}: {error}".partition("\n")[0]
        del self._stopped[fault.id][node]
        if state == ANOTHER:
            return f"{node}: its process was started anew meanwhile, it was not paused to the end"
        if whole and state not in STOPPED:
            return f"{node}: its process ran already (state {state}), it was not paused to the end"
        return ""

    def _owner(self, fault: PlannedFault) -> str:
        return f"{self.run.name}/{fault.id}"


async def release(cluster: ClusterWorld, run: Run) -> tuple[str, ...]:
    """Let every stopped process of the nodes run on, whoever stopped it, and end the run's
    switches; where that could not be done, in sentences."""
    process = cluster.placement.process

    async def one(node: str) -> str:
        try:
            await cluster.command(node, _RELEASE, process, f"{process} {run.name}/* ")
        except SeatrialError as error:
            if isinstance(error, ApiError) and error.status == 404:
                return ""  # no pod, so no process
            return f"{node}: its process may still be stopped: {error}".partition("\n")[0]
        return ""

    return tuple(filter(None, await asyncio.gather(*map(one, cluster.nodes))))


async def standing(cluster: ClusterWorld) -> tuple[str, ...]:
    """Processes of the nodes that are stopped, in sentences; who cannot be looked at as well."""

    async def one(node: str) -> list[str]:
        try:
            found = await cluster.processes(node)
        except SeatrialError as error:
            why = f"{error}".partition("\n")[0]
            return [f"{node}: nobody could look whether its process is stopped: {why}"]
        return [f"{node}'s process {p.pid} is stopped" for p in found if p.state in STOPPED]

    told = await asyncio.gather(*map(one, cluster.nodes))
    return tuple(sentence for sentences in told for sentence in sentences)


def _cluster(world: World) -> ClusterWorld:
    assert isinstance(world, ClusterWorld), "kinds of a cluster act on its own world"
    return world
