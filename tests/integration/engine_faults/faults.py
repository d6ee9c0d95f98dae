"""What an engine can do wrong, and how a test sees what became of ECS and its tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import EcsError
from ecs.tasks.init_mount import InitMount
from ecs.tasks.model import Task, TaskResult
from ecs.tasks.states import Outcome, TaskState
from tests.fake_engine import (
    FakeEngine,
    Script,
    answers,
    closes,
    hangs,
    hangs_after_head,
    sends,
    streams,
)
from tests.harness import Ecs, result_of, running_ecs
from tests.waiting import eventually

UNREACHABLE, BROKEN = "engine_unreachable", "engine_error"
LONG = ("sleep", "3600")
INIT = InitMount("0123456789ab")
"""For ECS in the belief that the engine has the init."""
ENGINE_TIMEOUT_SECONDS = 1.0
"""For tests that wait for an engine that does not answer."""


class Fault(NamedTuple):
    """What is played, and the codes one of which must tell of it."""

    script: Script
    codes: set[str]


FAULTS = {
    "answers 500": Fault(answers(500, {"message": "it burns"}), {BROKEN}),
    "answers 500 without a word": Fault(answers(500), {BROKEN}),
    "answers 500 in HTML": Fault(
        sends(b"HTTP/1.1 500 Oh\r\nContent-Length: 13\r\n\r\n<html></html>"), {BROKEN}
    ),
    "answers garbage": Fault(sends(b"\x00\xff\xfe what is this\r\n\r\n"), {BROKEN}),
    "answers garbage in chunks": Fault(
        sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n"), {BROKEN}
    ),
    "answers garbage as gzip": Fault(
        sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone"),
        {BROKEN},
    ),
    "answers half a document": Fault(streams(b'{"Id": "x'), {BROKEN}),
    "answers another document": Fault(streams(b"[1, 2, 3]"), {BROKEN}),
    "closes within the headers": Fault(
        sends(b"HTTP/1.1 200 OK\r\nContent-Le"), {UNREACHABLE, BROKEN}
    ),
    "closes within a document": Fault(
        sends(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"Id": "x'), {BROKEN}
    ),
    "closes within a chunk": Fault(streams(b'{"Id": "x', ends=False), {BROKEN}),
    "closes at once": Fault(closes, {UNREACHABLE}),
    "never answers": Fault(hangs, {UNREACHABLE}),
    "never ends its answer": Fault(hangs_after_head, {UNREACHABLE}),
}


@asynccontextmanager
async def ecs_on(fake: FakeEngine, directory: Path, **settings: Any) -> AsyncIterator[Ecs]:
    """ECS on that engine; in the end nothing may be left."""
    async with running_ecs(directory, fake.docker_host, **settings) as ecs:
        yield ecs
        await nothing_is_left(ecs, fake)


async def nothing_is_left(ecs: Ecs, fake: FakeEngine) -> None:
    """Return when no container is there and every place is back."""
    await eventually(lambda: not fake.containers and ecs.is_idle())


async def turns_of_the_loop() -> None:
    """Let everything happen that is ready to."""
    for _ in range(100):
        await asyncio.sleep(0)


async def end_of(ecs: Ecs, *cmd: str, **fields: Any) -> tuple[Task, TaskResult, bytes]:
    """Run a task to its end; also what it wrote to stdout."""
    task = ecs.submit(*cmd, **fields)
    result = await result_of(task)
    stdout = (await task.output.excerpt(Stream.STDOUT)).head
    await ecs.dispatcher.release(task)
    return task, result, stdout


async def running_task(ecs: Ecs) -> Task:
    """A task that runs until somebody ends it."""
    task = ecs.submit(*LONG)
    await eventually(lambda: task.states[-1] is TaskState.RUNNING)
    return task


def code(result: TaskResult) -> str:
    """The code of the error that a task ended with."""
    assert isinstance(result.error, EcsError)
    return result.error.code


def engine_code(result: TaskResult) -> str:
    """The code of a task that the engine failed."""
    assert (result.state, result.outcome) == (TaskState.SYSTEM_ERROR, Outcome.ENGINE_ERROR)
    assert result.exit_code is None
    return code(result)
