"""What a cluster has and lacks for trials: `seatrial doctor --cluster`.

Everything is asked of the API, and what this account may not ask is said to be unknown. Nothing
is made.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from typing import Final

from seatrial.engine.argo import accounts, artifact_store, controllers, paths, rights
from seatrial.engine.argo.api import Api, ApiError
from seatrial.engine.argo.finding import DEPLOY, Finding, Look, Wanted
from seatrial.engine.argo.rights import Right
from seatrial.errors import SeatrialError

#: A clock that is so far off makes timestamps of logs and Workflows hard to read.
SKEW_S: Final = 5.0
#: What campaigns and nightlies start, and what judges stored trials again.
TEMPLATES: Final = ("seatrial-trial", "seatrial-recheck")


async def examine(api: Api, wanted: Wanted) -> tuple[Finding, ...]:
    """Look at everything, in the order in which one would mend it."""
    found = []
    for name, look in LOOKS.items():
        try:
            found.append(await look(api, wanted))
        except ApiError as error:
            if error.status == 403:
                told = f"not known: this account may not look at it ({error})"
                found.append(Finding(name, "limited", told, "ask somebody who may"))
            else:
                found.append(Finding(name, "missing", str(error), _MENDS.get(name, "")))
                if look is _version:
                    break  # nothing else can be asked
        except SeatrialError as error:
            told, _, hint = str(error).partition("\n\nhint: ")
            found.append(Finding(name, "missing", told, hint))
    return tuple(found)


async def _version(api: Api, wanted: Wanted) -> Finding:
    found = await api.get("/version")
    return Finding("API server", "ok", f"Kubernetes {found.get('gitVersion', 'of no version')}")


async def _clock(api: Api, wanted: Wanted) -> Finding:
    asked = time.time()
    there = email.utils.parsedate_to_datetime(await api.date()).timestamp()
    heard = time.time()
    # The header has whole seconds: the server's clock was in [there, there + 1) when it answered.
    low, high = there - heard, there + 1.0 - asked
    told = f"the API server's is {low:+.2f} to {high:+.2f} s from this machine's"
    if low <= SKEW_S and high >= -SKEW_S:
        return Finding("clock", "ok", told)
    return Finding(
        "clock",
        "limited",
        f"{told}: times that are written here are not those of the cluster (a trial's own times "
        "are, by its own exchange)",
        "NTP on this machine, or on the cluster's",
    )


async def _namespace(api: Api, wanted: Wanted) -> Finding:
    namespace = wanted.namespace
    if await api.find(f"/api/v1/namespaces/{namespace}") is None:
        return Finding("namespace", "missing", f"{namespace} is not there", DEPLOY)
    return Finding("namespace", "ok", namespace)


async def _rights(api: Api, wanted: Wanted) -> Finding:
    asked = [
        Right(wanted.namespace, paths.ARGO, "workflows", verb)
        for verb in ("create", "get", "list", "patch")
    ]
    asked += [
        Right(wanted.namespace, paths.ARGO, kind, verb)
        for kind, verb in (("workflowtemplates", "get"), ("cronworkflows", "create"))
    ]
    asked += [
        Right(wanted.namespace, "", "configmaps", verb) for verb in ("get", "create", "update")
    ]
    asked.append(Right(wanted.namespace, "", "secrets", "get"))
    asked += [
        Right(wanted.namespace, paths.CHAOS_MESH, kind, verb)
        for kind in ("podchaos", "networkchaos")
        for verb in ("list", "patch", "delete")
    ]
    lacking = [right.sentence for right in asked if not await rights.allowed(api, right)]
    if lacking:
        mend = "a role with these verbs in the namespace"
        return Finding("your rights", "limited", f"not: {'; '.join(lacking)}", mend)
    return Finding("your rights", "ok", "submit, watch, fetch and stop")


async def _templates(api: Api, wanted: Wanted) -> Finding:
    where = paths.collection("argoproj.io/v1alpha1", "WorkflowTemplate", wanted.namespace)
    there = {one["metadata"]["name"]: one for one in await api.items(where)}
    lacking = [name for name in TEMPLATES if name not in there]
    if lacking:
        told = f"{wanted.namespace} has no {', '.join(lacking)}: campaigns and nights cannot start"
        return Finding("templates", "limited", told, DEPLOY)
    images = {
        str(template["container"]["image"])
        for name in TEMPLATES
        for template in there[name]["spec"].get("templates") or ()
        if "container" in template
    }
    told = f"{', '.join(TEMPLATES)}; image {', '.join(sorted(images))}"
    if len(images) > 1:
        return Finding("templates", "limited", f"{told}: steps of different versions", DEPLOY)
    return Finding("templates", "ok", told)


LOOKS: Mapping[str, Look] = {
    "API server": _version,
    "clock": _clock,
    "namespace": _namespace,
    "Argo Workflows": controllers.argo,
    "Chaos Mesh": controllers.chaos_mesh,
    "chaos daemon": controllers.daemon,
    "kernel modules": controllers.modules,
    "TiDB Operator": controllers.tidb_operator,
    "your rights": _rights,
    "service accounts": accounts.service_accounts,
    "templates": _templates,
    "artifact store": artifact_store.artifact_store,
}
_MENDS: Final[Mapping[str, str]] = {
    "API server": "KUBECONFIG, and whether it can be reached from here",
}
