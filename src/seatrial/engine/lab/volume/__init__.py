"""A file system for one node's data that can lose, delay and fail: the lab's faults of the disk.

`store` is the model: files, names, and what of them would survive a loss of power. `wire` speaks
the kernel's FUSE protocol for it. `server` is the program, one process a node; `volumes` is the
lab's side, which mounts, commands and ends it. docs/adr/0006-fuse.md says why there is no library
in between.
"""
