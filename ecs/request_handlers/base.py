"""What every request handler shares: request id, problems, headers."""

import http
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
import tornado.escape
import tornado.web

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.errors import AdmissionError, EcsError
from ecs.request_handlers.caller import Caller, caller_of
from ecs.request_handlers.problems import PROBLEM_CONTENT_TYPE, problem, problem_document
from ecs.request_handlers.task_request import RequestRules
from ecs.settings import Settings
from ecs.tasks.changes import ChangeSignal
from ecs.tasks.dispatcher import TaskDispatcher
from ecs.telemetry.telemetry import Telemetry
from ecs.telemetry.tracing import RequestSpan

_log = structlog.get_logger()

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_INTERNAL_SERVER_ERROR = 500


class OpenAnswers:
    """The answers to tasks that are not yet wholly sent."""

    def __init__(self) -> None:
        self.count = 0
        self._changes = ChangeSignal()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one answer while the context is open."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            self._changes.notify()

    async def all_sent(self) -> None:
        """Return when there is none."""
        while self.count:
            await self._changes.wait(self._changes.count)


@dataclass
class Services:
    """What the handlers work with; made by ``main``."""

    settings: Settings
    api: DockerRemoteApi
    dispatcher: TaskDispatcher
    rules: RequestRules
    telemetry: Telemetry = field(default_factory=Telemetry)
    answers: OpenAnswers = field(default_factory=OpenAnswers)
    engine_met: bool = False
    """Whether the engine has told its size; until then the service is not ready."""


class EcsRequestHandler(tornado.web.RequestHandler):
    """Base of all handlers."""

    services: Services
    caller: Caller
    request_id: str
    route: str
    task_id: str | None = None
    span: RequestSpan | None = None

    def initialize(self, services: Services, route: str) -> None:
        """Take what the handler works with, and the caller's or nginx's request id, or make one."""
        self.services = services
        self.route = route
        self.caller = caller_of(self.request, services.settings)
        self.request.protocol = self.caller.protocol
        given = self.request.headers.get(REQUEST_ID_HEADER, "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        self.set_header(REQUEST_ID_HEADER, self.request_id)

    def set_default_headers(self) -> None:
        """Name the service, without a version."""
        self.set_header("Server", "ecs")

    def compute_etag(self) -> None:
        """Spare the hash: no answer here is worth a cache."""

    def write_json(self, document: dict[str, Any]) -> None:
        """Answer with ``document``, and a link to itself."""
        self.write({**document, "links": {"self": {"href": self.request.full_url()}}})

    def write_problem(self, error: EcsError) -> None:
        """Answer with the problem that ``error`` is."""
        if isinstance(error, AdmissionError):
            self.set_header("Retry-After", str(error.retry_after_seconds))
        self._finish_problem(problem(error, self.request_id))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a problem, for what Tornado or a bug raised."""
        exc_info = kwargs.get("exc_info")
        error = exc_info[1] if exc_info else None
        if isinstance(error, EcsError):
            self.write_problem(error)
            return
        phrase = http.HTTPStatus(status_code).phrase
        code = re.sub(r"[^a-z]+", "_", phrase.lower())
        detail = _DETAILS.get(status_code, phrase)
        self._finish_problem(problem_document(status_code, phrase, detail, code, self.request_id))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log bugs; what was raised on purpose is told to the caller alone."""
        if not isinstance(value, EcsError | tornado.web.HTTPError):
            _log.error("request failed by a bug in ECS", exc_info=(typ, value, tb))

    def _finish_problem(self, document: dict[str, Any]) -> None:
        self.set_status(document["status"])
        self.set_header(REQUEST_ID_HEADER, self.request_id)
        self.set_header("Content-Type", PROBLEM_CONTENT_TYPE)
        if document["status"] == http.HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self._allowed_methods()))
        self.finish(tornado.escape.json_encode(document).encode())

    def _allowed_methods(self) -> list[str]:
        return [
            method
            for method in self.SUPPORTED_METHODS
            if getattr(type(self), method.lower())
            is not getattr(tornado.web.RequestHandler, method.lower())
        ]


_DETAILS = {
    404: "there is nothing at this path; tasks are at /v1.1/tasks",
    405: "this path does not take this method; the Allow header lists those it takes",
    500: "a bug in ECS; its log has the cause under this request id",
}


class NotFoundRequestHandler(EcsRequestHandler):
    """Every path that is none of the service's."""

    def prepare(self) -> None:
        """Answer 404, whatever the method."""
        raise tornado.web.HTTPError(404)
