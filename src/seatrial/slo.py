"""A service level objective and its error budget: how much failing a trial may spend.

The budget is time: an objective of 99.9 % over 30 days leaves 2,592 s in which the indicator may be
outside of its bounds (Google, *Site Reliability Engineering*, chapter 3; *The Site Reliability
Workbook*, chapter 2, which counts good and bad minutes the same way). A second of a trial in which
the indicator is outside is a second spent. What trials of the same SLO spent in the period counts
against it; so does what a query says that production spent.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAY_S: Final = 86_400.0


class Slo(BaseModel):
    """An objective, its indicator, and how much of the budget one trial may spend.

    `objective`: the part of time in which the service must be good (0 to 1). The indicator is the
    clients' own ops: a second is bad in which more than `error_rate_max` of the completed ops
    failed, none succeeded though some were tried, or (if given) the p99 latency was above
    `p99_ms_max`. `spend`: the part of the whole budget that one trial may spend.
    `spent_query`: PromQL that tells the part of the budget that is gone already (0 to 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    objective: float = Field(gt=0, lt=1)
    period_days: float = Field(default=30.0, gt=0, le=366)
    error_rate_max: float = Field(default=0.01, ge=0, lt=1)
    p99_ms_max: float | None = Field(default=None, gt=0)
    spend: float = Field(default=0.1, gt=0, le=1)
    spent_query: str = ""
    spent_url: str = ""

    @model_validator(mode="after")
    def _query_has_a_server(self) -> Slo:
        if bool(self.spent_query) != bool(self.spent_url):
            raise ValueError(
                f"SLO {self.name!r}: spent_query and spent_url go together (the server that "
                "knows production)"
            )
        return self

    @property
    def budget_s(self) -> float:
        """Seconds that may be bad in one period."""
        return (1 - self.objective) * self.period_days * DAY_S

    @property
    def share_s(self) -> float:
        """Seconds that one trial may spend."""
        return self.spend * self.budget_s
