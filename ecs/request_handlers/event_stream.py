"""``Accept: text/event-stream``: a task's events as they happen (WHATWG HTML, section 9.2)."""

import base64
import json
from typing import Any

from ecs.docker_remote_api.images import PullProgress
from ecs.errors import OutputSpoolError
from ecs.request_handlers.base import EcsRequestHandler
from ecs.request_handlers.problems import problem
from ecs.request_handlers.representation import AnswerCutError, taken, write
from ecs.request_handlers.task_result import summary
from ecs.tasks.follow import Event, OutputPiece, follow
from ecs.tasks.model import Task
from ecs.tasks.states import TaskState

_KEEP_ALIVE = b": keep-alive\n\n"


async def send_events(handler: EcsRequestHandler, task: Task) -> None:
    """Answer 200 and stream ``state``, ``progress``, ``stdout``, ``stderr``, at last ``result``.

    Raises:
        AnswerCutError: the client went away, or the output cannot be read.
    """
    handler.set_header("Content-Type", "text/event-stream")
    handler.set_header("Cache-Control", "no-store")
    handler.set_header("X-Accel-Buffering", "no")
    number = 0
    idle_seconds = handler.services.settings.keep_alive_seconds
    try:
        async for event in follow(task, idle_seconds=idle_seconds):
            if event is None:
                await write(handler, _KEEP_ALIVE)
                continue
            number += 1
            await write(handler, _encode(number, *_named(task, event)))
    except OutputSpoolError as error:
        raise AnswerCutError from error
    await write(handler, _encode(number + 1, "result", _result(task, handler.request_id)))
    await taken(handler, handler.finish())


def _encode(number: int, name: str, document: dict[str, Any]) -> bytes:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(document)}\n\n".encode()


def _named(task: Task, event: Event) -> tuple[str, dict[str, Any]]:
    match event:
        case TaskState():
            return "state", {"id": task.id, "state": event}
        case OutputPiece():
            return event.stream, {"data": base64.b64encode(event.data).decode("ascii")}
        case PullProgress():
            return "progress", {
                "layer": event.layer,
                "status": event.status,
                "current_bytes": event.current_bytes,
                "total_bytes": event.total_bytes,
            }
    raise AssertionError(event)


def _result(task: Task, request_id: str) -> dict[str, Any]:
    assert task.result is not None
    document = {"exitCode": task.result.exit_code, **summary(task, task.result)}
    if task.result.state is TaskState.SYSTEM_ERROR and task.result.error is not None:
        document["problem"] = problem(task.result.error, request_id)
    return document
