"""Pulls that end in every way there is, and pulls that several tasks wait for at a time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from ecs.errors import EcsError
from ecs.tasks.model import PullPolicy, Task, TaskResult
from ecs.tasks.states import Outcome, RunnerState
from tests.fake_engine import (
    Connection,
    FakeEngine,
    Request,
    Script,
    answers,
    closes,
    fake_engine,
    hangs,
    hangs_after_head,
    image_id,
    sends,
    streams,
)
from tests.harness import STATE_FILE, Ecs, result_of, running_ecs
from tests.waiting import eventually

IMAGE = "registry.example/team/image:1"
OTHER_TAG = "registry.example/team/image:2"
ALICE, BOB = ("alice", "alice's password"), ("bob", "bob's password")


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        engine.registry[IMAGE] = image_id(IMAGE)
        yield engine


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


def code(result: TaskResult) -> str:
    assert isinstance(result.error, EcsError)
    return result.error.code


async def all_pulling(*tasks: Task) -> None:
    """Return when each of the tasks waits for its pull."""
    await eventually(lambda: all(task.machine.state is RunnerState.PULLING for task in tasks))


async def nothing_is_left(ecs: Ecs, fake: FakeEngine) -> None:
    await eventually(lambda: not fake.containers and ecs.is_idle())


def line(text: str) -> Script:
    return streams(b'{"status": "Pulling from team/image", "id": "1"}\r\n', text.encode() + b"\r\n")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(answers(404, {"message": "pull access denied"}), "image_not_found", id="404"),
        pytest.param(
            answers(500, {"message": "Get https://r/v2/: no basic auth credentials"}),
            "image_access_denied",
            id="no credentials",
        ),
        pytest.param(
            answers(500, {"message": "Get https://r/v2/: dial tcp: connection refused"}),
            "image_pull_failed",
            id="registry out of reach",
        ),
        pytest.param(
            line('{"errorDetail": {"message": "manifest unknown"}, "error": "manifest unknown"}'),
            "image_not_found",
            id="in-band: not found",
        ),
        pytest.param(
            line('{"errorDetail": {"message": "unauthorized: authentication required"}}'),
            "image_access_denied",
            id="in-band: denied",
        ),
        pytest.param(
            line('{"errorDetail": {"code": 1, "message": "no space left on device"}}'),
            "image_pull_failed",
            id="in-band: other",
        ),
        pytest.param(
            line('{"error": "filesystem layer verification failed"}'), "image_pull_failed"
        ),
        pytest.param(line('{"errorDetail": {}, "error": ""}'), "image_pull_failed", id="no words"),
        pytest.param(line('{"status": "Pulling fs la'), "engine_error", id="half a line"),
        pytest.param(line("[]"), "engine_error", id="a line that is no object"),
        pytest.param(
            streams(b'{"status": "Pulling"}\r\n', ends=False), "engine_error", id="cut in a chunk"
        ),
        pytest.param(closes, "engine_unreachable", id="closes at once"),
        pytest.param(sends(b"\xff\xff\r\n\r\n"), "engine_error", id="garbage"),
        pytest.param(streams(b"x" * 2**21), "engine_error", id="a line without end"),
        pytest.param(hangs, "image_pull_timed_out", id="never answers"),
        pytest.param(hangs_after_head, "image_pull_timed_out", id="never goes on"),
        pytest.param(streams(), "image_pull_failed", id="just ends"),
    ],
)
async def test_a_pull_that_fails_tells_why(
    fake: FakeEngine, tmp_path: Path, script: Script, expected: str
) -> None:
    async with running_ecs(tmp_path, fake.docker_host, pull_timeout_seconds=1.0) as ecs:
        fake.next("pull", script)
        result = await ecs.run("echo", image=IMAGE)

        assert code(result) == expected
        assert result.outcome == (expected if expected.startswith("image") else "engine_error")
        assert fake.count("create") == 0
        await nothing_is_left(ecs, fake)
        assert (await ecs.run("echo", image=IMAGE)).outcome is Outcome.EXITED


async def test_a_line_of_progress_nested_too_deep_fails_one_task_alone(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("pull", line("[" * 100_000))

        assert code(await ecs.run("echo", image=IMAGE)) == "engine_error"
        assert (await ecs.run("echo", image=IMAGE)).outcome is Outcome.EXITED


async def test_a_line_of_progress_of_another_kind_is_passed_over(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async def with_unknown_lines(request: Request, connection: Connection) -> None:
        fake.images[IMAGE] = image_id(IMAGE)
        lines = b'{"aux": {"ID": "sha256:0"}, "new": true}\n{"status": "Status: Downloaded"}\n'
        await streams(lines)(request, connection)

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("pull", with_unknown_lines)

        assert (await ecs.run("echo", image=IMAGE)).outcome is Outcome.EXITED


async def test_a_store_that_cannot_be_written_fails_one_task_alone(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecs.store.private_images._BUSY_TIMEOUT_SECONDS", 0.1)
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        database = tmp_path / "state" / STATE_FILE
        with closing(sqlite3.connect(database, isolation_level=None)) as other_process:
            other_process.execute("BEGIN IMMEDIATE")
            result = await ecs.run("echo", image=IMAGE, credentials=ALICE)

        assert result.state == "SYSTEM_ERROR"
        assert fake.count("pull") == 0
        assert (await ecs.run("echo", image=IMAGE, credentials=ALICE)).outcome is Outcome.EXITED


async def test_all_who_ask_with_the_same_credentials_share_one_pull(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with running_ecs(tmp_path, fake.docker_host, max_running_tasks=16) as ecs:
        tasks = [ecs.submit("echo", image=IMAGE, credentials=ALICE) for _ in range(10)]
        await all_pulling(*tasks)
        gate.opened.set()
        results = [await result_of(task) for task in tasks]

        assert {result.outcome for result in results} == {Outcome.EXITED}
        assert fake.count("pull") == 1
        assert all(task.progress_count > 0 for task in tasks)
        await nothing_is_left(ecs, fake)


async def test_different_credentials_share_no_pull(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        rights = [ALICE, BOB, ("alice", "another password")]
        tasks = [ecs.submit("echo", image=IMAGE, credentials=right) for right in rights]
        await eventually(lambda: fake.count("pull") == len(rights))
        gate.opened.set()
        results = [await result_of(task) for task in tasks]

        assert {result.outcome for result in results} == {Outcome.EXITED}
        pulls = [request for request in fake.requests if request.verb == "pull"]
        assert {pull.credentials for pull in pulls} == set(rights)
        await nothing_is_left(ecs, fake)


async def test_a_pull_without_credentials_beside_one_with_them_proves_the_image_public(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        tasks = [ecs.submit("echo", image=IMAGE, credentials=right) for right in (None, ALICE)]
        await eventually(lambda: fake.count("pull") == len(tasks))
        gate.opened.set()

        assert [(await result_of(task)).outcome for task in tasks] == [Outcome.EXITED] * 2


async def test_different_images_share_no_pull(fake: FakeEngine, tmp_path: Path, gate: Gate) -> None:
    fake.registry[OTHER_TAG] = image_id(OTHER_TAG)
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        tasks = [ecs.submit("echo", image=image) for image in (IMAGE, OTHER_TAG)]
        await eventually(lambda: fake.count("pull") == 2)
        gate.opened.set()

        assert [(await result_of(task)).outcome for task in tasks] == [Outcome.EXITED] * 2


async def test_the_last_who_leaves_gives_the_pull_up(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        first, last = (ecs.submit("echo", image=IMAGE) for _ in range(2))
        await all_pulling(first, last)
        await eventually(lambda: fake.count("pull") == 1)

        ecs.dispatcher.cancel(first)
        assert (await result_of(first)).outcome is Outcome.CANCELED
        assert gate.left == 0

        ecs.dispatcher.cancel(last)
        assert (await result_of(last)).outcome is Outcome.CANCELED
        await eventually(lambda: gate.left == 1)
        await nothing_is_left(ecs, fake)


async def test_one_who_leaves_does_not_take_the_pull_from_the_others(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        leaving, staying = (ecs.submit("echo", image=IMAGE) for _ in range(2))
        await all_pulling(leaving, staying)
        ecs.dispatcher.cancel(leaving)
        await result_of(leaving)
        gate.opened.set()

        assert (await result_of(staying)).outcome is Outcome.EXITED
        assert (fake.count("pull"), gate.left) == (1, 0)


async def test_one_who_comes_after_all_have_left_gets_a_pull_of_its_own(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        leaving = ecs.submit("echo", image=IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull") == 1)
        ecs.dispatcher.cancel(leaving)
        coming = ecs.submit("echo", image=IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull") == 2)
        gate.opened.set()

        assert (await result_of(coming)).outcome is Outcome.EXITED


async def test_a_shared_pull_that_fails_fails_each_who_waits(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    del fake.registry[IMAGE]
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        tasks = [ecs.submit("echo", image=IMAGE) for _ in range(5)]
        await all_pulling(*tasks)
        gate.opened.set()
        results = [await result_of(task) for task in tasks]

        assert [code(result) for result in results] == ["image_not_found"] * 5
        assert fake.count("pull") == 1
        await nothing_is_left(ecs, fake)


async def test_each_who_waits_for_a_silent_registry_is_told_that_it_took_too_long(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.always("pull", hangs)
    async with running_ecs(tmp_path, fake.docker_host, pull_timeout_seconds=1.0) as ecs:
        early = ecs.submit("echo", image=IMAGE)
        await eventually(lambda: fake.count("pull"))
        late = ecs.submit("echo", image=IMAGE)

        results = [await result_of(task) for task in (early, late)]

        assert [result.outcome for result in results] == [Outcome.IMAGE_PULL_TIMED_OUT] * 2
        await nothing_is_left(ecs, fake)


async def test_a_pull_under_way_holds_no_place_in_the_lane(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    async with running_ecs(tmp_path, fake.docker_host, max_starting_tasks=1) as ecs:
        pulling = [
            ecs.submit("echo", image=f"registry.example/{name}:1", credentials=ALICE)
            for name in "abc"
        ]
        await all_pulling(*pulling)

        assert (await ecs.run("echo")).outcome is Outcome.EXITED


async def test_a_task_that_waits_for_anothers_pull_holds_no_place_in_the_lane(
    fake: FakeEngine, tmp_path: Path, gate: Gate
) -> None:
    fake.images[OTHER_TAG] = image_id(OTHER_TAG)
    async with running_ecs(
        tmp_path, fake.docker_host, max_starting_tasks=2, queue_timeout_seconds=2.0
    ) as ecs:
        ecs.submit("echo", image=IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull"))
        asked = fake.count("inspect_image")
        for _ in range(ecs.admission.max_starting):
            ecs.submit("echo", image=OTHER_TAG)
        await eventually(lambda: fake.count("inspect_image") >= asked + 2)

        assert (await ecs.run("echo")).outcome is Outcome.EXITED


async def test_with_pull_always_a_pull_that_just_ends_runs_no_old_image(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.images[IMAGE] = image_id("old")
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("pull", streams(b'{"status": "Pulling from team/image", "id": "1"}\r\n'))
        result = await ecs.run("echo", image=IMAGE, pull=PullPolicy.ALWAYS)

        assert code(result) == "image_pull_failed"


async def test_a_pull_given_up_that_the_engine_ends_nevertheless_makes_no_public_image(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.passwords[IMAGE] = ALICE

    async def ends_nevertheless(request: Request, connection: Connection) -> None:
        await connection.begin()
        await connection.line(status="Downloading", id="1")
        await connection.left()
        fake.images[IMAGE] = fake.registry[IMAGE]

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("pull", ends_nevertheless)
        task = ecs.submit("echo", image=IMAGE, credentials=ALICE)
        await eventually(lambda: task.progress_count)
        ecs.dispatcher.cancel(task)
        await eventually(lambda: IMAGE in fake.images)

        assert code(await ecs.run("echo", image=IMAGE)) == "image_access_denied"
        right = await ecs.run("echo", image=IMAGE, credentials=ALICE)
        assert right.outcome is Outcome.EXITED


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
        ecs.submit("echo", image=IMAGE, credentials=ALICE)
        await eventually(lambda: fake.count("pull"))
        if wrong_one_beside:
            assert (
                code(await ecs.run("echo", image=IMAGE, credentials=BOB)) == "image_access_denied"
            )
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
    fake.passwords[IMAGE] = ALICE
    await crash_amid_pull(fake, tmp_path, wrong_one_beside=wrong_one_beside)
    fake.images[IMAGE] = fake.registry[IMAGE]  # the engine had just ended it

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        assert code(await ecs.run("echo", image=IMAGE)) == "image_access_denied"
        right = await ecs.run("echo", image=IMAGE, credentials=ALICE)
        assert right.outcome is Outcome.EXITED


async def test_no_image_is_run_while_it_is_not_settled_whose_it_is(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.passwords[IMAGE] = ALICE
    await crash_amid_pull(fake, tmp_path, wrong_one_beside=False)
    fake.images[IMAGE] = fake.registry[IMAGE]

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("inspect_image", answers(500, {"message": "not now"}))
        assert code(await ecs.run("echo", image=IMAGE)) == "engine_error"
        assert code(await ecs.run("echo", image=IMAGE)) == "image_access_denied"


async def test_the_engine_that_vanishes_after_a_pull_makes_no_public_image(
    fake: FakeEngine, tmp_path: Path
) -> None:
    fake.passwords[IMAGE] = ALICE

    async def and_then_nothing_works(request: Request, connection: Connection) -> None:
        fake.always("inspect_image", answers(500, {"message": "restarting"}))
        await fake.play(request, connection)

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("pull", and_then_nothing_works)
        assert code(await ecs.run("echo", image=IMAGE, credentials=ALICE)) == "engine_error"
        fake.behave()
        assert IMAGE in fake.images

        assert code(await ecs.run("echo", image=IMAGE)) == "image_access_denied"
        right = await ecs.run("echo", image=IMAGE, credentials=ALICE)
        assert right.outcome is Outcome.EXITED


async def test_another_tag_of_a_repository_with_private_images_must_be_proved_too(
    fake: FakeEngine, tmp_path: Path
) -> None:
    # The same image, which the operator has put on the engine under another tag.
    fake.images[OTHER_TAG] = fake.registry[IMAGE]
    fake.passwords |= {IMAGE: ALICE, OTHER_TAG: ALICE}
    fake.registry[OTHER_TAG] = fake.registry[IMAGE]
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        await ecs.run("echo", image=IMAGE, credentials=ALICE)

        assert code(await ecs.run("echo", image=OTHER_TAG)) == "image_access_denied"
