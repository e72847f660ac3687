"""Looks at what carries a trial out on a cluster: Argo, Chaos Mesh, its daemons, their kernels; and
the operator that cases on TiDB need."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from seatrial.engine.argo import inside, paths, rights
from seatrial.engine.argo.api import Api, ApiError, Object, selector
from seatrial.engine.argo.finding import Finding, Wanted
from seatrial.engine.argo.rights import Right

#: The versions that manifests are made for, and checked against the schemas of.
MADE_FOR: Final = {"Argo Workflows": "v4.1", "Chaos Mesh": "v2.8", "TiDB Operator": "v1.6"}
PINGCAP: Final = "pingcap.com"
INSTALL: Final = "install it as deploy/README.md says"
DAEMON: Final = "chaos-daemon"
#: Machines whose kernel is asked.
MACHINES_MAX: Final = 20
#: What delay, loss and the like are made of.
MODULES: Final = ("sch_netem", "sch_prio", "sch_tbf")
UNKNOWN: Final = "unknown"
#: Prints those of $@ that the kernel neither has nor can load, seen from the daemon's own pod, to
#: which the machine's first process is visible; `UNKNOWN` where a kernel does not tell.
LACKING: Final = (
    "here=/proc/1/root/lib/modules/$(uname -r); "
    f'[ -e /proc/modules ] || [ -d "$here" ] || {{ echo {UNKNOWN}; exit; }}; '
    'for m in "$@"; do '
    'grep -qs "^$m " /proc/modules || grep -qs "/$m\\.ko" "$here/modules.builtin" '
    '"$here/modules.dep" || echo "$m"; done'
)


async def argo(api: Api, wanted: Wanted) -> Finding:
    """Argo's kinds and its controller."""
    kinds = {"workflows", "workflowtemplates", "cronworkflows", "workflowtaskresults"}
    return await _installed(api, "Argo Workflows", paths.ARGO, kinds, "workflow-controller")


async def chaos_mesh(api: Api, wanted: Wanted) -> Finding:
    """Chaos Mesh's kinds and its controller."""
    kinds = {kind.lower() for kind in paths.CHAOS_KINDS}
    return await _installed(api, "Chaos Mesh", paths.CHAOS_MESH, kinds, "chaos-controller-manager")


async def tidb_operator(api: Api, wanted: Wanted) -> Finding:
    """TiDB Operator's kind and its controller; only the cases on TiDB need them."""
    found = await _installed(
        api, "TiDB Operator", PINGCAP, {"tidbclusters"}, "tidb-controller-manager"
    )
    if found.status != "missing":
        return found
    return replace(found, status="limited", meaning=f"{found.meaning}: no case on TiDB runs here")


async def _installed(api: Api, name: str, group: str, kinds: set[str], controller: str) -> Finding:
    """The group's kinds are there, and its controller runs in a version that we are made for."""
    there = await rights.resources(api, group)
    if not there:
        return Finding(name, "missing", f"{group} is not installed", INSTALL)
    lacking = sorted(kinds - there)
    if lacking:
        told = f"{group} has no {', '.join(lacking)}"
        return Finding(
            name, "limited", told, f"{name} {MADE_FOR[name]}, which seatrial is made for"
        )
    try:
        running = await api.items("/apis/apps/v1/deployments", fields=f"metadata.name={controller}")
    except ApiError as error:
        if error.status != 403:
            raise
        told = (
            f"its kinds are there; whether {controller} runs, and in which version, is not known "
            "(this account may not list deployments)"
        )
        return Finding(name, "limited", told, "ask somebody who may")
    if not running:
        return Finding(name, "missing", f"no deployment {controller} runs", INSTALL)
    version = _image_version(running[0])
    if not (running[0].get("status") or {}).get("readyReplicas", 0):
        mend = f"kubectl -n {running[0]['metadata']['namespace']} describe deployment {controller}"
        return Finding(name, "missing", f"{controller} {version} is not ready", mend)
    if not version.startswith(f"{MADE_FOR[name]}."):
        said = version or "a version that its image does not say"
        told = f"{said}; seatrial is made for {MADE_FOR[name]}"
        return Finding(name, "limited", told, f"{name} {MADE_FOR[name]}")
    return Finding(name, "ok", f"{version}, {controller} is ready")


