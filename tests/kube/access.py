"""Who may do what: requests as the verbs of RBAC, and Roles that are kept to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
#: …/namespaces/NS/PLURAL[/NAME[/SUB]] of a group, or of the core.
PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?$"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A verb on a resource (with its subresource), as a Role has it."""

    namespace: str
    group: str
    resource: str
    verb: str


def uses(method: str, path: str, query: Mapping[str, Sequence[str]], fresh: bool) -> list[Use]:
    """What a request asks for; nothing for what everybody may (discovery, reviews of oneself).

    `fresh`: the object is not there, so that an apply makes it.
    """
    found = PATH.match(path)
    if found is None:
        return []
    resource = found["plural"] + (f"/{found['sub']}" if found["sub"] else "")
    if method == "GET":
        verb = "get" if found["name"] else "watch" if query.get("watch") else "list"
    else:
        verb = VERBS[method]
    verbs = [verb, "create"] if verb == "patch" and fresh else [verb]
    # Newer servers ask for "create" beside the "get" of the WebSocket.
    verbs += ["create"] if resource == "pods/exec" and verb == "get" else []
    return [Use(found["namespace"], found["group"] or "", resource, one) for one in verbs]


def granted(documents: Iterable[Object]) -> dict[str, frozenset[Use]]:
    """Service account → what its Roles let it do."""
    found = list(documents)
    roles = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): one["rules"]
        for one in found
        if one["kind"] == "Role"
    }
    made: dict[str, set[Use]] = {}
    for binding in (one for one in found if one["kind"] == "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        for subject in binding["subjects"]:
            mine = made.setdefault(subject["name"], set())
            for rule in roles[namespace, binding["roleRef"]["name"]]:
                mine |= {
                    Use(namespace, group, resource, verb)
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                }
    return {account: frozenset(mine) for account, mine in made.items()}
