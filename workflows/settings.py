"""What a rendered workflow needs to know besides the plan: image, accounts, storage, labels.

Plain data: no Hera, no global configuration. Everything that differs between two clusters is here;
credentials are not (storage is named by reference to the cluster's artifact repository).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from seatrial import __version__
from seatrial.case import Keep
from seatrial.workflows import cron

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
LABEL_MAX = 63
#: What no user's label may be called: runs are found, and what they left is removed, by these.
RESERVED = re.compile(r"(.*\.)?seatrial/.*|app\.kubernetes\.io/(managed-by|part-of)")
#: An image as registries name it, with a tag or digest.
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Accounts(_Data):
    """Service accounts: each kind of step has no more rights than it needs."""

    #: Makes and removes targets and faults.
    cluster: Name = "seatrial-cluster"
    #: Sends ops: reads and writes the trial's board, nothing else.
    load: Name = "seatrial-load"
    #: Judges what was stored: no right besides Argo's own.
    judge: Name = "seatrial-judge"


class Storage(_Data):
    """Where artifacts go: below `prefix` in an artifact repository of the cluster.

    `config_map` and `key` name the repository (an S3-compatible one); without them it is the
    namespace's default. Endpoint, bucket and credentials stay in the cluster.
    """

    prefix: str = Field(default="seatrial", pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$")
    config_map: Name | None = None
    key: str | None = None


class Lock(_Data):
    """What keeps two trials off one target: a mutex, or a semaphore from a ConfigMap.

    A semaphore's limit stands in `config_map` under the target's name.
    """

    kind: Literal["mutex", "semaphore"] = "mutex"
    config_map: Name = "seatrial-locks"


class Cron(_Data):
    """When a CronWorkflow starts, and what becomes of its runs."""

    schedules: tuple[str, ...] = Field(min_length=1)
    timezone: str = "Etc/UTC"
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Forbid"
    starting_deadline_s: int = Field(default=3600, ge=0)
    successful_limit: int = Field(default=7, ge=0)
    #: The failures are what a nightly is for: more of them are kept.
    failed_limit: int = Field(default=30, ge=0)
    #: Argo's expression that ends the schedule, such as `cronworkflow.failed >= 5`; empty: never.
    #: `failed` counts all failures since the CronWorkflow was made, not those in a row.
    stop: str = ""
    #: Argo's expression that decides whether a run starts at its time; empty: always.
    when: str = ""
    suspend: bool = False

    @field_validator("schedules")
    @classmethod
    def _five_fields(cls, schedules: tuple[str, ...]) -> tuple[str, ...]:
        for schedule in schedules:
            wrong = cron.problem(schedule)
            if wrong:
                raise ValueError(
                    f"{schedule!r} is no cron expression (minute hour day month weekday): {wrong}"
                )
        return schedules

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                f"time zone {timezone!r} is unknown (Europe/Berlin, Etc/UTC)"
            ) from None
        return timezone


class Settings(_Data):
    """All settings of a rendered workflow."""

    namespace: Name = "seatrial"
    #: One image for all steps; pin it by digest.
    image: str = Field(default=f"seatrial:{__version__}", pattern=IMAGE)
    accounts: Accounts = Accounts()
    storage: Storage = Storage()
    lock: Lock = Lock()
    #: Trials of a campaign (or judgements of a recheck) at once.
    parallelism: int = Field(default=4, ge=1, le=100)
    #: Whether the target outlives the trial, for all cases: `never`, `on-failure` (until the
    #: Workflow is deleted). None: as each case says.
    keep: Keep | None = None
    #: How long finished Workflows stay, in seconds; failures longer.
    ttl_success_s: int = Field(default=7 * 86400, ge=0)
    ttl_failure_s: int = Field(default=30 * 86400, ge=0)
    labels: dict[str, str] = {}
    ticket: str = ""
    #: What started it, for instance `nightly`; a label.
    schedule: str = ""

    @model_validator(mode="after")
    def _labels(self) -> Self:
        bad = [
            f"{key}={value}"
            for key, value in {
                **self.labels,
                "ticket": self.ticket,
                "schedule": self.schedule,
            }.items()
            if not (is_label_key(key) and is_label_value(value))
        ]
        if bad:
            raise ValueError(
                f"not a Kubernetes label: {', '.join(bad)} (letters, digits, '-_.'; at most "
                f"{LABEL_MAX}, beginning and ending with a letter or digit)"
            )
        taken = [key for key in self.labels if RESERVED.fullmatch(key)]
        if taken:
            raise ValueError(
                f"label {', '.join(taken)} is seatrial's own: runs are found by it (ticket and "
                "schedule have options of their own)"
            )
        return self


def is_label_value(value: str) -> bool:
    """Whether Kubernetes takes `value` as a label's value."""
    return len(value) <= LABEL_MAX and LABEL_VALUE.fullmatch(value) is not None


def is_label_key(key: str) -> bool:
    """Whether Kubernetes takes `key` as a label's key."""
    return len(key.rpartition("/")[2]) <= LABEL_MAX and LABEL_KEY.fullmatch(key) is not None
