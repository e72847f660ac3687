"""The server, and a connection to it made the way a person's machine makes one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, connect
from tests.kube.cluster import NAMESPACE, NODES, ChaosMesh, kubeconfig, pod
from tests.kube.server import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster with three pods of a database."""
    with Cluster() as found:
        for node in NODES:
            found.put(paths.pods(NAMESPACE), pod(node))
        yield found


@pytest.fixture
def mesh(cluster: Cluster) -> ChaosMesh:
    """Chaos Mesh on it."""
    return ChaosMesh(cluster)


@pytest.fixture
def api(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A connection, by a kubeconfig."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, cluster)))
    found = connect()
    yield found
    found.close()
