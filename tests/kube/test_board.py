"""The board in a ConfigMap: one writer wins, whatever the API does on the way."""

from __future__ import annotations

import asyncio

import pytest

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.board import ConfigMapBoard
from seatrial.errors import CannotCreate
from seatrial.faults.together import on_cluster
from seatrial.runner.company import Acting
from seatrial.runner.steps import notices
from seatrial.runner.steps.notices import BoardCompany, StepNotice
from tests.kube.cluster import NAMESPACE, RUN
from tests.kube.server import Cluster

PATH = f"{paths.config_maps(NAMESPACE)}/{RUN.name}-board"


def test_a_notice_is_read_by_another_step(cluster: Cluster, api: Api) -> None:
    """Two boards of one run are one; versions count up."""

    async def act() -> None:
        one, other = ConfigMapBoard(api, RUN), ConfigMapBoard(api, RUN)
        assert await one.read("stop") is None
        assert await one.post("stop", {"reason": "a"})
        assert await one.post("stop", {"reason": "b"})
        found = await other.read("stop")
        assert found is not None
        assert (found.version, found.document) == (2, {"reason": "b"})

    asyncio.run(act())
    owner = cluster.objects[PATH]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("Workflow", RUN.owner_uid)


def test_conflicts_are_written_again(cluster: Cluster, api: Api) -> None:
    """Sixteen writers at once, each on a name of its own: none is lost."""

    async def act() -> None:
        boards = [ConfigMapBoard(api, RUN) for _ in range(16)]
        await asyncio.gather(*(b.post(f"n{i}", {"i": i}) for i, b in enumerate(boards)))
        assert len(await ConfigMapBoard(api, RUN).read_all()) == 16

    asyncio.run(act())


def test_a_step_begins_once(cluster: Cluster, api: Api) -> None:
    """A second beginning is refused, also by a step that would write the very same notice."""

    async def act() -> None:
        await notices.begin_once(ConfigMapBoard(api, RUN), "fault-1", StepNotice(state="ready"))
        with pytest.raises(CannotCreate, match="has begun before"):
            await notices.begin_once(ConfigMapBoard(api, RUN), "fault-1", StepNotice(state="ready"))

    asyncio.run(act())


def test_a_lost_answer_is_no_second_beginning(cluster: Cluster, api: Api) -> None:
    """The notice was written, the answer was lost: the one who wrote it has begun, not another."""

    async def act() -> None:
        await ConfigMapBoard(api, RUN).post("workload", {})
        cluster.fail("PUT", "configmaps", lose=True)
        await notices.begin_once(ConfigMapBoard(api, RUN), "fault-1", StepNotice(state="ready"))

    asyncio.run(act())
    assert cluster.asked("PUT", "configmaps") == 2


def test_two_faults_never_take_one_victim(cluster: Cluster, api: Api) -> None:
    """The company of faults works over the board: exactly one of two gets the node."""

    async def act() -> list[bool]:
        companies = [BoardCompany(ConfigMapBoard(api, RUN)) for _ in range(2)]
        acting = Acting("kill", "process", ("n1",))
        return await asyncio.gather(
            *(c.join(f"fault-{i}", acting) for i, c in enumerate(companies))
        )

    assert sorted(asyncio.run(act())) == [False, True]


def test_a_beginning_whose_answer_was_lost_is_no_other_fault(cluster: Cluster, api: Api) -> None:
    """Though another fault has written since, so that the own line is not the newest any more."""

    async def act() -> None:
        mine, other = (BoardCompany(ConfigMapBoard(api, RUN)) for _ in range(2))
        await other.join("fault-0", Acting("kill", "process", ("n3",)))
        cluster.fail("PUT", "configmaps", lose=True)
        joining = asyncio.create_task(mine.join("fault-1", Acting("kill", "process", ("n1",))))
        while "fault-1" not in cluster.objects[PATH]["data"][notices.ACTING]:
            await asyncio.sleep(0.001)
        assert await other.join("fault-2", Acting("kill", "process", ("n2",)))
        assert await joining
        assert set(await BoardCompany(ConfigMapBoard(api, RUN)).acting()) == {
            "fault-0",
            "fault-1",
            "fault-2",
        }

    asyncio.run(act())


def test_a_fault_whose_process_died_holds_its_victim_no_longer_than_it_can_act(
    cluster: Cluster, api: Api
) -> None:
    async def act() -> None:
        company = BoardCompany(ConfigMapBoard(api, RUN))
        assert await company.join("fault-1", Acting("kill", "process", ("n1",), most_s=0.2))
        again = Acting("kill", "process", ("n1",))
        assert not await company.join("fault-2", again)
        async with asyncio.timeout(5):
            while await company.acting():
                await company.change()
        assert await company.join("fault-2", again)

    asyncio.run(act())


def test_a_fault_that_would_end_another_one_waits_for_it(cluster: Cluster, api: Api) -> None:
    """A pod that is made anew would take a partition with it, whoever its victim is."""

    async def act() -> None:
        one, other = (BoardCompany(ConfigMapBoard(api, RUN), on_cluster) for _ in range(2))
        upgrade = Acting("upgrade", "process", ("n2",))
        assert await one.join("fault-1", Acting("partition", "network", ("n1",)))
        assert not await other.join("fault-2", upgrade)
        await one.leave("fault-1")
        async with asyncio.timeout(5):
            while not await other.join("fault-2", upgrade):
                await other.change()

    asyncio.run(act())


def test_reading_is_cheap(cluster: Cluster, api: Api) -> None:
    """However often a step looks, the API is asked at most twice a second."""

    async def act() -> None:
        board = ConfigMapBoard(api, RUN)
        for _ in range(50):
            await board.read("heal")

    asyncio.run(act())
    assert cluster.asked("GET", "configmaps") <= 2
