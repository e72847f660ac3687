"""Where artifacts go: an artifact repository of S3, MinIO in the cluster unless changed.

Endpoint and bucket stand here; the keys are in a Secret that each installation makes itself.
"""

from __future__ import annotations

from seatrial import yaml_text
from seatrial.verdict import Json
from seatrial.workflows.names import MANAGED_BY
from seatrial.workflows.settings import Settings

#: Argo reads this ConfigMap where a workflow names no repository.
CONFIG_MAP = "artifact-repositories"
DEFAULT = "workflows.argoproj.io/default-artifact-repository"
KEY = "seatrial-s3"
#: The Secret with `accesskey` and `secretkey`.
SECRET = "seatrial-s3"
BUCKET = "seatrial"
ENDPOINT = "minio.{namespace}.svc:9000"


def repository(settings: Settings) -> dict[str, Json]:
    """The ConfigMap with the namespace's default artifact repository."""
    s3: dict[str, Json] = {
        "s3": {
            "endpoint": ENDPOINT.format(namespace=settings.namespace),
            "bucket": BUCKET,
            # Inside of the cluster; the overlay for production speaks TLS.
            "insecure": True,
            "accessKeySecret": {"name": SECRET, "key": "accesskey"},
            "secretKeySecret": {"name": SECRET, "key": "secretkey"},
            "keyFormat": f"{settings.storage.prefix}/{{{{workflow.name}}}}/{{{{pod.name}}}}",
        }
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": CONFIG_MAP,
            "namespace": settings.namespace,
            "labels": {**MANAGED_BY},
            "annotations": {DEFAULT: KEY},
        },
        "data": {KEY: yaml_text.to_yaml([s3])},
    }
