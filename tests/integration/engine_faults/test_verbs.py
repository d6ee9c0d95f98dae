"""Whatever the engine does wrong, a task ends with its cause, and nothing stays behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import EcsError
from ecs.tasks import direct_run
from ecs.tasks.model import TaskResult
from ecs.tasks.states import Outcome, TaskState
from tests.fake_engine import (
    DAEMON_ERROR,
    RAW_STREAM,
    STDOUT,
    Connection,
    FakeEngine,
    Request,
    Script,
    answers,
    closes,
    fake_engine,
    frame,
    hangs,
    hangs_after_head,
    sends,
    streams,
)
from tests.harness import Ecs, result_of, running_ecs
from tests.waiting import eventually

ENGINE_TIMEOUT_SECONDS = 1.0
PATIENCE_SECONDS = 0.5
LONG = ("sleep", "3600")
UNREACHABLE, BROKEN = "engine_unreachable", "engine_error"

FAULTS: dict[str, tuple[Script, set[str]]] = {
    "answers 500": (answers(500, {"message": "it burns"}), {BROKEN}),
    "answers 500 without a word": (answers(500), {BROKEN}),
    "answers 500 in HTML": (
        sends(b"HTTP/1.1 500 Oh\r\nContent-Length: 13\r\n\r\n<html></html>"),
        {BROKEN},
    ),
    "answers garbage": (sends(b"\x00\xff\xfe what is this\r\n\r\n"), {BROKEN}),
    "answers garbage in chunks": (
        sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n"),
        {BROKEN},
    ),
    "answers garbage as gzip": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone"),
        {BROKEN},
    ),
    "answers half a document": (streams(b'{"Id": "x'), {BROKEN}),
    "answers another document": (streams(b"[1, 2, 3]"), {BROKEN}),
    "closes within the headers": (sends(b"HTTP/1.1 200 OK\r\nContent-Le"), {UNREACHABLE, BROKEN}),
    "closes within a document": (
        sends(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"Id": "x'),
        {BROKEN},
    ),
    "closes within a chunk": (streams(b'{"Id": "x', ends=False), {BROKEN}),
    "closes at once": (closes, {UNREACHABLE}),
    "never answers": (hangs, {UNREACHABLE}),
    "never ends its answer": (hangs_after_head, {UNREACHABLE}),
}
WHATEVER_THE_VERB = {"answers 500", "answers garbage", "closes at once", "never answers"}
DOCUMENTS = {"inspect_image", "create"}
"""The verbs whose answer is one document; others stream, or have nothing to say."""


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        yield engine


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_run, "_COLLECT_PATIENCE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(direct_run, "_KILL_PATIENCE_SECONDS", PATIENCE_SECONDS)


def code(result: TaskResult) -> str:
    """The code of a task that the engine failed."""
    assert (result.state, result.outcome) == (TaskState.SYSTEM_ERROR, Outcome.ENGINE_ERROR)
    assert result.exit_code is None
    assert isinstance(result.error, EcsError)
    return result.error.code


async def nothing_is_left(ecs: Ecs, fake: FakeEngine) -> None:
    await eventually(lambda: not fake.containers and ecs.is_idle())


def slowly(script: Script, condition: asyncio.Event) -> Script:
    """Play the script, but not before the condition."""

    async def slow(request: Request, connection: Connection) -> None:
        await condition.wait()
        await script(request, connection)

    return slow


async def turns_of_the_loop() -> None:
    """Let everything happen that is ready to."""
    for _ in range(100):
        await asyncio.sleep(0)


def attached(*pieces: bytes) -> Script:
    """Take the attach, send these pieces, and end it."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.head(200, Content_Type=RAW_STREAM)
        for piece in pieces:
            await connection.send(piece)

    return script


async def test_a_well_behaved_engine_runs_a_task(fake: FakeEngine, tmp_path: Path) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        task = ecs.submit("echo", "hello", "world")
        result = await result_of(task)

        assert (result.outcome, result.exit_code) == (Outcome.EXITED, 0)
        assert (await task.output.excerpt(Stream.STDOUT)).head == b"hello world\n"
        await nothing_is_left(ecs, fake)


