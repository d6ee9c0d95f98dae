"""How a task ended is never guessed: neither its exit code, nor a kill, nor its cause."""

from pathlib import Path

import pytest

from ecs.tasks.states import Outcome
from tests.fake_engine import (
    Connection,
    FakeEngine,
    Request,
    Script,
    answers,
    hangs_after_head,
    streams,
)
from tests.harness import Ecs, result_of
from tests.integration.engine_faults.faults import (
    BROKEN,
    ENGINE_TIMEOUT_SECONDS,
    FAULTS,
    LONG,
    UNREACHABLE,
    ecs_on,
    engine_code,
    running_task,
)

pytestmark = pytest.mark.usefixtures("short_patience")


@pytest.mark.parametrize(
    ("script", "expected", "said"),
    [
        pytest.param(
            streams(b'{"StatusCode": 0, "Error": {"Message": "lost it"}}'),
            BROKEN,
            "lost it",
            id="error",
        ),
        pytest.param(streams(), UNREACHABLE, "without an exit code", id="empty"),
        pytest.param(streams(b'{"StatusCode": '), BROKEN, "not JSON", id="half"),
        pytest.param(streams(b'{"StatusCode": "0"}'), BROKEN, "StatusCode", id="text"),
        pytest.param(streams(b'{"Error": null}'), BROKEN, "StatusCode", id="no code"),
        pytest.param(streams(b'{"StatusCode": 0}', ends=False), BROKEN, "", id="cut"),
    ],
)
async def test_a_wait_without_an_exit_code_is_no_result(
    ecs: Ecs, fake: FakeEngine, script: Script, expected: str, said: str
) -> None:
    fake.next("wait", script)
    result = await ecs.run(*LONG)

    assert engine_code(result) == expected
    assert said in str(result.error)


async def test_a_task_whose_exit_is_never_told_ends_after_its_deadline(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.next("wait", hangs_after_head)
    result = await ecs.run("echo", timeout_seconds=0.2)

    assert engine_code(result) == UNREACHABLE


async def test_a_deadline_that_meets_the_exit_is_no_timeout(ecs: Ecs, fake: FakeEngine) -> None:
    async def too_late(request: Request, connection: Connection) -> None:
        (container,) = fake.containers.values()
        container.end(5)
        await fake.play(request, connection)  # 409: it is not running

    fake.always("kill", too_late)
    result = await ecs.run(*LONG, timeout_seconds=0.1)

    assert (result.outcome, result.exit_code) == (Outcome.EXITED, 5)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(404, UNREACHABLE, id="the container is gone"),
        pytest.param(409, UNREACHABLE, id="it does not run"),
        pytest.param(500, BROKEN, id="the engine fails"),
    ],
)
async def test_a_task_that_cannot_be_killed_and_does_not_end_is_lost(
    ecs: Ecs, fake: FakeEngine, status: int, expected: str
) -> None:
    fake.always("kill", answers(status, {"message": "no signals today"}))
    result = await ecs.run(*LONG, timeout_seconds=0.1)

    assert engine_code(result) == expected


async def test_a_task_that_ignores_sigterm_is_killed(fake: FakeEngine, tmp_path: Path) -> None:
    async with ecs_on(fake, tmp_path, stop_grace_seconds=0.1) as ecs:
        fake.next("kill", answers(204))
        result = await ecs.run(*LONG, timeout_seconds=0.1)

        assert (result.outcome, result.exit_code) == (Outcome.TIMED_OUT, 137)
        signals = [request.query["signal"] for request in fake.asked("kill")]
        assert signals == ["SIGTERM", "SIGKILL"]


@pytest.mark.parametrize(("oom_killed", "outcome"), [(True, "oom_killed"), (False, "exited")])
async def test_a_sigkill_from_within_is_out_of_memory_only_if_the_engine_says_so(
    ecs: Ecs, fake: FakeEngine, oom_killed: bool, outcome: str
) -> None:
    task = await running_task(ecs)
    (container,) = fake.containers.values()
    container.oom_killed = oom_killed
    container.end(137)
    result = await result_of(task)

    assert (result.outcome, result.exit_code) == (outcome, 137)


@pytest.mark.parametrize("fault", ["answers 500", "answers half a document", "never answers"])
async def test_a_sigkill_whose_cause_the_engine_does_not_tell_is_no_result(
    fake: FakeEngine, tmp_path: Path, fault: str
) -> None:
    script, expected = FAULTS[fault]
    async with ecs_on(fake, tmp_path, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS) as ecs:
        task = await running_task(ecs)
        fake.always("inspect", script)
        (container,) = fake.containers.values()
        container.end(137)

        assert engine_code(await result_of(task)) in expected
