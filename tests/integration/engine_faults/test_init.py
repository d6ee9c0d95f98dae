"""Where the init could not say how its task ended, the engine's own word counts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks import init_run
from ecs.tasks.init_mount import InitMount
from ecs.tasks.model import Task, TaskResult
from ecs.tasks.states import Outcome, TaskState
from tests.fake_engine import (
    RAW_STREAM,
    STDERR,
    STDOUT,
    Connection,
    Container,
    FakeEngine,
    Request,
    Script,
    answers,
    closes,
    fake_engine,
    frame,
)
from tests.harness import Ecs, result_of, running_ecs
from tests.waiting import eventually

LONG = ("sleep", "3600")
Said = Callable[[Container], bytes]


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        yield engine


@pytest.fixture
async def ecs(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ecs]:
    """ECS in the belief that the engine has the init."""
    monkeypatch.setattr(init_run, "_BACKSTOP_SECONDS", 0.1)
    monkeypatch.setattr(init_run, "_KILL_PATIENCE_SECONDS", 0.5)
    async with running_ecs(tmp_path, fake.docker_host, stop_grace_seconds=0.1) as ecs:
        ecs.init.mount = InitMount("0123456789ab")
        yield ecs
        fake.behave()
        await eventually(lambda: not fake.containers and ecs.is_idle())


def says(fake: FakeEngine, said: Said, exit_code: int, *, oom_killed: bool = False) -> None:
    """Let the next container's output end with this, and the container with that exit code."""

    async def attach(request: Request, connection: Connection) -> None:
        if request.query.get("stdin"):
            await fake.play(request, connection)
            return
        container = await found(fake, request)
        await connection.head(200, Content_Type=RAW_STREAM)
        await container.started.wait()
        await connection.send(frame(STDOUT, b"out\n") + said(container))
        container.oom_killed = oom_killed
        container.end(exit_code)

    fake.always("attach", attach)


async def found(fake: FakeEngine, request: Request) -> Container:
    return next(
        container
        for container in fake.containers.values()
        if request.target in (container.name, container.container_id)
    )


async def end_of(ecs: Ecs, *cmd: str, **fields: object) -> tuple[TaskResult, bytes]:
    """A task's result and its stdout."""
    task: Task = ecs.submit(*cmd, **fields)
    result = await result_of(task)
    stdout = (await task.output.excerpt(Stream.STDOUT)).head
    await ecs.dispatcher.release(task)
    return result, stdout


async def test_the_init_runs_a_task_without_any_other_word_of_the_engine(
    ecs: Ecs, fake: FakeEngine
) -> None:
    result, stdout = await end_of(ecs, "echo", "hello", "world")

    assert (result.outcome, result.exit_code, stdout) == (Outcome.EXITED, 0, b"hello world\n")
    assert fake.count("wait") == fake.count("inspect") == 0


def nothing(_: Container) -> bytes:
    return b""


def on_one_stream(container: Container) -> bytes:
    return container.trailers()[: len(container.trailers()) // 2]


def that_differ(container: Container) -> bytes:
    one, other = container.trailers(), container.trailers(wait_status=256)
    return one[: len(one) // 2] + other[len(other) // 2 :]


@pytest.mark.parametrize("said", [nothing, on_one_stream, that_differ])
async def test_without_two_equal_trailers_the_engine_is_asked(
    ecs: Ecs, fake: FakeEngine, said: Said
) -> None:
    says(fake, said, exit_code=3)

    result, stdout = await end_of(ecs, *LONG)

    assert (result.outcome, result.exit_code, stdout) == (Outcome.EXITED, 3, b"out\n")


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "outcome"),
    [
        (137, False, Outcome.EXITED),
        (137, True, Outcome.OOM_KILLED),
        (1, True, Outcome.EXITED),
    ],
)
async def test_of_an_init_that_was_killed_the_engine_says_why(
    ecs: Ecs, fake: FakeEngine, exit_code: int, oom_killed: bool, outcome: Outcome
) -> None:
    says(fake, nothing, exit_code, oom_killed=oom_killed)

    result, _ = await end_of(ecs, *LONG)

    assert (result.outcome, result.exit_code) == (outcome, exit_code)


async def test_an_init_that_failed_is_no_exit_of_the_task(ecs: Ecs, fake: FakeEngine) -> None:
    says(fake, nothing, exit_code=125)

    result, _ = await end_of(ecs, *LONG)

    assert (result.state, result.outcome) == (TaskState.SYSTEM_ERROR, Outcome.ENGINE_ERROR)
    assert "init" in str(result.error)


