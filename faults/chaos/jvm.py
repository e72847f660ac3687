"""JVMChaos: methods of a Java program are slow, fail or lie (Byteman rules)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.containers import ContainerAction
from seatrial.faults.chaos.units import At, Count, Pid, Port, Text

SqlType = Literal["select", "insert", "update", "delete", "replace"]


class JvmAction(ContainerAction):
    """What JVMChaos actions share: which Java process."""

    kind: ClassVar[str] = "JVMChaos"

    agent_port: Annotated[Port, At("port")] = Field(
        default=9277, description="where the agent in the Java process listens"
    )
    pid: Annotated[Pid | None, At("pid")] = Field(
        default=None, description="the Java process; none: the only one there is"
    )
    rule_name: Annotated[Text | None, At("name")] = Field(
        default=None, description="the Byteman rule's name; none: made up"
    )


class MethodAction(JvmAction):
    """An action in one method."""

    class_name: Annotated[Text, At("class")] = Field(description="with its package")
    method: Annotated[Text, At("method")]


class Latency(MethodAction):
    """The method takes longer."""

    action: ClassVar[str] = "latency"
    summary: ClassVar[str] = "make a method take longer"

    latency_ms: Annotated[Count, At("latency")] = Field(description="whole milliseconds")


class Return(MethodAction):
    """The method returns something else."""

    action: ClassVar[str] = "return"
    summary: ClassVar[str] = "make a method return a given value"

    value: Annotated[Text, At("returnValue")] = Field(
        description="a Java expression; numbers and strings"
    )


class Throw(MethodAction):
    """The method throws."""

    action: ClassVar[str] = "exception"
    summary: ClassVar[str] = "make a method throw an exception"

    exception: Annotated[Text, At("exception")] = Field(
        description='a Java expression: `java.io.IOException("no")`'
    )


class Stress(JvmAction):
    """The process takes processor time, or memory."""

    action: ClassVar[str] = "stress"
    summary: ClassVar[str] = "take processor time or memory inside the process"

    cpu_count: Annotated[Count | None, At("cpuCount")] = Field(
        default=None, description="how many processors; this or memory"
    )
    memory: Annotated[Literal["stack", "heap"] | None, At("memType")] = Field(
        default=None, description="which memory to fill; this or cpu_count"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.cpu_count is None) == (self.memory is None):
            raise UsageError(
                f"{self.title()}: cpu_count (was {self.cpu_count}) or memory "
                f"(was {self.memory!r})\n\nhint: give one of the two"
            )
        return self


class Gc(JvmAction):
    """The process collects garbage."""

    action: ClassVar[str] = "gc"
    summary: ClassVar[str] = "make the process collect garbage"


class Rule(JvmAction):
    """A Byteman rule of one's own."""

    action: ClassVar[str] = "ruleData"
    summary: ClassVar[str] = "install a Byteman rule of one's own"

    rule: Annotated[Text, At("ruleData")] = Field(description="the rule, from RULE to ENDRULE")


class Mysql(JvmAction):
    """Statements through MySQL's Java connector are slow or fail."""

    action: ClassVar[str] = "mysql"
    summary: ClassVar[str] = "make statements through MySQL's Java connector slow or fail"

    connector_version: Annotated[Literal["5", "8"], At("mysqlConnectorVersion")] = Field(
        description="of mysql-connector-java: 5.x.x or 8.x.x"
    )
    database: Annotated[Text | None, At("database")] = Field(default=None, description="none: all")
    table: Annotated[Text | None, At("table")] = Field(default=None, description="none: all")
    sql_type: Annotated[SqlType | None, At("sqlType")] = Field(
        default=None, description="none: all"
    )
    exception: Annotated[Text | None, At("exception")] = Field(
        default=None, description="message of the error; this or latency_ms"
    )
    latency_ms: Annotated[Count | None, At("latency")] = Field(
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


ACTIONS = (Latency, Return, Throw, Stress, Gc, Rule, Mysql)
