"""A warm container that ends, or an engine that fails, around the hand-over."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecs.errors import QueueFullError
from ecs.tasks.model import Profile, Start
from ecs.tasks.states import Outcome
from ecs.tasks.warm_container import WarmContainer
from tests.fake_engine import BUSYBOX, STDOUT, Container, FakeEngine, answers, frame, hangs
from tests.harness import RESOURCES, Ecs, result_of, running_ecs
from tests.integration.engine_faults.faults import INIT, end_of
from tests.waiting import eventually


@pytest.fixture
async def ecs(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ecs]:
    """ECS with two warm containers, in the belief that the engine has the init."""
    monkeypatch.setattr("ecs.tasks.pooled_containers._FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr("ecs.tasks.pooled_containers._LOOK_ROUND_SECONDS", 0.1)
    async with running_ecs(tmp_path, fake.docker_host, warm_images=f"{BUSYBOX}=2") as ecs:
        ecs.init.mount = INIT
        ecs.warm_pool.meet(RESOURCES, Profile.STANDARD)
        await ready(ecs)
        yield ecs
        fake.behave()


async def ready(ecs: Ecs) -> None:
    await eventually(lambda: ecs.warm_pool.counts["idle"] == 2 and ecs.is_idle())


async def test_a_hit_asks_the_engine_for_nothing_but_the_image_and_a_name(
    ecs: Ecs, fake: FakeEngine
) -> None:
    before = len(fake.requests)
    fake.always("create", answers(500))  # no refill yet

    task, result, stdout = await end_of(ecs, "echo", "hello")

    assert (task.start, result.outcome, stdout) == (Start.WARM, Outcome.EXITED, b"hello\n")
    await eventually(lambda: ecs.reaper.pending_count == 0 and fake.count("rename") == 1)
    asked = [request.verb for request in fake.requests[before:]]
    assert set(asked) - {"create"} == {"inspect_image", "rename", "delete"}


async def test_a_hit_passes_those_who_wait_for_the_lane(ecs: Ecs, fake: FakeEngine) -> None:
    fake.always("start", hangs)
    waiting = [ecs.submit("echo", "cold", workdir="/tmp") for _ in range(7)]
    await eventually(lambda: ecs.admission.queue_length == 3)

    task, result, _ = await end_of(ecs, "echo", "hello")

    assert (task.start, result.outcome) == (Start.WARM, Outcome.EXITED)
    assert ecs.admission.queue_length == 3
    assert ecs.warm_pool.counts["starting"] == 0  # nor is one made before they had their turn
    for other in waiting:
        await ecs.dispatcher.release(other)
    fake.behave()
    await ready(ecs)


async def test_a_hit_is_not_refused_for_the_wait_of_those_who_have_to_start(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.always("start", hangs)
    waiting = [ecs.submit("echo", "cold", workdir="/tmp") for _ in range(7)]
    await eventually(lambda: ecs.admission.queue_length == 3)
    # As if the queue had let five tasks begin in 100 minutes.
    ecs.admission._busy_since -= 6000.0
    ecs.admission._grants_while_busy = 5

    with pytest.raises(QueueFullError, match="more than the"):
        ecs.submit("echo", "cold", workdir="/tmp")
    task, result, _ = await end_of(ecs, "echo", "hello")

    assert (task.start, result.outcome) == (Start.WARM, Outcome.EXITED)
    for other in waiting:
        await ecs.dispatcher.release(other)
    fake.behave()
    await ready(ecs)


async def test_a_container_that_ended_unseen_is_replaced_by_the_next_way(
    ecs: Ecs, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WarmContainer, "has_ended", True)

    task, result, stdout = await end_of(ecs, "echo", "hello")

    assert (task.start, result.outcome, stdout) == (Start.COLD, Outcome.EXITED, b"hello\n")


async def test_a_container_without_a_way_in_is_replaced_by_the_next_way(
    ecs: Ecs, fake: FakeEngine
) -> None:
    for warm in ecs.warm_pool._idle:
        warm._stdin.abort()
    await asyncio.sleep(0)

    task, result, stdout = await end_of(ecs, "echo", "hello")

    assert (task.start, result.outcome, stdout) == (Start.COLD, Outcome.EXITED, b"hello\n")


async def test_a_command_that_may_have_run_is_not_run_again(ecs: Ecs, fake: FakeEngine) -> None:
    def end_at_once(container: Container, _: object) -> None:
        container.end(137)

    fake.execute = end_at_once
    fake.always("create", answers(500))

    task, result, stdout = await end_of(ecs, "echo", "hello")

    assert (task.start, result.outcome, stdout) == (Start.WARM, Outcome.ENGINE_ERROR, b"")
    assert "nobody knows" in str(result.error)


@pytest.mark.parametrize(
    ("oom_killed", "output", "outcome"),
    [(True, b"", Outcome.OOM_KILLED), (False, b"out\n", Outcome.EXITED)],
)
async def test_where_the_command_was_seen_to_run_the_engines_word_counts(
    ecs: Ecs, fake: FakeEngine, oom_killed: bool, output: bytes, outcome: Outcome
) -> None:
    def end_at_once(container: Container, _: object) -> None:
        container.output = frame(STDOUT, output) if output else b""
        container.oom_killed = oom_killed
        container.end(137)

    fake.execute = end_at_once
    fake.always("create", answers(500))

    _, result, stdout = await end_of(ecs, "echo", "hello")

    assert (result.outcome, result.exit_code, stdout) == (outcome, 137, output)


async def test_an_engine_that_goes_away_during_the_run_is_told(ecs: Ecs, fake: FakeEngine) -> None:
    task = ecs.submit("sleep", "60")
    await eventually(lambda: fake.count("rename") == 1)

    await fake.stop()

    assert (await result_of(task)).outcome is Outcome.ENGINE_ERROR
    await ecs.dispatcher.release(task)
    await fake.start()
    await ready(ecs)


async def test_containers_that_went_with_the_engine_are_replaced(
    ecs: Ecs, fake: FakeEngine
) -> None:
    await fake.stop()
    await eventually(lambda: ecs.warm_pool.retired["ended by itself"] == 2)
    fake.containers.clear()
    await fake.start()

    await ecs.sweep.sweep()

    assert (await end_of(ecs, "echo", "hello"))[1].outcome is Outcome.EXITED
