"""Cases for etcd. Each claims what etcd's own documentation promises, and what would refute it.

The promises are those of etcd's "KV API guarantees": operations are strictly serializable, reads
are linearizable unless asked otherwise, and a completed operation is durable.
"""

from __future__ import annotations

from seatrial.case import Case, Intent, Limits
from seatrial.schedule import FaultChoice, Schedule
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance

#: Partitions of all shapes that keep a majority somewhere. Like the faults below they may fall on
#: the leader, so they last longer than an election and an op's timeout together: some op can
#: succeed while they are alive.
PARTITION = FaultChoice(
    kind="partition",
    victims=("one", "leader", "follower", "minority"),
    options=(
        {"shape": "isolate"},
        {"shape": "isolate"},
        {"shape": "majorities-ring"},
        {"shape": "bridge"},
        {"shape": "one-way-in"},
        {"shape": "one-way-out"},
    ),
    duration_s=(5.0, 7.0),
)
KILL = FaultChoice(kind="kill", victims=("one", "leader", "follower"), duration_s=(4.0, 6.0))
PAUSE = FaultChoice(kind="pause", victims=("one", "leader", "follower"), duration_s=(4.5, 6.5))

ROUGH_SEA = Schedule(choices=(KILL, PAUSE, PARTITION), gap_s=(3.0, 5.0), overlap=0.3)

#: What "steady" means for a small etcd under a steady load: one that a laptop holds with ease.
STEADY = (
    SteadyState(
        name="hardly any errors",
        probe=OpsProbe(metric="error_rate"),
        before=Tolerance(max=0.01),
        during=Tolerance(max=0.9),
        after=Tolerance(max=0.05),
    ),
    SteadyState(
        name="throughput returns",
        probe=OpsProbe(metric="throughput"),
        before=Tolerance(min=10.0),
        after=Tolerance(min_ratio=0.5),
    ),
    SteadyState(
        name="p99 latency",
        probe=OpsProbe(metric="latency_ms", percentile=99.0),
        before=Tolerance(max=1000.0),
        after=Tolerance(max=1500.0),
    ),
    SteadyState(
        name="never long unavailable",
        probe=OpsProbe(metric="unavailable_s"),
        before=Tolerance(max=2.0),
        during=Tolerance(max=15.0),
        after=Tolerance(max=5.0),
    ),
    SteadyState(
        name="recovers after each healing",
        probe=OpsProbe(metric="recovery_s"),
        during=Tolerance(max=10.0),
    ),
)

REGISTER = Case(
    name="etcd-register",
    title="Linearizable registers in rough sea",
    intent=Intent(
        claim=(
            "While members of an etcd cluster are killed, frozen and cut off from each other, "
            "every read, write and compare-and-set of a key still takes effect at one moment "
            "between its call and its answer."
        ),
        refuted_by=(
            "A read that returns a value overwritten before the read began, a compare-and-set that "
            "succeeded on a value that was not there, or a value that nobody wrote."
        ),
    ),
    workload="register",
    schedule=ROUGH_SEA,
    steady_states=STEADY,
    concurrency=15,
    rate=1000.0,
)

APPEND = Case(
    name="etcd-append",
    title="Strictly serializable transactions in rough sea",
    intent=Intent(
        claim=(
            "Transactions over several keys are strictly serializable while members are killed, "
            "frozen and cut off: there is one order of all of them that agrees with real time."
        ),
        refuted_by="A cycle of dependencies among transactions, or a read of what was rolled back.",
    ),
    workload="append",
    schedule=ROUGH_SEA,
    steady_states=STEADY,
    concurrency=15,
    rate=400.0,
)

SET = Case(
    name="etcd-set",
    title="No acknowledged element is lost",
    intent=Intent(
        claim=(
            "An element whose insertion was acknowledged is in every later linearizable read, and "
            "after healing in every node's own copy."
        ),
        refuted_by="An acknowledged element that a later read, or a node after healing, lacks.",
    ),
    workload="set",
    schedule=ROUGH_SEA,
    steady_states=STEADY,
    limits=Limits(min_ok=5),
    concurrency=10,
    rate=200.0,
)

REPLICAS = Case(
    name="etcd-replicas",
    title="Replicas agree after rough sea",
    intent=Intent(
        claim=(
            "Once faults are healed and writes have stopped, all members have the same revision "
            "and the same hash of their data at the same raft index."
        ),
        refuted_by="Two members whose revision or data hash differ at the same raft index.",
    ),
    workload="replicas",
    schedule=ROUGH_SEA,
    steady_states=STEADY,
    concurrency=20,
    rate=1000.0,
)

REPLICAS_KILL = Case(
    name="etcd-replicas-kill",
    title="Replicas agree after many kills under load",
    intent=Intent(
        claim=(
            "Members that are killed at any moment under write load, all at once, come back with "
            "the same data: after the last restart they agree in revision and data hash."
        ),
        refuted_by="Two members whose revision or data hash differ at the same raft index.",
    ),
    workload="replicas",
    schedule=Schedule(
        choices=(FaultChoice(kind="kill", victims=("all",), duration_s=(0.1, 0.3)),),
        gap_s=(1.4, 2.0),
        overlap=0.0,
    ),
    target_settings={"snapshot_count": 1000},
    concurrency=40,
    time_limit_s=180.0,
    op_timeout_s=2.0,
    limits=Limits(min_ok=1000, min_ok_in_fault=0),
)

DURABILITY = Case(
    name="etcd-durability",
    title="What was acknowledged survives a loss of power",
    intent=Intent(
        claim=(
            "An element whose insertion was acknowledged is there after members lost their power "
            "and with it all that no fsync had brought to their disks, in a cluster of one as well."
        ),
        refuted_by="An acknowledged element that a later read lacks.",
    ),
    workload="set",
    schedule=Schedule(
        choices=(FaultChoice(kind="lost-writes", victims=("one",), duration_s=(0.2, 0.6)),),
        gap_s=(1.5, 2.5),
        overlap=0.0,
    ),
    nodes=1,
    concurrency=20,
    time_limit_s=40.0,
    op_timeout_s=2.0,
    limits=Limits(min_ok=5, min_ok_in_fault=0),
)
