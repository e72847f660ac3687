"""Cases, campaigns and nightlies as Argo objects, written with Hera.

Pure functions from a plan and settings to a workflow: no global Hera configuration, no I/O.
`seatrial render` prints what they make, `seatrial lint` says what neither Hera nor a cluster's
schema would see.
"""
