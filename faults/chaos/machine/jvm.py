"""Java processes on a machine: as JVMChaos, and the process must be named by its number."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.jvm import SqlType
from seatrial.faults.chaos.machine.action import MachineAction
from seatrial.faults.chaos.units import At, Count, Pid, Port, Text


class JvmAction(MachineAction):
    """What they share: which process."""

    pid: Annotated[Pid, At(".pid")] = Field(description="the Java process")
    agent_port: Annotated[Port, At(".port")] = Field(
        default=9277, description="where the agent in it listens"
    )


class MethodAction(JvmAction):
    """An action in one method."""

    class_name: Annotated[Text, At(".class")] = Field(description="with its package")
    method: Annotated[Text, At(".method")]


class JvmThrow(MethodAction):
    """The method throws."""

    action: ClassVar[str] = "jvm-exception"
    section: ClassVar[str] = "jvm-exception"
    summary: ClassVar[str] = "make a method throw an exception"

    exception: Annotated[Text, At(".exception")]


class JvmGc(JvmAction):
    """The process collects garbage."""

    action: ClassVar[str] = "jvm-gc"
    section: ClassVar[str] = "jvm-gc"
    summary: ClassVar[str] = "make a Java process collect garbage"


class JvmLatency(MethodAction):
    """The method takes longer."""

    action: ClassVar[str] = "jvm-latency"
    section: ClassVar[str] = "jvm-latency"
    summary: ClassVar[str] = "make a method take longer"

    latency_ms: Annotated[Count, At(".latency")] = Field(description="whole milliseconds")


class JvmReturn(MethodAction):
    """The method returns something else."""

    action: ClassVar[str] = "jvm-return"
    section: ClassVar[str] = "jvm-return"
    summary: ClassVar[str] = "make a method return a given value"

    value: Annotated[Text, At(".value")]


class JvmStress(JvmAction):
    """The process takes processor time, or memory."""

    action: ClassVar[str] = "jvm-stress"
    section: ClassVar[str] = "jvm-stress"
    summary: ClassVar[str] = "take processor time or memory inside a Java process"

    cpu_count: Annotated[Count | None, At(".cpu-count")] = Field(
        default=None, description="this or memory"
    )
    memory: Annotated[Literal["stack", "heap"] | None, At(".mem-type")] = Field(
        default=None, description="this or cpu_count"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.cpu_count is None) == (self.memory is None):
            raise UsageError(
                f"{self.title()}: cpu_count (was {self.cpu_count}) or memory "
                f"(was {self.memory!r})\n\nhint: give one of the two"
            )
        return self


class JvmRule(JvmAction):
    """A Byteman rule of one's own."""

    action: ClassVar[str] = "jvm-rule-data"
    section: ClassVar[str] = "jvm-rule-data"
    summary: ClassVar[str] = "install a Byteman rule of one's own"

    rule: Annotated[Text, At(".rule-data")] = Field(description="from RULE to ENDRULE")


class JvmMysql(JvmAction):
    """Statements through MySQL's Java connector are slow or fail."""

    action: ClassVar[str] = "jvm-mysql"
    section: ClassVar[str] = "jvm-mysql"
    summary: ClassVar[str] = "make statements through MySQL's Java connector slow or fail"

    connector_version: Annotated[Literal["5", "8"], At(".mysqlConnectorVersion")]
    database: Annotated[Text | None, At(".database")] = Field(default=None, description="none: all")
    table: Annotated[Text | None, At(".table")] = Field(default=None, description="none: all")
    sql_type: Annotated[SqlType | None, At(".sqlType")] = Field(
        default=None, description="none: all"
    )
    exception: Annotated[Text | None, At(".exception")] = Field(
        default=None, description="this or latency_ms"
    )
    latency_ms: Annotated[Count | None, At(".latency")] = Field(
        default=None, description="whole milliseconds; this or exception"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.exception is None) == (self.latency_ms is None):
            raise UsageError(
                f"{self.title()}: exception (was {self.exception!r}) or latency_ms "
                f"(was {self.latency_ms})\n\nhint: give one of the two"
            )
        return self


ACTIONS = (JvmThrow, JvmGc, JvmLatency, JvmReturn, JvmStress, JvmRule, JvmMysql)
