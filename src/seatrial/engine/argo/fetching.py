"""Bringing a trial's folder home from the S3-compatible store that Argo keeps artifacts in.

Which store, and with which credentials, the cluster says itself: the ConfigMap of artifact
repositories and the secrets it names. A run's pieces lie under one key, laid out as the trial's
folder (`seatrial.workflows.names.run_key`), uncompressed: they are copied as they are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, Object
from seatrial.errors import CannotCreate, NoInput, Unavailable

REPOSITORIES: Final = "artifact-repositories"
DEFAULT_KEY: Final = "workflows.argoproj.io/default-artifact-repository"
#: A trial has never so many files.
FILES_MAX: Final = 100_000
CONNECT_S: Final = 5.0
ANSWER_S: Final = 60.0
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Store:
    """An S3-compatible store. Credentials are shown nowhere."""

    endpoint: str
    bucket: str
    region: str
    secure: bool
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Store({self.bucket} at {self.endpoint})"


@dataclass(frozen=True, slots=True)
class Repository:
    """An artifact repository of the cluster, as its ConfigMap has it; keys stay in Secrets."""

    endpoint: str
    bucket: str
    region: str
    secure: bool
    access_key: Mapping[str, str] | None
    secret_key: Mapping[str, str] | None

    @property
    def secret(self) -> str:
        """The name of the Secret with the keys."""
        return str((self.access_key or {}).get("name", ""))


async def store(api: Api, workflow: Object, endpoint: str | None = None) -> Store:
    """The store of a Workflow's artifacts; `endpoint` (a URL) is where it is reached from here.

    Raises `Unavailable` where there is none, or it is not S3-compatible.
    """
    found = await repository(api, workflow)
    if endpoint is not None:
        scheme, _, address = endpoint.rpartition("://")
        found = replace(found, endpoint=address.rstrip("/"), secure=scheme != "http")
    return await credentials(api, workflow["metadata"]["namespace"], found)


async def repository(api: Api, workflow: Object) -> Repository:
    """Which store the cluster names for a Workflow's artifacts; raises `Unavailable`."""
    namespace = workflow["metadata"]["namespace"]
    wanted = (workflow.get("spec") or {}).get("artifactRepositoryRef") or {}
    name = wanted.get("configMap") or REPOSITORIES
    found = await api.find(f"{paths.config_maps(namespace)}/{name}")
    if found is None:
        raise Unavailable(
            f"there is no ConfigMap {name} in {namespace}, which says where artifacts are\n\n"
            "hint: deploy/README.md"
        )
    annotations = found["metadata"].get("annotations") or {}
    key = wanted.get("key") or annotations.get(DEFAULT_KEY, "")
    text = (found.get("data") or {}).get(key)
    settings = (yaml.safe_load(text) or {}).get("s3") if text else None
    if not isinstance(settings, dict):
        raise Unavailable(f"ConfigMap {name}: {key or 'no key'} names no S3-compatible store")
    return Repository(
        endpoint=str(settings.get("endpoint", "s3.amazonaws.com")).rstrip("/"),
        bucket=str(settings.get("bucket", "")),
        region=str(settings.get("region") or "us-east-1"),
        secure=not settings.get("insecure", False),
        access_key=settings.get("accessKeySecret"),
        secret_key=settings.get("secretKeySecret"),
    )


async def credentials(api: Api, namespace: str, found: Repository) -> Store:
    """The repository with its keys; raises `Unavailable` where they cannot be read."""
    return Store(
        endpoint=found.endpoint,
        bucket=found.bucket,
        region=found.region,
        secure=found.secure,
        access_key=await _secret(api, namespace, found.access_key),
        secret_key=await _secret(api, namespace, found.secret_key),
    )


def look(store: Store) -> None:
    """Ask the store for its bucket, with its keys; raises `Unavailable`. This call waits."""
    from pyarrow import fs

    try:
        (found,) = _open(store).get_file_info([store.bucket])
    except OSError as error:
        raise Unavailable(str(error).splitlines()[0]) from None
    if found.type is not fs.FileType.Directory:
        raise Unavailable("it has no such bucket")


