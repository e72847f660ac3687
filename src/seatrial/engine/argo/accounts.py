"""Looks at the service accounts of the steps: that they are there, and what they may do.

Asked by `LocalSubjectAccessReview`, which answers for another account in one namespace, whatever
roles it has its rights from. Who may administer a namespace may ask so.
"""

from __future__ import annotations

import asyncio
from typing import Final

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, path_of
from seatrial.engine.argo.finding import DEPLOY, Finding, Wanted
from seatrial.engine.argo.rights import Right, attributes

AUTHORIZATION: Final = "authorization.k8s.io/v1"
#: What none of them needs, and what would make it more than it is.
TOO_MUCH: Final = (
    ("", "secrets", "get"),
    ("", "pods", "create"),
    ("rbac.authorization.k8s.io", "roles", "escalate"),
    ("rbac.authorization.k8s.io", "rolebindings", "create"),
)
#: So many rights are named.
NAMED_MAX: Final = 6


async def service_accounts(api: Api, wanted: Wanted) -> Finding:
    """Each is there, has what its steps ask for, and none of what it should not have."""
    name, namespace = "service accounts", wanted.namespace
    there = {
        str(one["metadata"]["name"])
        for one in await api.items(paths.collection("v1", "ServiceAccount", namespace))
    }
    absent = [account for account in wanted.accounts if account not in there]
    if absent:
        return Finding(name, "missing", f"{namespace} has no {', '.join(absent)}", DEPLOY)
    names = ", ".join(wanted.accounts)
    asked = [(one, right) for one, listed in wanted.accounts.items() for right in listed]
    spare = [(one, Right(namespace, *right)) for one in wanted.accounts for right in TOO_MUCH]
    try:
        answers = await asyncio.gather(*(_may(api, *one) for one in [*asked, *spare]))
    except ApiError as error:
        if error.status != 403:
            raise
        told = (
            f"{names} are there; what they may do could not be asked (it takes the right to "
            f"create localsubjectaccessreviews in {namespace})"
        )
        return Finding(name, "limited", told, "ask somebody who may; preflight asks for itself")
    may = dict(zip([*asked, *spare], answers, strict=True))
    lacking = [f"{one} cannot {right.sentence}" for one, right in asked if not may[one, right]]
    if lacking:
        return Finding(name, "missing", _some(lacking), DEPLOY)
    much = [f"{one} can {right.sentence}" for one, right in spare if may[one, right]]
    if much:
        mend = "find the binding that gives it: a step needs none of it"
        return Finding(name, "limited", f"more than they need: {_some(much)}", mend)
    return Finding(name, "ok", f"{names}: {len(asked)} rights of {len(asked)}, and none too many")


def _some(told: list[str]) -> str:
    more = len(told) - NAMED_MAX
    return "; ".join(told[:NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")


async def _may(api: Api, account: str, right: Right) -> bool:
    where = ("apis", *AUTHORIZATION.split("/"), "namespaces", right.namespace)
    answer = await api.create(
        path_of(*where, "localsubjectaccessreviews"),
        {
            "apiVersion": AUTHORIZATION,
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": right.namespace},
            "spec": {
                "user": f"system:serviceaccount:{right.namespace}:{account}",
                "groups": [
                    "system:serviceaccounts",
                    f"system:serviceaccounts:{right.namespace}",
                    "system:authenticated",
                ],
                "resourceAttributes": attributes(right),
            },
        },
    )
    return bool((answer.get("status") or {}).get("allowed"))
