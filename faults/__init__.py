"""The catalogue of faults: each one a Chaos Mesh manifest and its equal in the lab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from seatrial.catalogue import Catalogue, Entry
from seatrial.errors import UsageError
from seatrial.fault import FaultKind, OnVolumes, PlannedFault, VolumeNeed

#: Kinds of volumes, each of which can do what those after it can.
VOLUMES: Final = ("fuse", "sized")

#: Each entry is a `FaultKind`.
FAULTS = Catalogue(
    "fault",
    {
        "kill": Entry("SIGKILL a node's process, then start it again", "seatrial.faults.kill:KILL"),
        "pause": Entry("SIGSTOP a node's process, then SIGCONT", "seatrial.faults.pause:PAUSE"),
        "partition": Entry(
            "cut links between nodes: isolate, halves, majorities ring, bridge, one direction",
            "seatrial.faults.partition:PARTITION",
        ),
        "delay": Entry(
            "packets come later, evenly or with jitter", "seatrial.faults.network:DELAY"
        ),
        "loss": Entry("a share of the packets is lost", "seatrial.faults.network:LOSS"),
        "duplicate": Entry("a share comes twice", "seatrial.faults.network:DUPLICATE"),
        "corrupt": Entry("a bit is flipped in a share", "seatrial.faults.network:CORRUPT"),
        "reorder": Entry("a share overtakes the others", "seatrial.faults.network:REORDER"),
        "rate": Entry("a thin line, with a queue", "seatrial.faults.network:RATE"),
        "bandwidth": Entry("a token bucket", "seatrial.faults.network:BANDWIDTH"),
        "failure": Entry(
            "SIGTERM a node's process, down for the duration", "seatrial.faults.failure:FAILURE"
        ),
        "container-kill": Entry(
            "SIGKILL a node's process, which is started again at once",
            "seatrial.faults.container_kill:CONTAINER_KILL",
        ),
        "rolling-restart": Entry(
            "restart one node after another, in an orderly way",
            "seatrial.faults.rolling_restart:ROLLING_RESTART",
        ),
        "io-latency": Entry(
            "a node's disk is late: reads, writes, fsyncs", "seatrial.faults.io_latency:IO_LATENCY"
        ),
        "io-error": Entry("a node's disk fails with an errno", "seatrial.faults.io_error:IO_ERROR"),
        "disk-full": Entry(
            "no space is left on a node's volume",
            "seatrial.faults.disk_full:DISK_FULL",
            only="lab",
        ),
        "lost-writes": Entry(
            "power off: a node is killed and loses what no fsync brought to its disk",
            "seatrial.faults.lost_writes:LOST_WRITES",
            only="lab",
        ),
        "stress-cpu": Entry(
            "something else computes where a node computes", "seatrial.faults.stress:STRESS_CPU"
        ),
        "stress-memory": Entry(
            "something else holds memory beside a node", "seatrial.faults.stress:STRESS_MEMORY"
        ),
        "clock": Entry("put a node's wall clock ahead or behind", "seatrial.faults.clock:CLOCK"),
        "member-change": Entry(
            "take a member out of the cluster, then a new one in",
            "seatrial.faults.member_change:MEMBER_CHANGE",
        ),
        "upgrade": Entry(
            "change nodes over to a newer binary, one after another",
            "seatrial.faults.upgrade:UPGRADE",
        ),
        "downgrade": Entry(
            "change some nodes over to a newer binary, and back",
            "seatrial.faults.upgrade:DOWNGRADE",
        ),
        "compaction": Entry(
            "forget the history but for the last revisions",
            "seatrial.faults.upkeep:COMPACTION",
        ),
        "defragmentation": Entry(
            "have nodes rewrite their data files",
            "seatrial.faults.upkeep:DEFRAGMENTATION",
        ),
        "pod": Entry(
            "PodChaos: delete pods, keep them down, kill containers",
            "seatrial.faults.cluster:POD",
            only="cluster",
        ),
        "network": Entry(
            "NetworkChaos: packets dropped, late, lost, doubled, damaged, out of order, slow",
            "seatrial.faults.cluster:NETWORK",
            only="cluster",
        ),
        "io": Entry(
            "IOChaos: file system calls slow, failing, lying, wrong",
            "seatrial.faults.cluster:IO",
            only="cluster",
        ),
        "stress": Entry(
            "StressChaos: processor, memory, anything of stress-ng",
            "seatrial.faults.cluster:STRESS",
            only="cluster",
        ),
        "time": Entry(
            "TimeChaos: clocks ahead or behind",
            "seatrial.faults.cluster:TIME",
            only="cluster",
        ),
        "dns": Entry(
            "DNSChaos: names that resolve to an error or to random addresses",
            "seatrial.faults.cluster:DNS",
            only="cluster",
        ),
        "http": Entry(
            "HTTPChaos: messages broken off, late, replaced, patched",
            "seatrial.faults.cluster:HTTP",
            only="cluster",
        ),
        "jvm": Entry(
            "JVMChaos: methods late, lying, throwing; stress, garbage collection, Byteman, MySQL",
            "seatrial.faults.cluster:JVM",
            only="cluster",
        ),
        "kernel": Entry(
            "KernelChaos: requests inside the kernel fail",
            "seatrial.faults.cluster:KERNEL",
            only="cluster",
        ),
        "block": Entry(
            "BlockChaos: a slow block device",
            "seatrial.faults.cluster:BLOCK",
            only="cluster",
        ),
        "machine": Entry(
            "PhysicalMachineChaos: chaosd's 39 actions on machines outside of Kubernetes",
            "seatrial.faults.cluster:MACHINE",
            only="cluster",
        ),
        "aws": Entry(
            "AWSChaos: stop or restart a virtual machine, take a disk from it",
            "seatrial.faults.cluster:AWS",
            only="cluster",
        ),
        "gcp": Entry(
            "GCPChaos: stop or reset a virtual machine, take disks from it",
            "seatrial.faults.cluster:GCP",
            only="cluster",
        ),
        "azure": Entry(
            "AzureChaos: stop or restart a virtual machine, take a disk from it",
            "seatrial.faults.cluster:AZURE",
            only="cluster",
        ),
    },
)


def kind(name: str) -> FaultKind:
    """The kind of fault called `name`; raises `UnknownName` with a suggestion."""
    return cast(FaultKind, FAULTS[name].load())


def volume_need(faults: Sequence[PlannedFault]) -> VolumeNeed:
    """What all these faults together need of the nodes' volumes; raises `UsageError`."""
    needs = [
        found.volume_need(fault.options)
        for fault in faults
        if isinstance(found := kind(fault.kind), OnVolumes)
    ]
    models = {need.metadata for need in needs} - {None}
    if len(models) > 1:
        raise UsageError(
            f"faults of one plan ask for disks of different metadata: "
            f"{', '.join(sorted(map(str, models)))}\n\nhint: one plan, one kind of disk"
        )
    for wanted in VOLUMES:
        if any(need.kind == wanted for need in needs):
            return VolumeNeed(wanted, next(iter(models), None))
    return VolumeNeed()