async def _secret(api: Api, namespace: str, reference: Any) -> str:
    if not isinstance(reference, dict):
        return ""
    where = paths.collection("v1", "Secret", namespace)
    try:
        found = await api.get(f"{where}/{reference['name']}")
        return base64.b64decode(found["data"][reference["key"]]).decode()
    except (ApiError, KeyError, ValueError) as error:
        raise Unavailable(
            f"the store's credentials cannot be read from secret {reference.get('name')}: {error}"
            "\n\nhint: a right to get that secret"
        ) from None


def _open(store: Store) -> Any:
    from pyarrow import fs

    return fs.S3FileSystem(
        access_key=store.access_key or None,
        secret_key=store.secret_key or None,
        anonymous=not store.access_key,
        region=store.region,
        scheme="https" if store.secure else "http",
        endpoint_override=store.endpoint,
        connect_timeout=CONNECT_S,
        request_timeout=ANSWER_S,
    )


def run_prefix(workflow: Object) -> str:
    """The key below which a run's pieces lie, from the keys that its own templates name."""
    spec = _spec(workflow)
    for template in spec.get("templates") or ():
        for artifact in (template.get("outputs") or {}).get("artifacts") or ():
            key = str((artifact.get("s3") or {}).get("key", ""))
            head, mark, _ = key.partition("{{workflow.uid}}")
            if mark:
                metadata = workflow["metadata"]
                return f"{head.replace('{{workflow.name}}', metadata['name'])}{metadata['uid']}/"
    raise NoInput(f"workflow {workflow['metadata']['name']} keeps no artifact of a trial")


def _spec(workflow: Object) -> Object:
    """The spec, or that of the template it was made from."""
    spec = workflow.get("spec") or {}
    kept = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec")
    return spec if spec.get("templates") else dict(kept or {})


def bring(store: Store, prefix: str, into: Path) -> tuple[str, ...]:
    """Copy everything under `prefix` into a new folder; the files' names. O(bytes).

    Raises `Unavailable` for the store, `NoInput` where nothing is kept, `CannotCreate`.
    """
    from pyarrow import fs

    bucket = _open(store)
    root = f"{store.bucket}/{prefix}".rstrip("/")
    try:
        listed = bucket.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
        files = [one for one in listed if one.type == fs.FileType.File]
    except OSError as error:
        raise Unavailable(
            f"the store {store.bucket} at {store.endpoint} cannot be read: "
            f"{str(error).splitlines()[0]}\n\n"
            "hint: from outside of the cluster: kubectl port-forward, and --endpoint URL"
        ) from None
    if not files:
        raise NoInput(f"nothing is kept under {root}")
    if len(files) > FILES_MAX:
        raise Unavailable(f"{len(files)} files under {root}, more than any trial has")
    return tuple(_copy(bucket, one.path, root, into) for one in files)


def _copy(bucket: Any, path: str, root: str, into: Path) -> str:
    name = PurePosixPath(path).relative_to(root)
    if ".." in name.parts:
        raise Unavailable(f"the store holds {path}, which leads out of the trial's folder")
    target = into.joinpath(*name.parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for piece in _pieces(bucket, path):
                file.write(piece)
    except OSError as error:
        raise CannotCreate(f"{target} cannot be written: {error}") from error
    return str(name)


def _pieces(bucket: Any, path: str) -> Iterator[bytes]:
    try:
        with bucket.open_input_stream(path) as source:
            while piece := source.read(_CHUNK):
                yield piece
    except OSError as error:
        raise Unavailable(f"{path} did not come whole: {str(error).splitlines()[0]}") from None


def plan_text(workflow: Object) -> str:
    """The plan that a Workflow carries in itself; "" if it was made in the cluster."""
    for one in _parameters(workflow):
        if one.get("name") == "plan":
            return _as_written(str(one.get("value", "")))
    return ""


def _as_written(text: str) -> str:
    """The plan without what keeps Argo from reading tags in it, if that changes no meaning."""
    plain = text.replace(r"\u007b\u007b", "{{")
    return plain if plain == text or json.loads(plain) == json.loads(text) else text


def _parameters(workflow: Object) -> Sequence[Object]:
    return ((workflow.get("spec") or {}).get("arguments") or {}).get("parameters") or ()
