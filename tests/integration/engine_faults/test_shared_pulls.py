"""Pulls that several tasks wait for at a time, and some of them leave."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from ecs.tasks.model import Task
from ecs.tasks.states import Outcome, RunnerState
from tests.fake_engine import REMOTE_IMAGE, Connection, FakeEngine, Request, hangs, image_id
from tests.harness import Ecs, result_of, running_ecs
from tests.integration.engine_faults.faults import code, ecs_on
from tests.waiting import eventually

OTHER_TAG = "registry.example/team/image:2"
ALICE, BOB = ("alice", "alice's password"), ("bob", "bob's password")


class Gate:
    """Holds pulls back until it is opened; then they are played well. `left` counts who gave up."""

    def __init__(self, fake: FakeEngine) -> None:
        self.fake = fake
        self.opened = asyncio.Event()
        self.left = 0

    async def __call__(self, request: Request, connection: Connection) -> None:
        opened = asyncio.create_task(self.opened.wait())
        left = asyncio.create_task(connection.left())
        try:
            await asyncio.wait({opened, left}, return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                self.left += 1
                return
        finally:
            opened.cancel()
            left.cancel()
            await asyncio.wait({opened, left})
        await self.fake.play(request, connection)


@pytest.fixture
def gate(fake: FakeEngine) -> Gate:
    gate = Gate(fake)
    fake.always("pull", gate)
    return gate


async def all_pulling(*tasks: Task) -> None:
    """Return when each of the tasks waits for its pull."""
    await eventually(lambda: all(task.machine.state is RunnerState.PULLING for task in tasks))


async def outcomes(tasks: Iterable[Task]) -> list[Outcome]:
    """How each of the tasks ended, when all have."""
    return [(await result_of(task)).outcome for task in tasks]


async def test_all_who_ask_with_the_same_credentials_share_one_pull(
    ecs: Ecs, fake: FakeEngine, gate: Gate
) -> None:
    tasks = [ecs.submit("echo", image=REMOTE_IMAGE, credentials=ALICE) for _ in range(10)]
    await all_pulling(*tasks)
    gate.opened.set()

    assert await outcomes(tasks) == [Outcome.EXITED] * 10
    assert fake.count("pull") == 1
    assert all(task.progress_count > 0 for task in tasks)


async def test_different_credentials_share_no_pull(ecs: Ecs, fake: FakeEngine, gate: Gate) -> None:
    rights = [ALICE, BOB, ("alice", "another password")]
    tasks = [ecs.submit("echo", image=REMOTE_IMAGE, credentials=right) for right in rights]
    await eventually(lambda: fake.count("pull") == len(rights))
    gate.opened.set()

    assert await outcomes(tasks) == [Outcome.EXITED] * len(rights)
    assert {pull.credentials for pull in fake.asked("pull")} == set(rights)


async def test_a_pull_without_credentials_beside_one_with_them_proves_the_image_public(
    ecs: Ecs, fake: FakeEngine, gate: Gate
) -> None:
    tasks = [ecs.submit("echo", image=REMOTE_IMAGE, credentials=right) for right in (None, ALICE)]
    await eventually(lambda: fake.count("pull") == len(tasks))
    gate.opened.set()

    assert await outcomes(tasks) == [Outcome.EXITED] * 2


async def test_different_images_share_no_pull(ecs: Ecs, fake: FakeEngine, gate: Gate) -> None:
    fake.registry[OTHER_TAG] = image_id(OTHER_TAG)
    tasks = [ecs.submit("echo", image=image) for image in (REMOTE_IMAGE, OTHER_TAG)]
    await eventually(lambda: fake.count("pull") == 2)
    gate.opened.set()

    assert await outcomes(tasks) == [Outcome.EXITED] * 2


async def test_the_last_who_leaves_gives_the_pull_up(
    ecs: Ecs, fake: FakeEngine, gate: Gate
) -> None:
    first, last = (ecs.submit("echo", image=REMOTE_IMAGE) for _ in range(2))
    await all_pulling(first, last)
    await eventually(lambda: fake.count("pull") == 1)

    ecs.dispatcher.cancel(first)
    assert (await result_of(first)).outcome is Outcome.CANCELED
    assert gate.left == 0

    ecs.dispatcher.cancel(last)
    assert (await result_of(last)).outcome is Outcome.CANCELED
    await eventually(lambda: gate.left == 1)


async def test_one_who_leaves_does_not_take_the_pull_from_the_others(
    ecs: Ecs, fake: FakeEngine, gate: Gate
) -> None:
    leaving, staying = (ecs.submit("echo", image=REMOTE_IMAGE) for _ in range(2))
    await all_pulling(leaving, staying)
    ecs.dispatcher.cancel(leaving)
    await result_of(leaving)
    gate.opened.set()

    assert (await result_of(staying)).outcome is Outcome.EXITED
    assert (fake.count("pull"), gate.left) == (1, 0)


async def test_one_who_comes_after_all_have_left_gets_a_pull_of_its_own(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    # Not ecs_on: a pull with credentials that was given up stays under way a while longer.
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        leaving = ecs.submit("echo", image=REMOTE_IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull") == 1)
        ecs.dispatcher.cancel(leaving)
        coming = ecs.submit("echo", image=REMOTE_IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull") == 2)
        gate.opened.set()

        assert (await result_of(coming)).outcome is Outcome.EXITED


async def test_a_shared_pull_that_fails_fails_each_who_waits(
    ecs: Ecs, fake: FakeEngine, gate: Gate
) -> None:
    del fake.registry[REMOTE_IMAGE]
    tasks = [ecs.submit("echo", image=REMOTE_IMAGE) for _ in range(5)]
    await all_pulling(*tasks)
    gate.opened.set()
    results = [await result_of(task) for task in tasks]

    assert [code(result) for result in results] == ["image_not_found"] * 5
    assert fake.count("pull") == 1


async def test_each_who_waits_for_a_silent_registry_is_told_that_it_took_too_long(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.always("pull", hangs)
    async with ecs_on(fake, tmp_path, pull_timeout_seconds=1.0) as ecs:
        early = ecs.submit("echo", image=REMOTE_IMAGE)
        await eventually(lambda: fake.count("pull"))
        late = ecs.submit("echo", image=REMOTE_IMAGE)

        assert await outcomes([early, late]) == [Outcome.IMAGE_PULL_TIMED_OUT] * 2


async def test_a_pull_under_way_holds_no_place_in_the_lane(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with ecs_on(fake, tmp_path, max_starting_tasks=1) as ecs:
        pulling = [
            ecs.submit("echo", image=f"registry.example/{name}:1", credentials=ALICE)
            for name in "abc"
        ]
        await all_pulling(*pulling)

        assert (await ecs.run("echo")).outcome is Outcome.EXITED
        gate.opened.set()


async def test_a_task_that_waits_for_anothers_pull_holds_no_place_in_the_lane(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    fake.images[OTHER_TAG] = image_id(OTHER_TAG)
    async with ecs_on(fake, tmp_path, max_starting_tasks=2, queue_timeout_seconds=2.0) as ecs:
        ecs.submit("echo", image=REMOTE_IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull"))
        asked = fake.count("inspect_image")
        for _ in range(ecs.admission.max_starting):
            ecs.submit("echo", image=OTHER_TAG)
        await eventually(lambda: fake.count("inspect_image") >= asked + 2)

        assert (await ecs.run("echo")).outcome is Outcome.EXITED
        gate.opened.set()
