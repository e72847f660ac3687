"""A trial as separate processes: `seatrial step NAME`, one for each node of a workflow's graph.

docs/adr/0005-steps.md is the protocol. A step reads the plan and the rooms of earlier steps and
writes its own room (`rooms`); what runs at the same time meets on the board (`notices`) and at the
workload's line (`line`); `axis` brings their clocks onto one. The phases themselves are the
functions that `seatrial run` uses.
"""
