"""Whatever verb the engine fails, the task ends with its cause, and nothing stays behind."""

import asyncio
from pathlib import Path

import pytest

from ecs.tasks.states import Outcome
from tests.fake_engine import Connection, FakeEngine, Request, answers, streams
from tests.harness import Ecs, result_of
from tests.integration.engine_faults.faults import (
    BROKEN,
    ENGINE_TIMEOUT_SECONDS,
    FAULTS,
    UNREACHABLE,
    ecs_on,
    end_of,
    engine_code,
    nothing_is_left,
    running_task,
    turns_of_the_loop,
)
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("short_patience")

WHATEVER_THE_VERB = {"answers 500", "answers garbage", "closes at once", "never answers"}
DOCUMENTS = {"inspect_image", "create"}
"""The verbs whose answer is one document; others stream, or have nothing to say."""


async def test_a_well_behaved_engine_runs_a_task(ecs: Ecs, fake: FakeEngine) -> None:
    _, result, stdout = await end_of(ecs, "echo", "hello", "world")

    assert (result.outcome, result.exit_code, stdout) == (Outcome.EXITED, 0, b"hello world\n")


@pytest.mark.parametrize("verb", ["inspect_image", "create", "attach", "wait", "start"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_verb_that_fails_fails_the_task(
    fake: FakeEngine, tmp_path: Path, verb: str, fault: str
) -> None:
    script, expected = FAULTS[fault]
    if fault not in WHATEVER_THE_VERB and verb not in DOCUMENTS:
        expected = {UNREACHABLE, BROKEN}
    async with ecs_on(fake, tmp_path, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS) as ecs:
        fake.always(verb, script)

        assert engine_code(await ecs.run("echo", timeout_seconds=1.0)) in expected

        fake.behave()
        await nothing_is_left(ecs, fake)
        assert (await ecs.run("echo")).outcome is Outcome.EXITED


@pytest.mark.parametrize("verb", ["ping", "inspect_image", "create", "attach", "wait", "start"])
async def test_an_answer_nested_too_deep_is_no_bug_of_ecs(
    ecs: Ecs, fake: FakeEngine, verb: str
) -> None:
    fake.always(verb, streams(b"[" * 100_000))

    assert engine_code(await ecs.run("echo", timeout_seconds=1.0)) in {UNREACHABLE, BROKEN}

    fake.behave()
    await nothing_is_left(ecs, fake)


async def test_an_error_that_comes_in_two_pieces_is_told_whole(ecs: Ecs, fake: FakeEngine) -> None:
    taken = asyncio.Event()

    async def in_two_pieces(_: Request, connection: Connection) -> None:
        body = b'{"message": "no such thing"}'
        await connection.head(400, Content_Length=str(len(body)))
        await connection.send(body[:16])
        await taken.wait()
        await connection.send(body[16:])

    fake.next("create", in_two_pieces)
    task = ecs.submit("echo")
    await eventually(lambda: fake.count("create"))
    await turns_of_the_loop()
    taken.set()
    result = await result_of(task)

    assert str(result.error) == "no such thing"


async def test_a_start_that_fails_for_another_reason_is_not_the_commands_fault(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.next("start", answers(400, {"message": "no such network"}))
    result = await ecs.run("echo")

    assert engine_code(result) == BROKEN
    assert str(result.error) == "no such network"


async def test_what_the_engine_refuses_to_create_is_told_in_its_words(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.next("create", answers(400, {"message": "no such runtime"}))
    result = await ecs.run("echo")

    assert engine_code(result) == "engine_refused"
    assert str(result.error) == "no such runtime"
    assert fake.count("delete") == 0


async def test_the_engine_that_vanishes_midway_fails_the_task_and_may_come_back(
    ecs: Ecs, fake: FakeEngine
) -> None:
    task = await running_task(ecs)
    await fake.stop()

    assert engine_code(await result_of(task)) in {UNREACHABLE, BROKEN}
    assert fake.containers

    await fake.start()
    await nothing_is_left(ecs, fake)
    assert (await ecs.run("echo")).outcome is Outcome.EXITED
