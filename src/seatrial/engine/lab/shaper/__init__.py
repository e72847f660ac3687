"""Delay, loss, duplication, corruption, reordering and rates in user space.

A link is shaped where its packets leave: in the source's network namespace a TUN device takes the
routes of the faulty links (all others stay in the kernel), a process of our own reads its packets,
lets each pass through the boxes of the faults that are alive on the link, and sends it on through
the node's real device. What is left of a partition there (the neighbour table) still counts.

`stages` are the boxes and `link` the row of them: pure, on a clock that comes in as an argument.
`program` is the process: standard library only, so that it starts in some 30 ms. `control` is the
tool's side of it. The kernel's own `sch_netem` is not used, even where there is one: many kernels
lack it, and one implementation has one meaning, one seed and one set of counters everywhere.
"""
