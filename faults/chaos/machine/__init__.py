"""PhysicalMachineChaos: machines outside of Kubernetes, where chaosd serves.

The CRD has settings for `http-abort`, `http-delay`, `http-config` and `http-request`, and its list
of actions has none of them: no object can ask for them, so they are not here.
"""

from __future__ import annotations

from seatrial.faults.chaos.machine import disk, jvm, network, process, stores, stress

ACTIONS = (
    *stress.ACTIONS,
    *disk.ACTIONS,
    *network.ACTIONS,
    *process.ACTIONS,
    *jvm.ACTIONS,
    *stores.ACTIONS,
)

__all__ = ["ACTIONS", "disk", "jvm", "network", "process", "stores", "stress"]
