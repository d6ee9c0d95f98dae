"""What all forms of an answer share, and the default one: the final result as JSON."""

import asyncio
import json
from collections.abc import Awaitable

from tornado.iostream import StreamClosedError

from ecs.errors import DrainingError, EcsError
from ecs.request_handlers.base import EcsRequestHandler
from ecs.request_handlers.task_result import result_document, server_timing
from ecs.tasks.model import Task, TaskResult
from ecs.tasks.states import TaskState

_CREATED = 201
_WRITE_CHUNK_BYTES = 64 * 1024


class AnswerCutError(Exception):
    """The answer ends here: nobody takes it, or what was begun cannot be made whole."""


async def send_result(handler: EcsRequestHandler, task: Task) -> None:
    """Wait for the end of the task and answer 201 with its result.

    Raises:
        EcsError: there is no result; the caller is told why.
        AnswerCutError: nobody is there to be answered.
    """
    result = await task.ended()
    raise_without_result(handler, result)
    body = json.dumps(await result_document(task, result)).encode()
    handler.set_status(_CREATED)
    handler.set_header("Content-Type", "application/json")
    handler.set_header("Content-Length", str(len(body)))
    handler.set_header("Server-Timing", server_timing(result))
    for start in range(0, len(body), _WRITE_CHUNK_BYTES):
        await write(handler, body[start : start + _WRITE_CHUNK_BYTES])
    await taken(handler, handler.finish())


def raise_without_result(handler: EcsRequestHandler, result: TaskResult) -> None:
    """Raise what a waiting caller is told when the task has no result.

    Raises:
        EcsError: why there is none.
        AnswerCutError: because the client went away.
    """
    if result.state is TaskState.CANCELED:
        if handler.services.dispatcher.draining:
            raise DrainingError(
                "the service stopped before the task ended; send it again", retry_after_seconds=1
            )
        raise AnswerCutError
    if result.state is TaskState.SYSTEM_ERROR:
        raise result.error or EcsError("the task failed and nobody noted why")


async def write(handler: EcsRequestHandler, data: bytes) -> None:
    """Write, and wait until the client's side has taken it.

    Raises:
        AnswerCutError: it has gone, or takes nothing.
    """
    handler.write(data)
    await taken(handler, handler.flush())


async def taken(handler: EcsRequestHandler, writing: Awaitable[None]) -> None:
    """Await a write, for ``client_stall_seconds`` at most.

    Raises:
        AnswerCutError: the client has gone, or takes nothing.
    """
    try:
        async with asyncio.timeout(handler.services.settings.client_stall_seconds):
            await writing
    except (StreamClosedError, TimeoutError) as error:
        raise AnswerCutError from error
