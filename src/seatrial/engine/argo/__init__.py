"""The engine on Kubernetes: Argo runs the steps, Chaos Mesh breaks things, this talks to both.

All access to a cluster is in this package, and all of it goes through `api.Api`: one connection
of the `kubernetes` client, with a named bound on every call. Steps reach it as
`seatrial.engine.site.Engine` (`site`); `submit`, `watch`, `fetch`, `stop` and `doctor --cluster`
through `runs`, `fetching` and `diagnosis`.
"""
