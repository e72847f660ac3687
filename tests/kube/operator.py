"""TiDB Operator 1.6, played beside the server: pods and claims as it makes and labels them.

Its claim templates have a name and nothing else, so a claim has the labels of the StatefulSet's
selector only. Pods go with their TidbCluster; claims stay, as its manual says.
"""

from __future__ import annotations

from seatrial.engine.argo import paths
from tests.kube.cluster import NAMESPACE
from tests.kube.server import Cluster, Object

CLAIMS = paths.collection("v1", "PersistentVolumeClaim", NAMESPACE)
CLUSTERS = paths.collection("pingcap.com/v1alpha1", "TidbCluster", NAMESPACE)
#: The parts whose pods have a volume.
STORED = ("pd", "tikv")


class TidbOperator:
    """Makes the pods of each TidbCluster, ready at once."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.when = self.heard

    def heard(self, kind: str, path: str, body: Object) -> None:
        """A change of any object."""
        if path.rpartition("/")[0] != CLUSTERS:
            return
        name, spec = body["metadata"]["name"], body["spec"]
        for part in ("pd", "tikv", "tidb"):
            for number in range(spec[part]["replicas"]):
                pod = f"{name}-{part}-{number}"
                if kind == "DELETED":
                    self.cluster.remove(f"{paths.pods(NAMESPACE)}/{pod}")
                elif kind == "ADDED":
                    self._make(pod, name, part, spec.get("labels", {}))

    def _make(self, pod: str, name: str, part: str, labels: dict[str, str]) -> None:
        selected = {
            "app.kubernetes.io/name": "tidb-cluster",
            "app.kubernetes.io/instance": name,
            "app.kubernetes.io/managed-by": "tidb-operator",
            "app.kubernetes.io/component": part,
        }
        metadata = {"name": pod, "namespace": NAMESPACE, "labels": {**selected, **labels}}
        status = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": part, "restartCount": 0}],
        }
        spec = {"containers": [{"name": part, "image": f"pingcap/{part}"}]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        self.cluster.put(paths.pods(NAMESPACE), {**body, "spec": spec, "status": status})
        if part in STORED:
            claim = {"name": f"{part}-{pod}", "namespace": NAMESPACE, "labels": selected}
            self.cluster.put(CLAIMS, {"metadata": claim, "spec": {}})