def _image_version(found: Object) -> str:
    containers = found["spec"]["template"]["spec"]["containers"]
    tag = str(containers[0].get("image", "")).partition("@")[0].rpartition(":")[2]
    return tag if "/" not in tag else ""


async def daemon(api: Api, wanted: Wanted) -> Finding:
    """A chaos daemon on every machine that pods may be placed on."""
    found = await _daemon_set(api)
    if found is None:
        return Finding("chaos daemon", "missing", f"no daemon set {DAEMON} runs", INSTALL)
    on = {str(one["spec"].get("nodeName", "")) for one in await _daemon_pods(api, found)}
    try:
        machines = {
            str(one["metadata"]["name"])
            for one in await api.items("/api/v1/nodes")
            if not _is_closed(one)
        }
    except ApiError as error:
        if error.status != 403:
            raise
        return _by_its_own_count(found)
    lacking = sorted(machines - on)
    if not lacking:
        return Finding("chaos daemon", "ok", f"ready on all {len(machines)} machines")
    return Finding(
        "chaos daemon",
        "limited" if machines & on else "missing",
        f"not ready on {', '.join(lacking)}: faults of pods there do not begin",
        "its logs; tolerations, and the container runtime with its socket, in Chaos Mesh's values",
    )


def _by_its_own_count(found: Object) -> Finding:
    status = found.get("status") or {}
    ready, all_ = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
    told = (
        f"ready on {ready} of the {all_} machines that it is meant for; whether these are all is "
        "not known (this account may not list nodes)"
    )
    return Finding("chaos daemon", "limited" if ready else "missing", told, "ask somebody who may")


def _is_closed(machine: Object) -> bool:
    """Whether no ordinary pod is placed there."""
    spec = machine.get("spec") or {}
    effects = {one.get("effect") for one in spec.get("taints") or ()}
    return bool(spec.get("unschedulable")) or bool(effects & {"NoSchedule", "NoExecute"})


async def _daemon_set(api: Api) -> Object | None:
    found = await api.items("/apis/apps/v1/daemonsets", fields=f"metadata.name={DAEMON}")
    return found[0] if found else None


async def _daemon_pods(api: Api, found: Object) -> list[Object]:
    """Its pods that are ready."""
    labels = selector(found["spec"]["selector"]["matchLabels"])
    pods = await api.items(paths.pods(found["metadata"]["namespace"]), labels)
    return [one for one in pods if _is_ready(one)]


def _is_ready(pod: Object) -> bool:
    listed = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in listed)


async def modules(api: Api, wanted: Wanted) -> Finding:
    """What the kernels have for delay, loss and the like, asked in the daemons' pods."""
    name = "kernel modules"
    found = await _daemon_set(api)
    pods = [] if found is None else await _daemon_pods(api, found)
    if found is None or not pods:
        return Finding(name, "limited", "not known: no chaos daemon could be asked", INSTALL)
    namespace = str(found["metadata"]["namespace"])
    needed = Right(namespace, "", "pods/exec", "create")
    if not await rights.allowed(api, needed):
        told = (
            f"not asked: it takes the right to {needed.sentence}. Where {MODULES[0]} is missing, "
            'delay and loss end with "unable to set tcs" in their evidence; partitions work'
        )
        return Finding(name, "limited", told, f"modinfo {' '.join(MODULES)} on each machine")
    lacking = {}
    for pod in pods[:MACHINES_MAX]:
        argv = ["sh", "-c", LACKING, "sh", *MODULES]
        where = pod["metadata"]["name"]
        out = await inside.carry_out(api, namespace, where, DAEMON, argv)
        if out.split():
            lacking[str(pod["spec"].get("nodeName", where))] = out.split()
    asked = min(len(pods), MACHINES_MAX)
    if not lacking:
        return Finding(name, "ok", f"{', '.join(MODULES)} on {asked} machines that were asked")
    told = "; ".join(
        f"{machine} does not tell" if them == [UNKNOWN] else f"{machine} has no {', '.join(them)}"
        for machine, them in lacking.items()
    )
    if all(them == [UNKNOWN] for them in lacking.values()):
        return Finding(name, "limited", f"not known: {told}", f"modinfo {MODULES[0]} there")
    mend = "modprobe there, or a kernel that has them; without them use partitions, not delay"
    return Finding(name, "limited", f"{told}: delay, loss and the like do not begin", mend)
