"""The lab: a cluster of real processes on this machine, inside a throwaway Linux namespace.

`sandbox` is the outer side: it starts the program that carries out a trial in fresh namespaces
and sees to it that nothing outlives the tool. `init` is the first process in there. `world` is
the inner side that engines use (`Lab`), over `network` (links between nodes) and `supervisor`
(their processes). Nothing here needs root, Docker or a binary such as `ip` or `unshare`.
"""
