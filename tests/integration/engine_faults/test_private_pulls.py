"""Whatever cuts a pull with credentials off, it makes no public image."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ecs.tasks.model import TaskResult
from ecs.tasks.states import Outcome
from tests.fake_engine import REMOTE_IMAGE, Connection, FakeEngine, Request, answers
from tests.harness import STATE_FILE, Ecs, running_ecs
from tests.integration.engine_faults.faults import code, ecs_on
from tests.waiting import eventually

OTHER_TAG = "registry.example/team/image:2"
ALICE, BOB = ("alice", "alice's password"), ("bob", "bob's password")


async def run(ecs: Ecs, credentials: tuple[str, str] | None = None) -> TaskResult:
    return await ecs.run("echo", image=REMOTE_IMAGE, credentials=credentials)


async def alice_alone_may_run_it(ecs: Ecs) -> None:
    assert code(await run(ecs)) == "image_access_denied"
    assert (await run(ecs, ALICE)).outcome is Outcome.EXITED


async def test_a_pull_given_up_that_the_engine_ends_nevertheless_makes_no_public_image(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.passwords[REMOTE_IMAGE] = ALICE

    async def ends_nevertheless(request: Request, connection: Connection) -> None:
        await connection.begin()
        await connection.line(status="Downloading", id="1")
        await connection.left()
        fake.images[REMOTE_IMAGE] = fake.registry[REMOTE_IMAGE]

    # Not ecs_on: the pull that was given up stays under way a while longer.
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("pull", ends_nevertheless)
        task = ecs.submit("echo", image=REMOTE_IMAGE, credentials=ALICE)
        await eventually(lambda: task.progress_count)
        ecs.dispatcher.cancel(task)
        await eventually(lambda: REMOTE_IMAGE in fake.images)

        await alice_alone_may_run_it(ecs)


async def crash_amid_pull(fake: FakeEngine, directory: Path, *, wrong_one_beside: bool) -> None:
    """Leave a state directory behind as a crash in the midst of a pull does."""
    path = directory / "state" / STATE_FILE
    gate = asyncio.Event()

    async def alices_waits(request: Request, connection: Connection) -> None:
        if request.credentials == ALICE:
            await gate.wait()
        await fake.play(request, connection)

    fake.always("pull", alices_waits)
    async with running_ecs(directory, fake.docker_host) as ecs:
        ecs.submit("echo", image=REMOTE_IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull"))
        if wrong_one_beside:
            assert code(await run(ecs, BOB)) == "image_access_denied"
        with closing(sqlite3.connect(path)) as database:
            at_the_crash = "\n".join(database.iterdump())
    # What ECS wrote when it was stopped in good order is taken back.
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(at_the_crash)
    fake.behave()


@pytest.mark.parametrize("wrong_one_beside", [False, True])
async def test_an_image_whose_pull_a_crash_cut_off_is_private_after_the_restart(
    fake: FakeEngine, tmp_path: Path, wrong_one_beside: bool
) -> None:
    fake.passwords[REMOTE_IMAGE] = ALICE
    await crash_amid_pull(fake, tmp_path, wrong_one_beside=wrong_one_beside)
    fake.images[REMOTE_IMAGE] = fake.registry[REMOTE_IMAGE]  # the engine had just ended it

    async with ecs_on(fake, tmp_path) as ecs:
        await alice_alone_may_run_it(ecs)


async def test_no_image_is_run_while_it_is_not_settled_whose_it_is(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.passwords[REMOTE_IMAGE] = ALICE
    await crash_amid_pull(fake, tmp_path, wrong_one_beside=False)
    fake.images[REMOTE_IMAGE] = fake.registry[REMOTE_IMAGE]

    async with ecs_on(fake, tmp_path) as ecs:
        fake.next("inspect_image", answers(500, {"message": "not now"}))
        assert code(await run(ecs)) == "engine_error"
        assert code(await run(ecs)) == "image_access_denied"


async def test_the_engine_that_vanishes_after_a_pull_makes_no_public_image(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.passwords[REMOTE_IMAGE] = ALICE

    async def and_then_nothing_works(request: Request, connection: Connection) -> None:
        fake.always("inspect_image", answers(500, {"message": "restarting"}))
        await fake.play(request, connection)

    fake.next("pull", and_then_nothing_works)
    assert code(await run(ecs, ALICE)) == "engine_error"
    fake.behave()
    assert REMOTE_IMAGE in fake.images

    await alice_alone_may_run_it(ecs)


async def test_another_tag_of_a_repository_with_private_images_must_be_proved_too(
    ecs: Ecs, fake: FakeEngine
) -> None:
    # The same image, which the operator has put on the engine under another tag.
    fake.images[OTHER_TAG] = fake.registry[REMOTE_IMAGE]
    fake.passwords |= {REMOTE_IMAGE: ALICE, OTHER_TAG: ALICE}
    fake.registry[OTHER_TAG] = fake.registry[REMOTE_IMAGE]
    await run(ecs, ALICE)

    assert code(await ecs.run("echo", image=OTHER_TAG)) == "image_access_denied"
