"""What a cluster has and lacks for trials: `seatrial doctor --cluster`.

Everything is asked of the API, and what this account may not ask is said to be unknown. Nothing
is made.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from seatrial.engine.argo import fetching, paths, rights
from seatrial.engine.argo.api import Api, ApiError, Object
from seatrial.engine.argo.rights import Right
from seatrial.errors import SeatrialError

Status = Literal["ok", "limited", "missing"]
#: A clock that is so far off makes timestamps of logs and Workflows hard to read.
SKEW_S: Final = 5.0
TESTED: Final = {"Argo Workflows": "v4.1", "Chaos Mesh": "v2.8"}
SERVICE_ACCOUNTS: Final = ("seatrial-cluster", "seatrial-load", "seatrial-judge")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what follows from it, and the mend ("" if all is well)."""

    name: str
    status: Status
    meaning: str
    mend: str = ""


Look = Callable[[Api, str], Awaitable[Finding]]


async def examine(api: Api, namespace: str) -> tuple[Finding, ...]:
    """Look at everything, in the order in which one would mend it."""
    found = []
    for name, look in LOOKS.items():
        try:
            found.append(await look(api, namespace))
        except ApiError as error:
            if error.status == 403:
                told = "this account may not look at it"
                found.append(Finding(name, "limited", told, "ask somebody who may"))
            else:
                found.append(Finding(name, "missing", str(error), _MENDS.get(name, "")))
                if look is _version:
                    break  # nothing else can be asked
        except SeatrialError as error:
            told, _, hint = str(error).partition("\n\nhint: ")
            found.append(Finding(name, "missing", told, hint))
    return tuple(found)


async def _version(api: Api, namespace: str) -> Finding:
    found = await api.get("/version")
    return Finding("API server", "ok", f"Kubernetes {found.get('gitVersion', 'of no version')}")


async def _clock(api: Api, namespace: str) -> Finding:
    asked = time.time()
    there = email.utils.parsedate_to_datetime(await api.date()).timestamp()
    heard = time.time()
    # The header has whole seconds: the server's clock was within one of them.
    off = max(0.0, there - heard, asked - there - 1.0)
    if off <= SKEW_S:
        return Finding("clock", "ok", "this machine and the API server agree to the second")
    return Finding(
        "clock",
        "limited",
        f"this machine is {off:.0f} s off the API server: its times are not those of the cluster "
        "(a trial's own times are, by its own exchange)",
        "NTP on this machine",
    )


async def _namespace(api: Api, namespace: str) -> Finding:
    if await api.find(f"/api/v1/namespaces/{namespace}") is None:
        return Finding("namespace", "missing", f"{namespace} is not there", _MENDS["namespace"])
    return Finding("namespace", "ok", namespace)


async def _argo(api: Api, namespace: str) -> Finding:
    wanted = {"workflows", "workflowtemplates", "cronworkflows", "workflowtaskresults"}
    return await _installed(
        api, "Argo Workflows", paths.ARGO, wanted, "deployments", "workflow-controller"
    )


async def _chaos(api: Api, namespace: str) -> Finding:
    wanted = {kind.lower() for kind in paths.CHAOS_KINDS}
    return await _installed(
        api, "Chaos Mesh", paths.CHAOS_MESH, wanted, "deployments", "chaos-controller-manager"
    )


