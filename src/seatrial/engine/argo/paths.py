"""Where objects stand in the API: the paths of the kinds that seatrial speaks of.

The plurals of Chaos Mesh are its kinds in small letters (`networkchaos`), as its CRDs have them.
"""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.engine.argo.api import Object, path_of
from seatrial.errors import UsageError

CHAOS_MESH = "chaos-mesh.org"
ARGO = "argoproj.io"

#: Kinds of Chaos Mesh that a trial can make; each has a namespace.
CHAOS_KINDS = (
    "PodChaos",
    "NetworkChaos",
    "IOChaos",
    "StressChaos",
    "TimeChaos",
    "DNSChaos",
    "HTTPChaos",
    "JVMChaos",
    "KernelChaos",
    "BlockChaos",
    "PhysicalMachineChaos",
    "AWSChaos",
    "GCPChaos",
    "AzureChaos",
)
#: (apiVersion, kind) → the plural in paths.
PLURALS: Mapping[tuple[str, str], str] = {
    **{(f"{CHAOS_MESH}/v1alpha1", kind): kind.lower() for kind in CHAOS_KINDS},
    ("argoproj.io/v1alpha1", "Workflow"): "workflows",
    ("argoproj.io/v1alpha1", "WorkflowTemplate"): "workflowtemplates",
    ("argoproj.io/v1alpha1", "CronWorkflow"): "cronworkflows",
    ("pingcap.com/v1alpha1", "TidbCluster"): "tidbclusters",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "Deployment"): "deployments",
    ("batch/v1", "Job"): "jobs",
    ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "PersistentVolumeClaim"): "persistentvolumeclaims",
    ("v1", "Pod"): "pods",
    ("v1", "Secret"): "secrets",
    ("v1", "Service"): "services",
    ("v1", "ServiceAccount"): "serviceaccounts",
}


def collection(api_version: str, kind: str, namespace: str) -> str:
    """The path of all objects of a kind in a namespace; raises `UsageError`."""
    try:
        plural = PLURALS[api_version, kind]
    except KeyError:
        raise UsageError(
            f"{api_version} {kind} is no kind of object that seatrial makes\n\n"
            f"hint: one of {', '.join(sorted({kind for _, kind in PLURALS}))}"
        ) from None
    root = ("apis", *api_version.split("/")) if "/" in api_version else ("api", api_version)
    return path_of(*root, "namespaces", namespace, plural)


def collection_of(body: Object) -> str:
    """The path of the collection that an object belongs to."""
    return collection(body["apiVersion"], body["kind"], body["metadata"]["namespace"])


def pods(namespace: str) -> str:
    """All pods."""
    return collection("v1", "Pod", namespace)


def config_maps(namespace: str) -> str:
    """All ConfigMaps."""
    return collection("v1", "ConfigMap", namespace)


def workflows(namespace: str) -> str:
    """All Workflows of Argo."""
    return collection("argoproj.io/v1alpha1", "Workflow", namespace)


def chaos(kind: str, namespace: str) -> str:
    """All objects of a kind of Chaos Mesh."""
    return collection(f"{CHAOS_MESH}/v1alpha1", kind, namespace)