@pytest.mark.parametrize("verb", ["inspect_image", "create", "attach", "wait", "start"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_verb_that_fails_fails_the_task(
    fake: FakeEngine, tmp_path: Path, verb: str, fault: str
) -> None:
    script, expected = FAULTS[fault]
    if fault not in WHATEVER_THE_VERB and verb not in DOCUMENTS:
        expected = {UNREACHABLE, BROKEN}
    async with running_ecs(
        tmp_path, fake.docker_host, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS
    ) as ecs:
        fake.always(verb, script)

        assert code(await ecs.run("echo", timeout_seconds=1.0)) in expected

        fake.behave()
        await nothing_is_left(ecs, fake)
        assert (await ecs.run("echo")).outcome is Outcome.EXITED


@pytest.mark.parametrize("verb", ["ping", "inspect_image", "create", "attach", "wait", "start"])
async def test_an_answer_nested_too_deep_is_no_bug_of_ecs(
    fake: FakeEngine, tmp_path: Path, verb: str
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.always(verb, streams(b"[" * 100_000))

        assert code(await ecs.run("echo", timeout_seconds=1.0)) in {UNREACHABLE, BROKEN}

        fake.behave()
        await nothing_is_left(ecs, fake)


async def test_an_error_that_comes_in_two_pieces_is_told_whole(
    fake: FakeEngine, tmp_path: Path
) -> None:
    taken = asyncio.Event()

    async def in_two_pieces(_: Request, connection: Connection) -> None:
        body = b'{"message": "no such thing"}'
        await connection.head(400, Content_Length=str(len(body)))
        await connection.send(body[:16])
        await taken.wait()
        await connection.send(body[16:])

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("create", in_two_pieces)
        task = ecs.submit("echo")
        await eventually(lambda: fake.count("create"))
        await turns_of_the_loop()
        taken.set()
        result = await result_of(task)

        assert str(result.error) == "no such thing"


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        pytest.param(frame(STDOUT, b"0123456789")[:-1], "within a frame", id="cut in a payload"),
        pytest.param(frame(STDOUT, b"x")[:5], "within a frame", id="cut in a header"),
        pytest.param(frame(7, b"x"), "not a frame header", id="unknown type"),
        pytest.param(b"\x01\x00\x01\x00\0\0\0\1x", "not a frame header", id="padding"),
        pytest.param(b"plain text, as a TTY's", "not a frame header", id="no frames"),
        pytest.param(frame(DAEMON_ERROR, b"disk gone"), "disk gone", id="error of the daemon"),
        pytest.param(
            frame(STDOUT, b"x") + frame(DAEMON_ERROR, b""), "without a message", id="empty error"
        ),
    ],
)
async def test_a_broken_stream_of_output_fails_the_task(
    fake: FakeEngine, tmp_path: Path, stream: bytes, said: str
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("attach", attached(frame(STDOUT, b"before\n"), stream))
        result = await ecs.run("echo")

        assert code(result) == BROKEN
        assert said in str(result.error)
        await nothing_is_left(ecs, fake)


async def test_frames_may_be_cut_anywhere(fake: FakeEngine, tmp_path: Path) -> None:
    stream = frame(STDOUT, b"one\n") + frame(STDOUT, b"") + frame(STDOUT, b"two\n")
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("attach", attached(*(stream[i : i + 1] for i in range(len(stream)))))
        task = ecs.submit("echo")
        await result_of(task)

        assert (await task.output.excerpt(Stream.STDOUT)).head == b"one\ntwo\n"


async def test_a_stream_of_output_that_never_ends_is_no_result(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async def never_ends(_: Request, connection: Connection) -> None:
        await connection.head(200, Content_Type=RAW_STREAM)
        await connection.send(frame(STDOUT, b"hello\n"))
        await connection.left()

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("attach", never_ends)
        result = await ecs.run("echo")

        assert code(result) == UNREACHABLE
        assert "output did not end" in str(result.error)
        await nothing_is_left(ecs, fake)


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
    fake: FakeEngine, tmp_path: Path, script: Script, expected: str, said: str
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("wait", script)
        result = await ecs.run(*LONG)

        assert code(result) == expected
        assert said in str(result.error)
        await nothing_is_left(ecs, fake)


async def test_a_task_whose_exit_is_never_told_ends_after_its_deadline(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("wait", hangs_after_head)
        result = await ecs.run("echo", timeout_seconds=0.2)

        assert code(result) == UNREACHABLE
        await nothing_is_left(ecs, fake)


async def test_the_engine_that_vanishes_midway_fails_the_task_and_may_come_back(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        task = ecs.submit(*LONG)
        await eventually(lambda: task.states[-1] is TaskState.RUNNING)
        await fake.stop()

        assert code(await result_of(task)) in {UNREACHABLE, BROKEN}
        assert fake.containers

        await fake.start()
        await nothing_is_left(ecs, fake)
        assert (await ecs.run("echo")).outcome is Outcome.EXITED


async def test_a_deadline_that_meets_the_exit_is_no_timeout(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async def too_late(request: Request, connection: Connection) -> None:
        (container,) = fake.containers.values()
        container.end(5)
        await fake.play(request, connection)  # 409: it is not running

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.always("kill", too_late)
        result = await ecs.run(*LONG, timeout_seconds=0.1)

        assert (result.outcome, result.exit_code) == (Outcome.EXITED, 5)
        await nothing_is_left(ecs, fake)


@pytest.mark.parametrize("status", [404, 409])
async def test_a_container_that_cannot_be_killed_and_does_not_end_is_lost(
    fake: FakeEngine, tmp_path: Path, status: int
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.always("kill", answers(status, {"message": "what container?"}))
        result = await ecs.run(*LONG, timeout_seconds=0.1)

        assert code(result) == UNREACHABLE
        await nothing_is_left(ecs, fake)


async def test_a_signal_that_fails_fails_the_task(fake: FakeEngine, tmp_path: Path) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.always("kill", answers(500, {"message": "no signals today"}))
        result = await ecs.run(*LONG, timeout_seconds=0.1)

        assert code(result) == BROKEN
        await nothing_is_left(ecs, fake)


async def test_a_task_that_ignores_sigterm_is_killed(fake: FakeEngine, tmp_path: Path) -> None:
    async with running_ecs(tmp_path, fake.docker_host, stop_grace_seconds=0.1) as ecs:
        fake.next("kill", answers(204))
        result = await ecs.run(*LONG, timeout_seconds=0.1)

        assert (result.outcome, result.exit_code) == (Outcome.TIMED_OUT, 137)
        signals = [request.query["signal"] for request in fake.requests if request.verb == "kill"]
        assert signals == ["SIGTERM", "SIGKILL"]
        await nothing_is_left(ecs, fake)


@pytest.mark.parametrize(("oom_killed", "outcome"), [(True, "oom_killed"), (False, "exited")])
async def test_a_sigkill_from_within_is_out_of_memory_only_if_the_engine_says_so(
    fake: FakeEngine, tmp_path: Path, oom_killed: bool, outcome: str
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        task = ecs.submit(*LONG)
        await eventually(lambda: task.states[-1] is TaskState.RUNNING)
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
    async with running_ecs(
        tmp_path, fake.docker_host, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS
    ) as ecs:
        task = ecs.submit(*LONG)
        await eventually(lambda: task.states[-1] is TaskState.RUNNING)
        fake.always("inspect", script)
        (container,) = fake.containers.values()
        container.end(137)

        assert code(await result_of(task)) in expected
        await nothing_is_left(ecs, fake)


async def test_a_start_that_fails_for_another_reason_is_not_the_commands_fault(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("start", answers(400, {"message": "no such network"}))
        result = await ecs.run("echo")

        assert code(result) == BROKEN
        assert str(result.error) == "no such network"
        await nothing_is_left(ecs, fake)


async def test_what_the_engine_refuses_to_create_is_told_in_its_words(
    fake: FakeEngine, tmp_path: Path
) -> None:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("create", answers(400, {"message": "no such runtime"}))
        result = await ecs.run("echo")

        assert code(result) == "engine_refused"
        assert str(result.error) == "no such runtime"
        assert fake.count("delete") == 0


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
    async with running_ecs(
        tmp_path, fake.docker_host, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS
    ) as ecs:
        fake.next("delete", *scripts)
        result = await ecs.run("echo")

        assert result.outcome is Outcome.EXITED
        await nothing_is_left(ecs, fake)
        assert fake.count("delete") > len(scripts)


@pytest.mark.parametrize("status", [409, 500])
async def test_a_deletion_that_somebody_else_did_is_done(
    fake: FakeEngine, tmp_path: Path, status: int
) -> None:
    async def by_another(_: Request, connection: Connection) -> None:
        fake.containers.clear()
        await connection.answer(status, {"message": "removal is already in progress"})

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("delete", by_another)
        await ecs.run("echo")

        await nothing_is_left(ecs, fake)
        assert fake.count("delete") == 2  # the second was told 404


async def test_the_sweep_finds_what_the_reaper_gave_up(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecs.tasks.reaper._ATTEMPTS", 2)
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
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
    async with running_ecs(
        tmp_path, fake.docker_host, engine_timeout_seconds=ENGINE_TIMEOUT_SECONDS
    ) as ecs:
        fake.next("create", slowly(fake.play, late))
        assert code(await ecs.run("echo")) == UNREACHABLE
        await eventually(ecs.is_idle)
        late.set()
        await eventually(lambda: fake.containers)

        await ecs.sweep.sweep()

        await nothing_is_left(ecs, fake)


async def test_a_creation_is_seen_to_its_end_however_often_the_task_is_canceled(
    fake: FakeEngine, tmp_path: Path
) -> None:
    created = asyncio.Event()
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("create", slowly(fake.play, created))
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


async def test_a_canceled_task_whose_creation_fails_is_canceled(
    fake: FakeEngine, tmp_path: Path
) -> None:
    failing = asyncio.Event()
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.next("create", slowly(answers(500, {"message": "no"}), failing))
        task = ecs.submit("echo")
        await eventually(lambda: fake.count("create"))
        ecs.dispatcher.cancel(task)
        failing.set()

        assert (await result_of(task)).outcome is Outcome.CANCELED
        await nothing_is_left(ecs, fake)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        pytest.param({"Api_Version": "1.40"}, "1.41 or newer", id="too old"),
        pytest.param({"Api_Version": "0.99"}, "1.41 or newer", id="much too old"),
        pytest.param({}, "no Docker API version", id="none"),
        pytest.param({"Api_Version": "new"}, "no Docker API version", id="a word"),
        pytest.param({"Api_Version": "1"}, "no Docker API version", id="half"),
    ],
)
async def test_an_engine_of_no_known_version_is_not_spoken_to(
    fake: FakeEngine, tmp_path: Path, headers: dict[str, str], said: str
) -> None:
    async def ping(_: Request, connection: Connection) -> None:
        await connection.answer(200, **headers)

    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        fake.always("ping", ping)
        result = await ecs.run("echo")

        assert code(result) == BROKEN
        assert said in str(result.error)
        assert {request.verb for request in fake.requests} == {"ping"}


@pytest.mark.parametrize(
    ("theirs", "spoken"), [("1.41", "1.41"), ("1.47", "1.47"), ("1.99", "1.51"), ("2.0", "1.51")]
)
async def test_the_lower_of_both_versions_is_spoken(
    fake: FakeEngine, tmp_path: Path, theirs: str, spoken: str
) -> None:
    fake.api_version = theirs
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        assert (await ecs.run("echo")).outcome is Outcome.EXITED
        assert {request.version for request in fake.requests if request.verb != "ping"} == {spoken}


@pytest.mark.parametrize(("before", "after"), [("1.51", "1.41"), ("1.41", "1.51")])
async def test_an_engine_that_comes_back_as_another_version_is_understood(
    fake: FakeEngine, tmp_path: Path, before: str, after: str
) -> None:
    fake.api_version = before
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        assert (await ecs.run("echo")).outcome is Outcome.EXITED
        await nothing_is_left(ecs, fake)
        await fake.stop()  # and nobody asks anything of it meanwhile
        fake.api_version = after
        await fake.start()

        # One request may fail to find out.
        await ecs.run("echo")
        assert (await ecs.run("echo")).outcome is Outcome.EXITED
