"""What can be read of a system, as data: the probes of steady states.

`ops` reads the client's own ops from the history. The others are *sampled* while the trial runs,
each `interval_s`: Prometheus, an HTTP document, the pods of a Kubernetes cluster, a command. What
they read is kept in the trial's folder (`seatrial.samples`), so that a stored trial can be judged
again without any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Metric = Literal["error_rate", "throughput", "latency_ms", "unavailable_s", "recovery_s"]
#: How the samples of one stretch become one reading.
Reduce = Literal["mean", "median", "max", "min", "last", "increase", "p95", "p99"]


class OpsProbe(BaseModel):
    """A reading from the client's own ops.

    `error_rate`: completions with an error over all completions (0 to 1; a rightly refused
    compare-and-set is no error). `throughput`: `ok` ops a second. `latency_ms`: `percentile` of
    the time from invocation to `ok`. `unavailable_s`: the longest stretch without any `ok`.
    `recovery_s`: the longest time from a fault's healing until ops succeed again as before it
    (throughput of one second back to half of the baseline), over all faults.
    `f` restricts it to some ops; empty means all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["ops"] = "ops"
    metric: Metric
    f: tuple[str, ...] = ()
    percentile: float = Field(default=99.0, gt=0, le=100)


class Sampled(BaseModel):
    """What all sampled probes have.

    `interval_s`: from one sample to the next. `timeout_s`: how long one answer may take. `gap_s`:
    the longest time without a sample before a stretch counts as not observed (`unknown`).
    `reduce`: how the samples of a stretch become its reading (`increase`: the last less the
    first). `unit` is said after each number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_s: float = Field(default=1.0, ge=0.1, le=3600)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    gap_s: float = Field(default=5.0, gt=0)
    reduce: Reduce = "mean"
    unit: str = ""

    @model_validator(mode="after")
    def _gap_is_wider_than_the_interval(self) -> Sampled:
        if self.gap_s < 2 * self.interval_s:
            raise ValueError(
                f"gap_s {self.gap_s:g} must be at least twice interval_s {self.interval_s:g}, or "
                "each late sample is a gap"
            )
        return self


class PrometheusProbe(Sampled):
    """A PromQL query.

    `mode`: `instant` asks every `interval_s`; `range` asks once after each stretch for all of
    it. `url` is the server, empty for the trial's own (`--prometheus`). `series` says what to do
    with many series: `one` means that there must be one, the others join them at each moment.
    `excuse_victims`: a victim of a planned fault is not scraped while it is down, and its counters
    begin at zero afterwards; True says that the query copes with both, for the victim only.
    """

    source: Literal["prometheus"] = "prometheus"
    query: str = Field(min_length=1)
    mode: Literal["instant", "range"] = "instant"
    url: str = ""
    series: Literal["one", "max", "min", "sum", "mean"] = "one"
    excuse_victims: bool = False

    @model_validator(mode="after")
    def _url_is_one(self) -> PrometheusProbe:
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url {self.url!r} must begin with http:// or https://")
        return self


class _Document(Sampled):
    """What reads text: `path` takes one value out of a JSON document (RFC 9535).

    `take`: `one` value must be there, or the `count` of the values found is the reading.
    """

    path: str = ""
    take: Literal["one", "count"] = "one"

    @model_validator(mode="after")
    def _path_is_one(self) -> _Document:
        if self.path and not self.path.startswith("$"):
            raise ValueError(f"path {self.path!r} is no JSONPath: it must begin with $")
        if self.path:
            import jsonpath  # late: a tenth of what every command takes to start

            try:
                jsonpath.compile(self.path)
            except jsonpath.JSONPathError as error:
                raise ValueError(f"path {self.path!r} is no JSONPath: {error}") from None
        if self.take == "count" and not self.path:
            raise ValueError("take 'count' counts what `path` finds: it needs a path")
        return self


class HttpProbe(_Document):
    """One HTTP request: its `status`, its `latency_ms`, or its `body` (a number or text).

    `url` may hold `{node}` and `{port:NAME}` (`http://{node}:{port:client}/health`): then each
    node is asked, and the reading is the worst one by `nodes`: `max`, `min`, or the `mean`.
    """

    source: Literal["http"] = "http"
    url: str = Field(pattern=r"^https?://")
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"] = "GET"
    headers: Mapping[str, str] = {}
    body: str = ""
    read: Literal["status", "latency_ms", "body"] = "status"
    nodes: Literal["max", "min", "mean"] = "max"


class KubernetesProbe(Sampled):
    """Pods of a Kubernetes namespace that a label selector finds.

    `ready`: the part of them that is ready (0 to 1). `restarts`: of all their containers. `pods`:
    how many. `condition`: the part whose condition of that name is True. `phase`: the part in it.
    """

    source: Literal["kubernetes"] = "kubernetes"
    namespace: str = "default"
    selector: str = ""
    read: Literal["ready", "restarts", "pods", "condition", "phase"] = "ready"
    condition: str = ""
    phase: str = ""

    @model_validator(mode="after")
    def _names_what_it_reads(self) -> KubernetesProbe:
        for field in ("condition", "phase"):
            if (self.read == field) != bool(getattr(self, field)):
                raise ValueError(f"`{field}` goes with read {field!r}, and it with `{field}`")
        return self


class CommandProbe(_Document):
    """A command without a shell: its exit status, its latency, or what it prints.

    `where`: inside the `lab` (it sees the nodes' network) or on the `host`. In the lab the
    variables `SEATRIAL_NODES` (`n1=10.0.0.1 n2=…`) and `SEATRIAL_PORT_CLIENT`, … are set.
    """

    source: Literal["command"] = "command"
    argv: tuple[str, ...] = Field(min_length=1)
    read: Literal["exit_status", "latency_ms", "output"] = "output"
    where: Literal["lab", "host"] = "lab"


SampledProbe = PrometheusProbe | HttpProbe | KubernetesProbe | CommandProbe
Probe = Annotated[OpsProbe | SampledProbe, Field(discriminator="source")]


def of_lab(probe: SampledProbe) -> bool:
    """Whether it is asked inside the lab's network, else on the host."""
    if isinstance(probe, PrometheusProbe):
        return not probe.url
    if isinstance(probe, HttpProbe):
        return "{node}" in probe.url
    return isinstance(probe, CommandProbe) and probe.where == "lab"