async def _installed(
    api: Api, name: str, group: str, wanted: set[str], plural: str, controller: str
) -> Finding:
    """The group's kinds are there, and its controller runs."""
    there = await rights.resources(api, group)
    if not there:
        return Finding(name, "missing", f"{group} is not installed", _MENDS[name])
    lacking = sorted(wanted - there)
    if lacking:
        told = f"{group} has no {', '.join(lacking)}"
        return Finding(name, "limited", told, f"{name} {TESTED[name]}, which was tried")
    try:
        running = await api.items(f"/apis/apps/v1/{plural}", fields=f"metadata.name={controller}")
    except ApiError as error:
        if error.status != 403:
            raise
        return Finding(name, "ok", f"its kinds are there; whether {controller} runs is not known")
    if not running:
        return Finding(name, "missing", f"no deployment {controller} runs", _MENDS[name])
    version = _image_version(running[0])
    ready = (running[0].get("status") or {}).get("readyReplicas", 0)
    if not ready:
        return Finding(name, "missing", f"{controller} is not ready", f"kubectl describe {plural}")
    if version and not version.startswith(TESTED[name]):
        told = f"{version}; {TESTED[name]} is what was tried"
        return Finding(name, "limited", told, f"{name} {TESTED[name]}")
    return Finding(name, "ok", f"{version or 'installed'}, {controller} is ready")


async def _daemon(api: Api, namespace: str) -> Finding:
    name = "chaos daemon"
    found = await api.items("/apis/apps/v1/daemonsets", fields="metadata.name=chaos-daemon")
    if not found:
        return Finding(name, "missing", "no daemon set chaos-daemon runs", _MENDS["Chaos Mesh"])
    status = found[0].get("status") or {}
    ready, all_ = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
    if ready == all_ and ready:
        return Finding(name, "ok", f"ready on {ready} of {all_} machines")
    return Finding(
        name,
        "limited" if ready else "missing",
        f"ready on {ready} of {all_} machines: faults on the others' pods do not begin",
        "its logs; the container runtime and its socket in Chaos Mesh's values",
    )


async def _rights(api: Api, namespace: str) -> Finding:
    wanted = [Right(namespace, paths.ARGO, "workflows", verb) for verb in ("create", "get", "list")]
    wanted += [
        Right(namespace, paths.ARGO, "workflows", "patch"),
        Right(namespace, "", "configmaps", "get"),
    ]
    lacking = [right.sentence for right in wanted if not await rights.allowed(api, right)]
    if lacking:
        return Finding(
            "your rights", "limited", f"not: {'; '.join(lacking)}", _MENDS["your rights"]
        )
    return Finding("your rights", "ok", "submit, watch and stop")


async def _accounts(api: Api, namespace: str) -> Finding:
    where = paths.collection("v1", "ServiceAccount", namespace)
    there = {one["metadata"]["name"] for one in await api.items(where)}
    lacking = [name for name in SERVICE_ACCOUNTS if name not in there]
    if lacking:
        told = f"{namespace} has no {', '.join(lacking)}"
        return Finding("service accounts", "missing", told, _MENDS["service accounts"])
    return Finding("service accounts", "ok", ", ".join(SERVICE_ACCOUNTS))


async def _artifacts(api: Api, namespace: str) -> Finding:
    found = await fetching.store(api, {"metadata": {"namespace": namespace}})
    return Finding("artifact store", "ok", f"bucket {found.bucket} at {found.endpoint}")


def _image_version(found: Object) -> str:
    containers = found["spec"]["template"]["spec"]["containers"]
    return str(containers[0].get("image", "")).partition("@")[0].rpartition(":")[2]


LOOKS: Mapping[str, Look] = {
    "API server": _version,
    "clock": _clock,
    "namespace": _namespace,
    "Argo Workflows": _argo,
    "Chaos Mesh": _chaos,
    "chaos daemon": _daemon,
    "your rights": _rights,
    "service accounts": _accounts,
    "artifact store": _artifacts,
}
_DEPLOY: Final = "kubectl apply -k deploy/"
_MENDS: Final[Mapping[str, str]] = {
    "API server": "KUBECONFIG, and whether it can be reached from here",
    "namespace": _DEPLOY,
    "Argo Workflows": "install it as deploy/README.md says",
    "Chaos Mesh": "install it as deploy/README.md says",
    "your rights": "a role with these verbs in the namespace",
    "service accounts": _DEPLOY,
    "artifact store": _DEPLOY,
}
