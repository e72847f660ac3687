"""A look at the store of artifacts: which one it is, its credentials, and whether it answers.

A store outside of the cluster is asked for its bucket with the cluster's own credentials. One
inside has a name that only pods can resolve: it is asked through the API server's proxy of
services, which takes no signature of S3's, so that bucket and credentials stay unasked.
"""

from __future__ import annotations

import re
from typing import Final

from seatrial.engine.argo import fetching
from seatrial.engine.argo.api import Api, ApiError, path_of
from seatrial.engine.argo.fetching import Repository
from seatrial.engine.argo.finding import DEPLOY, Finding, Wanted
from seatrial.errors import SeatrialError

NAME: Final = "artifact store"
#: SERVICE[.NAMESPACE[.svc[.DOMAIN]]][:PORT], as pods write the name of a Service.
IN_CLUSTER: Final = re.compile(
    r"(?P<service>[a-z0-9-]+)(?:\.(?P<namespace>[a-z0-9-]+))?"
    r"(?P<svc>\.svc(?:\.[a-z0-9.-]+)?)?(?::(?P<port>\d+))?"
)
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")


async def artifact_store(api: Api, wanted: Wanted) -> Finding:
    """The namespace's default repository."""
    where = {"metadata": {"namespace": wanted.namespace}}
    repository = await fetching.repository(api, where)
    told = f"bucket {repository.bucket} at {repository.endpoint}"
    try:
        store = await fetching.credentials(api, wanted.namespace, repository)
    except SeatrialError as error:
        said, _, _ = str(error).partition("\n\nhint: ")
        forbidden = "(403)" in said
        mend = (
            "ask somebody who may read it"
            if forbidden
            else f"kubectl -n {wanted.namespace} create secret generic {repository.secret} "
            "--from-literal=accesskey=… --from-literal=secretkey=…"
        )
        return Finding(NAME, "limited" if forbidden else "missing", f"{told}; {said}", mend)
    service = await _service(api, repository, wanted.namespace)
    if service is not None:
        return await _through_the_server(api, repository, service, told)
    try:
        await api.run(lambda: fetching.look(store))
    except SeatrialError as error:
        said, _, _ = str(error).partition("\n\nhint: ")
        mend = (
            "its endpoint, bucket and keys; from inside of the cluster it may answer all the same"
        )
        return Finding(NAME, "missing", f"{told}: {said}", mend)
    return Finding(NAME, "ok", f"{told}: it answers, and its keys open the bucket")


async def _service(api: Api, repository: Repository, namespace: str) -> tuple[str, str, str] | None:
    """Namespace, name and port of the Service that the endpoint names; None if it is elsewhere."""
    found = IN_CLUSTER.fullmatch(repository.endpoint)
    if found is None:
        return None
    where, name = found["namespace"] or namespace, found["service"]
    if found["svc"] is None:  # SERVICE.NAMESPACE, or a name of the world's such as example.org
        path = path_of("api", "v1", "namespaces", where, "services", name)
        if await api.find(path) is None:
            return None
    return where, name, found["port"] or ("443" if repository.secure else "80")


async def _through_the_server(
    api: Api, repository: Repository, service: tuple[str, str, str], told: str
) -> Finding:
    namespace, name, port = service
    scheme = "https" if repository.secure else "http"
    proxy = path_of("api", "v1", "namespaces", namespace, "services", f"{scheme}:{name}:{port}")
    unasked = "not asked: whether the bucket is there and the keys open it (seatrial fetch will)"
    try:
        await api.text(f"{proxy}/proxy/{repository.bucket}/")
    except ApiError as error:
        code = _CODE.search(str(error))
        if code is not None and code[1] == "NoSuchBucket":
            mend = f"make the bucket {repository.bucket}"
            return Finding(NAME, "missing", f"{told}: it has no such bucket", mend)
        if code is not None:
            return Finding(NAME, "ok", f"{told}: an S3 answers ({code[1]}); {unasked}")
        if error.status == 403:
            raise
        mend = f"kubectl -n {namespace} get service,endpoints {name}; {DEPLOY}"
        return Finding(NAME, "missing", f"{told} does not answer: {error}", mend)
    told = f"{told}: it answers, and shows the bucket to whoever asks"
    return Finding(NAME, "limited", told, "a bucket that only its keys open")
