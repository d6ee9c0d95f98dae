"""What is counted as left behind; that containers are deleted is for the tests with an engine."""

from collections.abc import AsyncIterator

import pytest

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.tasks import reaper as reaper_module
from ecs.tasks.admission import Admission
from ecs.tasks.reaper import Reaper
from ecs.tasks.sweep import OrphanSweep
from tests.fake_engine import FakeEngine, answers, fake_engine
from tests.waiting import eventually

CONTAINER = "ecs-task-1"


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        yield engine


@pytest.fixture
async def reaper(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reaper]:
    monkeypatch.setattr(reaper_module, "_FIRST_PAUSE_SECONDS", 0.0)
    admission = Admission(max_starting=2, max_running=1, max_queued=1)
    async with (
        DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=60) as api,
        Reaper(api, admission) as reaper,
    ):
        yield reaper


@pytest.mark.parametrize("at_last", [answers(204), answers(404, {"message": "no such container"})])
async def test_a_container_that_cannot_be_deleted_counts_until_it_is_gone(
    at_last: object, engine: FakeEngine, reaper: Reaper
) -> None:
    engine.always("delete", answers(500, {"message": "device or resource busy"}))
    reaper.remove(CONTAINER)
    await reaper.drained()
    left_behind = reaper.left_behind_count

    engine.always("delete", at_last)  # type: ignore[arg-type]
    reaper.remove(CONTAINER)
    await eventually(lambda: not reaper.pending_count)

    assert (left_behind, reaper.left_behind_count) == (1, 0)


@pytest.mark.parametrize(("existing", "left_behind"), [([CONTAINER], 1), (["ecs-task-2"], 0)])
async def test_a_container_that_somebody_else_deleted_counts_no_more(
    existing: list[str], left_behind: int, engine: FakeEngine, reaper: Reaper
) -> None:
    engine.always("delete", answers(500, {"message": "device or resource busy"}))
    reaper.remove(CONTAINER)
    await reaper.drained()

    reaper.note_existing(existing)

    assert reaper.left_behind_count == left_behind


async def test_the_sweep_tells_which_containers_there_are(
    engine: FakeEngine, reaper: Reaper
) -> None:
    engine.always("delete", answers(500, {"message": "device or resource busy"}))
    reaper.remove(CONTAINER)
    await reaper.drained()
    async with DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=60) as api:
        sweep = OrphanSweep(api, reaper, instance="own", is_live=bool, interval_seconds=1)

        await sweep.sweep()

    assert reaper.left_behind_count == 0
