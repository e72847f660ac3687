"""Processes, clocks and virtual machines on a machine, and commands of one's own."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.machine.action import MachineAction
from seatrial.faults.chaos.time import Clock
from seatrial.faults.chaos.units import At, Offset, Pid, Text, joined, milliseconds

Signal = Annotated[int, Field(ge=1, le=64, strict=True)]


class Process(MachineAction):
    """A process gets a signal."""

    action: ClassVar[str] = "process"
    section: ClassVar[str] = "process"
    summary: ClassVar[str] = "send a signal to a process"

    process: Annotated[Text, At(".process")] = Field(description="its name or number")
    signal: Annotated[Signal, At(".signal")] = Field(description="9 SIGKILL, 19 SIGSTOP")
    recover_command: Annotated[Text | None, At(".recoverCmd")] = Field(
        default=None, description="run at the end, to start it again"
    )


class ClockOffset(MachineAction):
    """A process's clocks are ahead or behind."""

    action: ClassVar[str] = "clock"
    section: ClassVar[str] = "clock"
    summary: ClassVar[str] = "put the clocks of a process ahead or behind"

    pid: Annotated[Pid, At(".pid")]
    offset_ms: Annotated[Offset, At(".time-offset", milliseconds)] = Field(
        description="by how much; negative: behind"
    )
    clock_ids: Annotated[
        Annotated[tuple[Clock, ...], Field(min_length=1)], At(".clock-ids-slice", joined)
    ] = ("CLOCK_REALTIME",)


class VirtualMachine(MachineAction):
    """A virtual machine on this machine is down for the duration."""

    action: ClassVar[str] = "vm"
    section: ClassVar[str] = "vm"
    summary: ClassVar[str] = "take a virtual machine on a machine down"

    vm_name: Annotated[Text, At(".vm-name")]


class UserDefined(MachineAction):
    """Two commands: one that breaks, one that mends."""

    action: ClassVar[str] = "user_defined"
    section: ClassVar[str] = "user_defined"
    summary: ClassVar[str] = "run a command that breaks, and one that mends"

    attack_command: Annotated[Text, At(".attackCmd")]
    recover_command: Annotated[Text, At(".recoverCmd")]


ACTIONS = (Process, ClockOffset, VirtualMachine, UserDefined)
