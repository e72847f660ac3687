"""The connection: what it tries again, what it gives up, and how it waits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, TimedOut, connect
from seatrial.errors import Unavailable
from tests.kube.cluster import NAMESPACE, pod, pod_path
from tests.kube.server import Cluster, Object

PODS = paths.pods(NAMESPACE)


def _when_ready(found: Object | None) -> bool | None:
    return True if found is not None and found["status"]["phase"] == "Done" else None


def _finish(cluster: Cluster) -> None:
    cluster.change(pod_path("n1"), lambda body: body["status"].update(phase="Done"))


def _finish_after_a_watch(cluster: Cluster, watches: int) -> threading.Thread:
    """Change the pod once it was watched so often."""

    def act() -> None:
        deadline = time.monotonic() + 5
        while cluster.asked("GET", "watch=1") < watches and time.monotonic() < deadline:
            time.sleep(0.005)
        _finish(cluster)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(cluster: Cluster, api: Api, code: int) -> None:
    """Two refusals of a busy server are not the caller's business."""
    cluster.fail("GET", "pods/db-n1", code, times=2)
    found = asyncio.run(api.get(pod_path("n1")))
    assert found["metadata"]["name"] == "db-n1"
    assert cluster.asked("GET", "pods/db-n1") == 3


def test_retry_after_is_kept(cluster: Cluster, api: Api) -> None:
    """A server that says when to come again is not asked before."""
    cluster.fail("GET", "pods/db-n1", 429, headers={"Retry-After": "1"})
    began = time.monotonic()
    asyncio.run(api.get(pod_path("n1")))
    assert time.monotonic() - began >= 1


def test_a_refusal_is_final_and_says_why(cluster: Cluster, api: Api) -> None:
    """403 is not tried again, and the API's own words come through."""
    cluster.fail("GET", "pods/db-n1", 403, times=5, reason="Forbidden")
    with pytest.raises(ApiError, match="on purpose") as caught:
        asyncio.run(api.get(pod_path("n1")))
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert cluster.asked("GET", "pods/db-n1") == 1


def test_a_server_that_is_gone_is_an_error_with_its_reason(cluster: Cluster, api: Api) -> None:
    """No answer at all ends within the patience, with what the connection said."""
    cluster.fail("GET", "pods/db-n1", times=100, lose=True)
    hasty = connect(patience_s=0.5)
    with pytest.raises(ApiError) as caught:
        asyncio.run(hasty.get(pod_path("n1")))
    hasty.close()
    assert caught.value.status == 0
    assert cluster.asked("GET", "pods/db-n1") > 1


def test_the_token_is_sent(cluster: Cluster, api: Api) -> None:
    """The kubeconfig's credentials are used."""
    assert api.headers()["authorization"] == "Bearer somebody"


def test_waiting_sees_a_change(cluster: Cluster, api: Api) -> None:
    """A change during the watch ends the wait."""
    thread = _finish_after_a_watch(cluster, 1)
    assert asyncio.run(api.until(PODS, "db-n1", _when_ready, 5))
    thread.join()


@pytest.mark.parametrize("how", ["drop", "gone"])
def test_waiting_survives_watches_that_end(cluster: Cluster, api: Api, how: str) -> None:
    """A watch that is dropped, or too old (410), is begun anew with a look in between."""
    cluster.fail("GET", "watch=1", times=3, **{how: True})
    thread = _finish_after_a_watch(cluster, 4)
    assert asyncio.run(api.until(PODS, "db-n1", _when_ready, 5))
    thread.join()


def test_waiting_sees_what_happened_between_look_and_watch(cluster: Cluster, api: Api) -> None:
    """The watch begins at the version that was looked at, so nothing falls between them."""
    slow = cluster.fail("GET", "watch=1", slow_s=0.3)
    thread = _finish_after_a_watch(cluster, 1)
    assert asyncio.run(api.until(PODS, "db-n1", _when_ready, 5))
    assert slow.times == 0
    assert cluster.asked("GET", "watch=1") == 1
    thread.join()


def test_waiting_ends_at_its_bound(cluster: Cluster, api: Api) -> None:
    """An object that never gets there is given up in time, and no thread is left waiting."""
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"within 0\.5 s"):
        asyncio.run(api.until(PODS, "db-n1", _when_ready, 0.5))
    assert time.monotonic() - began < 3


def test_waiting_goes_on_where_watching_is_forbidden(cluster: Cluster, api: Api) -> None:
    """An account that may get but not watch looks again, in peace."""
    cluster.fail("GET", "watch=1", 403, times=99, reason="Forbidden")
    thread = _finish_after_a_watch(cluster, 1)
    assert asyncio.run(api.until(PODS, "db-n1", _when_ready, 5))
    assert cluster.asked("GET", "watch=1") <= 2
    thread.join()


def test_waiting_for_the_end_of_an_object(cluster: Cluster, api: Api) -> None:
    """A deletion is seen by the watch."""
    threading.Timer(0.1, cluster.remove, [pod_path("n1")]).start()
    gone = api.until(PODS, "db-n1", lambda found: True if found is None else None, 5)
    assert asyncio.run(gone)


def test_pages_are_joined(cluster: Cluster, api: Api) -> None:
    """A list with a label selector brings what it selects."""
    body = pod("n9")
    body["metadata"]["labels"] = {"seatrial/run": "a"}
    cluster.put(PODS, body)
    found = asyncio.run(api.items(PODS, "seatrial/run=a"))
    assert [one["metadata"]["name"] for one in found] == ["db-n9"]


def test_a_kubeconfig_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/no/such/file")
    with pytest.raises(Unavailable, match=r"by /no/such/file: .*\n\nhint: KUBECONFIG=FILE"):
        connect()
