"""Whatever goes wrong with a container's creation or deletion, it does not stay behind."""

import asyncio
from pathlib import Path

import pytest

from ecs.tasks.states import Outcome
from tests.fake_engine import (
    Connection,
    FakeEngine,
    Request,
    Script,
    answers,
    closes,
    hangs,
    held,
    sends,
)
from tests.harness import Ecs, result_of
from tests.integration.engine_faults.faults import (
    ENGINE_TIMEOUT_SECONDS,
    UNREACHABLE,
    ecs_on,
    engine_code,
    nothing_is_left,
    turns_of_the_loop,
)
from tests.waiting import eventually


@pytest.mark.parametrize(
    "scripts",
    [
        pytest.param([answers(409, {"message": "in progress"})] * 2, id="409"),
        pytest.param([answers(500, {"message": "busy"})] * 2, id="500"),
        pytest.param([hangs], id="never answers"),
        pytest.param([closes], id="closes at once"),
        pytest.param([sends(b"nonsense\r\n\r\n")], id="garbage"),
        pytest.param([answers(400, {"message": "no"})], id="400"),
    ],
)
async def test_a_deletion_is_asked_for_until_it_is_done(
    fake: FakeEngine, tmp_path: Path, scripts: list[Script]
) -> None:
    async with ecs_on(fake, tmp_path, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS) as ecs:
        fake.next("delete", *scripts)
        result = await ecs.run("echo")

        assert result.outcome is Outcome.EXITED
        await nothing_is_left(ecs, fake)
        assert fake.count("delete") > len(scripts)


@pytest.mark.parametrize("status", [409, 500])
async def test_a_deletion_that_somebody_else_did_is_done(
    ecs: Ecs, fake: FakeEngine, status: int
) -> None:
    async def by_another(_: Request, connection: Connection) -> None:
        fake.containers.clear()
        await connection.answer(status, {"message": "removal is already in progress"})

    fake.next("delete", by_another)
    await ecs.run("echo")

    await nothing_is_left(ecs, fake)
    assert fake.count("delete") == 2  # the second was told 404


async def test_the_sweep_finds_what_the_reaper_gave_up(
    ecs: Ecs, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecs.tasks.reaper._ATTEMPTS", 2)
    fake.next("delete", *[answers(500, {"message": "busy"})] * 2)
    await ecs.run("echo")
    await eventually(ecs.is_idle)
    assert fake.containers

    await ecs.sweep.sweep()

    await nothing_is_left(ecs, fake)


async def test_the_sweep_finds_a_container_created_after_ecs_had_given_up(
    fake: FakeEngine, tmp_path: Path
) -> None:
    late = asyncio.Event()
    async with ecs_on(fake, tmp_path, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS) as ecs:
        fake.next("create", held(fake.play, late))
        assert engine_code(await ecs.run("echo")) == UNREACHABLE
        await eventually(ecs.is_idle)
        late.set()
        await eventually(lambda: fake.containers)

        await ecs.sweep.sweep()

        await nothing_is_left(ecs, fake)


async def test_a_creation_is_seen_to_its_end_however_often_the_task_is_canceled(
    ecs: Ecs, fake: FakeEngine
) -> None:
    created = asyncio.Event()
    fake.next("create", held(fake.play, created))
    task = ecs.submit("echo")
    await eventually(lambda: fake.count("create"))
    for _ in range(3):
        ecs.dispatcher.cancel(task)
        await turns_of_the_loop()

    assert task.result is None
    assert fake.count("delete") == 0  # it would overtake the creation

    created.set()
    assert (await result_of(task)).outcome is Outcome.CANCELED
    await nothing_is_left(ecs, fake)


async def test_a_canceled_task_whose_creation_fails_is_canceled(ecs: Ecs, fake: FakeEngine) -> None:
    failing = asyncio.Event()
    fake.next("create", held(answers(500, {"message": "no"}), failing))
    task = ecs.submit("echo")
    await eventually(lambda: fake.count("create"))
    ecs.dispatcher.cancel(task)
    failing.set()

    assert (await result_of(task)).outcome is Outcome.CANCELED
