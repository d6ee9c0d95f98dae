"""``Accept: text/plain``: stdout's bytes as they are written, and the exit code behind them.

Tornado has no trailers. So it writes the headers here, and the chunks (RFC 9112, section 7.1) are
written to the connection that it then hands over; such a connection is not used again.
"""

from tornado.iostream import IOStream

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import OutputSpoolError
from ecs.request_handlers.base import EcsRequestHandler
from ecs.request_handlers.representation import AnswerCutError, raise_without_result, taken
from ecs.request_handlers.task_result import server_timing
from ecs.tasks.follow import OutputPiece, follow
from ecs.tasks.model import Task
from ecs.tasks.states import TaskState

_TRAILERS = ("ECS-Exit-Code", "ECS-Outcome")


async def send_stdout(handler: EcsRequestHandler, task: Task) -> None:
    """Answer 200 with stdout; exit code and outcome are trailers, and headers if known in time.

    An answer without its last chunk is not whole: the task has no result.

    Raises:
        EcsError: there is no result, and nothing was sent yet.
        AnswerCutError: the client went away.
    """
    answer: _ChunkedAnswer | None = None
    idle_seconds = handler.services.settings.keep_alive_seconds
    try:
        async for event in follow(task, idle_seconds=idle_seconds):
            if isinstance(event, OutputPiece) and event.stream is Stream.STDOUT:
                if answer is None:
                    answer = await _ChunkedAnswer.begin(handler, task)
                await answer.write(event.data)
        result = await task.ended()
        if answer is None:
            raise_without_result(handler, result)
            answer = await _ChunkedAnswer.begin(handler, task)
        if result.state not in (TaskState.SYSTEM_ERROR, TaskState.CANCELED):
            await answer.end(_ending(task))
    except OutputSpoolError as error:
        if answer is None:
            raise
        raise AnswerCutError from error
    finally:
        if answer is not None:
            answer.close()


class _ChunkedAnswer:
    """An answer whose headers are sent."""

    def __init__(self, handler: EcsRequestHandler, connection: IOStream) -> None:
        self._handler = handler
        self._connection = connection
        self._chunked = handler.request.version == "HTTP/1.1"

    @classmethod
    async def begin(cls, handler: EcsRequestHandler, task: Task) -> "_ChunkedAnswer":
        """Send the headers and take the connection over."""
        handler.set_header("Content-Type", "text/plain")
        handler.set_header("Cache-Control", "no-store")
        handler.set_header("X-Content-Type-Options", "nosniff")
        handler.set_header("X-Accel-Buffering", "no")
        handler.set_header("Connection", "close")
        handler.set_header("Trailer", ", ".join(_TRAILERS))
        handler.set_header("ECS-Task-Id", task.id)
        if task.result is not None:
            handler.set_header("Server-Timing", server_timing(task.result))
            for name, value in _ending(task).items():
                handler.set_header(name, value)
        await taken(handler, handler.flush())
        connection = handler.detach()
        connection.set_close_callback(handler.on_connection_close)
        return cls(handler, connection)

    async def write(self, data: bytes) -> None:
        """Send some of the body, and wait until the client's side has taken it."""
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        await taken(self._handler, self._connection.write(framed))

    async def end(self, trailers: dict[str, str]) -> None:
        """State that the body is whole."""
        if self._chunked:
            lines = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
            last_chunk = f"0\r\n{lines}\r\n".encode("ascii")
            await taken(self._handler, self._connection.write(last_chunk))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._handler.application.log_request(self._handler)


def _ending(task: Task) -> dict[str, str]:
    assert task.result is not None
    return dict(zip(_TRAILERS, (str(task.result.exit_code), task.result.outcome), strict=True))
