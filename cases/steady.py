"""Cases whose question is the steady state itself, read from the servers' own metrics.

The queries are those of etcd's own alerts (the etcd mixin, `contrib/mixin/mixin.libsonnet` in
etcd-io/etcd) with windows cut to the length of a trial; each steady state says in `why` where its
query comes from.
"""

from __future__ import annotations

from seatrial.case import Case, Intent
from seatrial.schedule import FaultChoice, Schedule
from seatrial.steady_state import Healing, OpsProbe, PrometheusProbe, SteadyState, Tolerance

MIXIN = "etcd-io/etcd contrib/mixin"

ETCD_STEADY = (
    SteadyState(
        name="every member has a leader",
        probe=PrometheusProbe(query="min(etcd_server_has_leader)", excuse_victims=True),
        before=Tolerance(min=1),
        after=Tolerance(min=1),
        after_healing=Healing(min=1, in_s=8),
        why=f"alert etcdNoLeader of {MIXIN}",
    ),
    SteadyState(
        name="one change of leader at a time",
        probe=PrometheusProbe(
            query="max(increase(etcd_server_leader_changes_seen_total[10s]))", excuse_victims=True
        ),
        continuously=Tolerance(max=1.5),
        why=f"alert etcdHighNumberOfLeaderChanges of {MIXIN}; 1.5: increase() extrapolates",
    ),
    SteadyState(
        name="failed proposals",
        probe=PrometheusProbe(
            query="sum(rate(etcd_server_proposals_failed_total[5s]))",
            unit="/s",
            excuse_victims=True,
        ),
        before=Tolerance(max=0.1),
        after=Tolerance(max=1),
        why=f"alert etcdHighNumberOfFailedProposals of {MIXIN}",
    ),
    SteadyState(
        name="fsync p99",
        probe=PrometheusProbe(
            query=(
                "histogram_quantile(0.99, sum by (le) "
                "(rate(etcd_disk_wal_fsync_duration_seconds_bucket[5s])))"
            ),
            unit="s",
            excuse_victims=True,
        ),
        before=Tolerance(max=0.5),
        after=Tolerance(max=0.5),
        after_healing=Healing(max=0.5, in_s=10),
        why=f"alert etcdHighFsyncDurations of {MIXIN} (0.5 s; 10 ms are what etcd recommends)",
    ),
    SteadyState(
        name="space left for data",
        probe=PrometheusProbe(
            query=(
                "max(etcd_mvcc_db_total_size_in_bytes / on (instance) "
                "etcd_server_quota_backend_bytes)"
            ),
            excuse_victims=True,
        ),
        continuously=Tolerance(max=0.95),
        why=f"alert etcdDatabaseQuotaLowSpace of {MIXIN}",
    ),
    SteadyState(
        name="clients are served again",
        probe=OpsProbe(metric="throughput"),
        before=Tolerance(min=10),
        after_healing=Healing(min_ratio=0.5, in_s=10),
        weight=2,
        why="what clients felt, beside what the servers say",
    ),
)

STEADY = Case(
    name="etcd-steady",
    title="etcd's own metrics across the death of its leader",
    intent=Intent(
        claim=(
            "When the leader is killed under load the others elect a new one once, and within "
            "seconds of its return every member has a leader and disk and proposals are as before."
        ),
        refuted_by=(
            "A second change of leader, a member without a leader 8 s after the healing, or "
            "proposals that go on failing."
        ),
    ),
    workload="register",
    schedule=Schedule(
        choices=(FaultChoice(kind="kill", victims=("leader",), duration_s=(4.0, 5.0)),),
        gap_s=(9.0, 11.0),
        overlap=0.0,
    ),
    steady_states=ETCD_STEADY,
    concurrency=10,
    rate=200.0,
    time_limit_s=40.0,
)
