"""Where the init could not say how its task ended, the engine's own word counts."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ecs.tasks import init_run
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
    frame,
)
from tests.harness import Ecs
from tests.integration.engine_faults.faults import INIT, LONG, ecs_on, end_of

Said = Callable[[Container], bytes]


@pytest.fixture
async def ecs(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ecs]:
    """ECS in the belief that the engine has the init."""
    monkeypatch.setattr(init_run, "_BACKSTOP_SECONDS", 0.1)
    monkeypatch.setattr(init_run, "KILL_PATIENCE_SECONDS", 0.5)
    async with ecs_on(fake, tmp_path, stop_grace_seconds=0.1) as ecs:
        ecs.init.mount = INIT
        yield ecs
        fake.behave()


def attaches(
    fake: FakeEngine, *, output: Script | None = None, stdin: Script | None = None
) -> None:
    """Play these at each attach to a container's output and to its stdin."""

    async def attach(request: Request, connection: Connection) -> None:
        script = stdin if request.query.get("stdin") else output
        await (script or fake.play)(request, connection)

    fake.always("attach", attach)


def says(fake: FakeEngine, said: Said, exit_code: int, *, oom_killed: bool = False) -> None:
    """Let each container's output end with this, and the container with that exit code."""

    async def output(request: Request, connection: Connection) -> None:
        container = fake.container(request.target)
        await connection.head(200, Content_Type=RAW_STREAM)
        await container.started.wait()
        await connection.send(frame(STDOUT, b"out\n") + said(container))
        container.oom_killed = oom_killed
        container.end(exit_code)

    attaches(fake, output=output)


async def test_the_init_runs_a_task_without_any_other_word_of_the_engine(
    ecs: Ecs, fake: FakeEngine
) -> None:
    _, result, stdout = await end_of(ecs, "echo", "hello", "world")

    assert (result.outcome, result.exit_code, stdout) == (Outcome.EXITED, 0, b"hello world\n")
    assert fake.count("wait") == fake.count("inspect") == 0


@pytest.mark.parametrize("status", [500, 504])
async def test_a_command_that_may_have_run_is_not_started_once_more(
    ecs: Ecs, fake: FakeEngine, status: int
) -> None:
    async def starts_and_fails(request: Request, connection: Connection) -> None:
        container = fake.container(request.target)
        container.status = "running"
        await connection.answer(status, {"message": "no word of the shim"})

    fake.next("start", starts_and_fails)

    _, result, _ = await end_of(ecs, "echo")

    assert result.outcome is Outcome.ENGINE_ERROR
    assert "may have run" in str(result.error)
    assert fake.count("start") == 1


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

    _, result, stdout = await end_of(ecs, *LONG)

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

    _, result, _ = await end_of(ecs, *LONG)

    assert (result.outcome, result.exit_code) == (outcome, exit_code)


async def test_an_init_that_failed_is_no_exit_of_the_task(ecs: Ecs, fake: FakeEngine) -> None:
    says(fake, nothing, exit_code=125)

    _, result, _ = await end_of(ecs, *LONG)

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

    _, result, _ = await end_of(ecs, *LONG)

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

    _, result, _ = await end_of(ecs, *LONG)

    assert result.outcome is outcome


async def test_what_comes_behind_the_trailers_is_no_output(ecs: Ecs, fake: FakeEngine) -> None:
    says(fake, lambda it: it.trailers() + frame(STDOUT, b"late") + frame(STDERR, b"late"), 0)

    _, _, stdout = await end_of(ecs, *LONG)

    assert stdout == b"out\n"


async def test_an_init_that_does_nothing_at_the_deadline_is_killed(
    ecs: Ecs, fake: FakeEngine
) -> None:
    _, result, _ = await end_of(ecs, *LONG, timeout_seconds=0.1)

    assert (result.outcome, result.exit_code) == (Outcome.TIMED_OUT, 137)
    assert [request.query["signal"] for request in fake.asked("kill")] == ["SIGKILL"]


async def test_a_trailer_that_crosses_with_the_kill_counts(ecs: Ecs, fake: FakeEngine) -> None:
    async def output(request: Request, connection: Connection) -> None:
        container = fake.container(request.target)
        await connection.head(200, Content_Type=RAW_STREAM)
        await container.ended.wait()
        await connection.send(container.trailers(wait_status=7 << 8))

    attaches(fake, output=output)

    _, result, _ = await end_of(ecs, *LONG, timeout_seconds=0.1)

    assert (result.outcome, result.exit_code) == (Outcome.EXITED, 7)


async def test_a_container_that_does_not_start_is_started_once_more_without_the_init(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.next("start", answers(400, {"message": "not a directory"}))

    _, result, stdout = await end_of(ecs, "echo", "hello")

    assert (result.outcome, stdout) == (Outcome.EXITED, b"hello\n")
    created = [request.body["HostConfig"] for request in fake.asked("create")]
    assert ["Mounts" in host_config for host_config in created] == [True, False]
    assert ecs.init._doubted.is_set()


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_one_that_never_starts_has_the_engines_second_word(
    ecs: Ecs, fake: FakeEngine, status: int
) -> None:
    fake.always("start", answers(status, {"message": "no such network"}))

    _, result, _ = await end_of(ecs, "echo", "hello")

    assert result.outcome is Outcome.ENGINE_ERROR
    assert str(result.error) == "no such network"
    assert fake.count("start") == 2


async def test_an_engine_that_vanishes_at_the_start_is_not_asked_again(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.always("start", closes)

    _, result, _ = await end_of(ecs, "echo", "hello")

    assert result.outcome is Outcome.ENGINE_ERROR
    assert fake.count("start") == 1


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answers(500, {"message": "no"}), id="500"),
        pytest.param(answers(200), id="no upgrade"),
        pytest.param(closes, id="closes"),
    ],
)
async def test_without_a_way_to_the_inits_stdin_nothing_is_started(
    ecs: Ecs, fake: FakeEngine, script: Script
) -> None:
    attaches(fake, stdin=script)

    _, result, _ = await end_of(ecs, "echo", "hello")

    assert result.outcome is Outcome.ENGINE_ERROR
    assert fake.count("start") == 0


async def test_too_much_output_is_still_too_much_if_the_trailer_comes_too(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async with ecs_on(fake, tmp_path, output_limit_bytes=1024) as ecs:
        ecs.init.mount = INIT
        says(fake, lambda it: frame(STDOUT, b"x" * 2000) + it.trailers(), 0)

        _, result, stdout = await end_of(ecs, *LONG)

        assert result.outcome is Outcome.OUTPUT_LIMIT
        assert len(stdout) == 1024