@pytest.mark.parametrize("oom_killed", [False, True])
async def test_where_the_kernel_counts_no_kills_the_engine_is_asked_for_them(
    ecs: Ecs, fake: FakeEngine, oom_killed: bool
) -> None:
    says(
        fake,
        lambda container: container.trailers(flags=0, wait_status=9),
        137,
        oom_killed=oom_killed,
    )

    result, _ = await end_of(ecs, *LONG)

    assert result.outcome is (Outcome.OOM_KILLED if oom_killed else Outcome.EXITED)


@pytest.mark.parametrize(
    ("wait_status", "oom_kills", "outcome"),
    [
        (9, 1, Outcome.OOM_KILLED),
        (9, 0, Outcome.EXITED),
        (137 << 8, 1, Outcome.EXITED),  # a shell that tells of its child
        (15, 1, Outcome.EXITED),
    ],
)
async def test_out_of_memory_is_a_kill_of_the_command_itself_and_counted(
    ecs: Ecs, fake: FakeEngine, wait_status: int, oom_kills: int, outcome: Outcome
) -> None:
    says(fake, lambda it: it.trailers(wait_status=wait_status, oom_kills=oom_kills), 0)

    result, _ = await end_of(ecs, *LONG)

    assert result.outcome is outcome


async def test_what_comes_behind_the_trailers_is_no_output(ecs: Ecs, fake: FakeEngine) -> None:
    says(fake, lambda it: it.trailers() + frame(STDOUT, b"late") + frame(STDERR, b"late"), 0)

    _, stdout = await end_of(ecs, *LONG)

    assert stdout == b"out\n"


async def test_an_init_that_does_nothing_at_the_deadline_is_killed(
    ecs: Ecs, fake: FakeEngine
) -> None:
    result, _ = await end_of(ecs, *LONG, timeout_seconds=0.1)

    assert (result.outcome, result.exit_code) == (Outcome.TIMED_OUT, 137)
    assert [request.query["signal"] for request in fake.requests if request.verb == "kill"] == [
        "SIGKILL"
    ]


async def test_a_trailer_that_crosses_with_the_kill_counts(ecs: Ecs, fake: FakeEngine) -> None:
    async def attach(request: Request, connection: Connection) -> None:
        if request.query.get("stdin"):
            await fake.play(request, connection)
            return
        container = await found(fake, request)
        await connection.head(200, Content_Type=RAW_STREAM)
        await container.ended.wait()
        await connection.send(container.trailers(wait_status=7 << 8))

    fake.always("attach", attach)

    result, _ = await end_of(ecs, *LONG, timeout_seconds=0.1)

    assert (result.outcome, result.exit_code) == (Outcome.EXITED, 7)


async def test_a_container_that_does_not_start_is_started_once_more_without_the_init(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.next("start", answers(400, {"message": "not a directory"}))

    result, stdout = await end_of(ecs, "echo", "hello")

    assert (result.outcome, stdout) == (Outcome.EXITED, b"hello\n")
    bodies = [request.body for request in fake.requests if request.verb == "create"]
    assert ["Mounts" in body["HostConfig"] for body in bodies] == [True, False]
    assert ecs.init._doubted.is_set()


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_one_that_never_starts_has_the_engines_second_word(
    ecs: Ecs, fake: FakeEngine, status: int
) -> None:
    fake.always("start", answers(status, {"message": "no such network"}))

    result, _ = await end_of(ecs, "echo", "hello")

    assert result.outcome is Outcome.ENGINE_ERROR
    assert str(result.error) == "no such network"
    assert fake.count("start") == 2


async def test_an_engine_that_vanishes_at_the_start_is_not_asked_again(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.always("start", closes)

    result, _ = await end_of(ecs, "echo", "hello")

    assert result.outcome is Outcome.ENGINE_ERROR
    assert fake.count("start") == 1


@pytest.mark.parametrize("script", [answers(500, {"message": "no"}), answers(200), closes])
async def test_without_a_way_to_the_inits_stdin_nothing_is_started(
    ecs: Ecs, fake: FakeEngine, script: Script
) -> None:
    async def attach(request: Request, connection: Connection) -> None:
        play: Callable[[Request, Connection], Awaitable[None]] = (
            script if request.query.get("stdin") else fake.play
        )
        await play(request, connection)

    fake.always("attach", attach)

    result, _ = await end_of(ecs, "echo", "hello")

    assert result.outcome is Outcome.ENGINE_ERROR
    assert fake.count("start") == 0


async def test_too_much_output_is_still_too_much_if_the_trailer_comes_too(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async with running_ecs(tmp_path, fake.docker_host, output_limit_bytes=1024) as ecs:
        ecs.init.mount = InitMount("0123456789ab")
        says(fake, lambda it: frame(STDOUT, b"x" * 2000) + it.trailers(), 0)

        result, stdout = await end_of(ecs, *LONG)

        assert result.outcome is Outcome.OUTPUT_LIMIT
        assert len(stdout) == 1024
        await eventually(lambda: not fake.containers and ecs.is_idle())
