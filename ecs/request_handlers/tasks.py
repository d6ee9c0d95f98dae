"""``POST /v1.1/tasks``: take a task in and answer in the form the caller wants."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping

import tornado.web
from tornado.http1connection import HTTP1Connection

from ecs.errors import (
    RequestNotAllowedError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from ecs.request_handlers.base import EcsRequestHandler
from ecs.request_handlers.event_stream import send_events
from ecs.request_handlers.negotiation import best_match
from ecs.request_handlers.plain_text import send_stdout
from ecs.request_handlers.representation import AnswerCutError, send_result
from ecs.request_handlers.task_request import parse_task_request
from ecs.tasks.model import Task

_CLIENT_CLOSED_REQUEST = 499
"""nginx's own status for it; seen in the log alone."""
_DISCARDED_BYTES = 128 * 1024 * 1024
"""A body that is too large is read up to here and thrown away: a client whose connection is closed
while it still writes sees a reset instead of the answer."""
_REPRESENTATIONS: Mapping[str, Callable[[EcsRequestHandler, Task], Awaitable[None]]] = {
    "application/json": send_result,
    "text/event-stream": send_events,
    "text/plain": send_stdout,
}


@tornado.web.stream_request_body
class TasksRequestHandler(EcsRequestHandler):
    """Runs a task."""

    _task: Task | None = None

    def prepare(self) -> None:
        """Refuse a body that is said to be too large before it is sent."""
        self.span = self.services.telemetry.tracing.request(
            self.request.method or "", self.route, self.request.headers
        )
        self._body = bytearray()
        self._received_bytes = 0
        assert isinstance(self.request.connection, HTTP1Connection)
        # What is over the limit is refused here, and in words.
        self.request.connection.set_max_body_size(2 * _DISCARDED_BYTES)
        length = self.request.headers.get("Content-Length", "0")
        # What is no number, Tornado refuses when it begins to read the body.
        said_bytes = int(length[:20]) if length.isdecimal() else 0
        waits_for_leave = "Expect" in self.request.headers
        if said_bytes > (self._limit_bytes if waits_for_leave else _DISCARDED_BYTES):
            self.set_header("Connection", "close")
            raise self._too_large()

    def data_received(self, chunk: bytes) -> None:
        """Keep the body, up to the limit; a chunked one does not say its length beforehand."""
        self._received_bytes += len(chunk)
        if self._received_bytes <= self._limit_bytes:
            self._body += chunk
        elif self._received_bytes > _DISCARDED_BYTES and not self._finished:
            self.set_header("Connection", "close")
            self.write_problem(self._too_large())

    async def post(self) -> None:
        """Answer 201 with the result, or 200 with a stream of events or of stdout."""
        if self._received_bytes > self._limit_bytes:
            raise self._too_large()
        accept = self.request.headers.get("Accept", "")
        send = _REPRESENTATIONS[best_match(accept, tuple(_REPRESENTATIONS))]
        self._check_content_type()
        owner = self._owner()
        request = parse_task_request(bytes(self._body), self.services.rules)
        self._body.clear()
        task = self.services.dispatcher.submit(
            request,
            owner=owner,
            request_id=self.request_id,
            trace=self.span.trace if self.span else None,
        )
        self._task = task
        self.task_id = task.id
        with self.services.answers.one():
            try:
                await send(self, task)
            except AnswerCutError:
                self._cut_off()
            finally:
                # Nobody else can fetch this answer.
                await self.services.dispatcher.release(task)

    def _cut_off(self) -> None:
        if not self._finished:
            self.set_status(_CLIENT_CLOSED_REQUEST, "Client Closed Request")
            self.detach().close()
            self.application.log_request(self)

    def on_connection_close(self) -> None:
        """Cancel the task of a client that goes away."""
        if self._task is not None:
            self.services.dispatcher.cancel(self._task)

    @property
    def _limit_bytes(self) -> int:
        return self.services.settings.max_request_bytes

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(f"the body may have {self._limit_bytes} bytes at most")

    def _check_content_type(self) -> None:
        content_type = self.request.headers.get("Content-Type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaTypeError("send the body as Content-Type: application/json")

    def _owner(self) -> str:
        """Return who is served in turn with others.

        Raises:
            RequestNotAllowedError: the caller comes past the trusted proxies.
        """
        caller = self.caller
        is_local = ipaddress.ip_address(caller.address).is_loopback
        if not (
            caller.comes_through_proxy or is_local or self.services.settings.allow_unauthenticated
        ):
            raise RequestNotAllowedError("tasks are taken through this service's proxy only")
        return caller.owner
