"""The parameters of a trial whose plan is made in the cluster: a case, a seed, and what changes.

They reach `seatrial plan` as environment variables, where an empty one is one that is not set.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

#: Name → what it means; each is an option of `seatrial plan`, and the variable of the same name.
PARAMETERS = {
    "case": "the case",
    "target": "the system under trial; it names the lock as well",
    "seed": "repeats a plan; empty draws one",
    "faults": "kinds of faults, comma-separated; empty: the case's, none: none",
    "time-limit": "how long the load runs; empty: as the case says",
    "concurrency": "clients at once; empty: as the case says",
    "rate": "ops a second; empty: as the case says",
    "nodes": "how many nodes; empty: as the case says",
    "fault-options": "options of faults, KIND.NAME=VALUE with spaces between them",
    "target-options": "settings of the target, NAME=VALUE with spaces between them",
    "endpoints": "a cluster that runs already: HOST:PORT, comma-separated",
    "selector": "a cluster that runs already: its pods' labels",
    "target-namespace": "where those pods are",
    "keep-target": "never, on-failure; empty: as the case says",
}
#: Before an option's name in an environment variable.
PREFIX = "SEATRIAL_PLAN"


class TrialParameters(BaseModel):
    """Values of `PARAMETERS`; an empty one leaves the case as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str = ""
    target: str = ""
    seed: str = ""
    faults: str = ""
    time_limit: str = ""
    concurrency: str = ""
    rate: str = ""
    nodes: str = ""
    fault_options: str = ""
    target_options: str = ""
    endpoints: str = ""
    selector: str = ""
    target_namespace: str = ""
    keep_target: str = ""

    def values(self) -> dict[str, str]:
        """By the names that Argo's parameters have."""
        return {name.replace("_", "-"): value for name, value in self.model_dump().items()}


def variable(name: str) -> str:
    """The environment variable of a parameter."""
    return f"{PREFIX}_{name.replace('-', '_').upper()}"
