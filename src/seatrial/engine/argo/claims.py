"""Claims of volumes that a run's target made, also where nobody labelled them as the run's.

A StatefulSet of ours puts our labels on its claims. TiDB Operator's claims have the labels of its
selector only, and stay when the TidbCluster goes, as its manual says ("Destroy TiDB clusters"): so
they are found by its name, and made the run's own once they are there: labelled, and collected
with its Workflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, Object, selector
from seatrial.engine.argo.run import RUN_LABEL, Run
from seatrial.verdict import Json

CLAIM: Final = ("v1", "PersistentVolumeClaim")
TIDB_CLUSTER: Final = "TidbCluster"
#: How the operator labels what it makes for a TidbCluster.
MADE_BY_OPERATOR: Final = {"app.kubernetes.io/managed-by": "tidb-operator"}
INSTANCE: Final = "app.kubernetes.io/instance"


def clusters(objects: Iterable[Mapping[str, Json]]) -> tuple[str, ...]:
    """Names of the TidbClusters among what makes a target."""
    found: list[Any] = [one["metadata"] for one in objects if one["kind"] == TIDB_CLUSTER]
    return tuple(str(metadata["name"]) for metadata in found)


async def of_run(api: Api, namespace: str, run: str, made: Iterable[str]) -> tuple[Object, ...]:
    """The claims that have the run's label, or that the operator made for a cluster of `made`.

    Raises `ApiError`.
    """
    labels = [selector({RUN_LABEL: run})]
    labels += [selector({INSTANCE: name, **MADE_BY_OPERATOR}) for name in made]
    pages = [await api.items(paths.collection(*CLAIM, namespace), label) for label in labels]
    by_name = {one["metadata"]["name"]: one for page in pages for one in page}
    version, kind = CLAIM
    return tuple({"apiVersion": version, "kind": kind, **one} for one in by_name.values())


async def adopt(api: Api, run: Run, made: Iterable[str]) -> None:
    """Make the claims of the TidbClusters in `made` the run's own; raises `ApiError`."""
    names = tuple(made)
    if not names:
        return
    where = paths.collection(*CLAIM, run.namespace)
    # Not all of the run's labels: the operator finds its own by the others.
    owners = run.owned({})["metadata"].get("ownerReferences", [])
    mark: Object = {"labels": {RUN_LABEL: run.name}, "ownerReferences": owners}
    await asyncio.gather(
        *(
            api.patch(f"{where}/{one['metadata']['name']}", {"metadata": mark})
            for one in await of_run(api, run.namespace, run.name, names)
        )
    )
