"""The routes."""

import http

import structlog
import tornado.web

from ecs.request_handlers.base import EcsRequestHandler, NotFoundRequestHandler, Services
from ecs.request_handlers.health import (
    HealthRequestHandler,
    LivezRequestHandler,
    ReadyzRequestHandler,
)
from ecs.request_handlers.noop import NoopRequestHandler
from ecs.request_handlers.tasks import TasksRequestHandler
from ecs.request_handlers.version import VersionRequestHandler

_log = structlog.get_logger()

ROUTES: tuple[tuple[str, type[EcsRequestHandler]], ...] = (
    (r"/v1\.1/tasks/?", TasksRequestHandler),
    (r"/v1\.1/_noop/?", NoopRequestHandler),
    (r"/v1\.1/_version/?", VersionRequestHandler),
    (r"/v1\.1/_health/?", HealthRequestHandler),
    (r"/livez", LivezRequestHandler),
    (r"/readyz", ReadyzRequestHandler),
)
_QUIET = (NoopRequestHandler, HealthRequestHandler, LivezRequestHandler, ReadyzRequestHandler)


def make_application(services: Services) -> tornado.web.Application:
    """Return the application for ``services``."""
    arguments = {"services": services}
    return tornado.web.Application(
        [(pattern, handler, arguments) for pattern, handler in ROUTES],
        default_handler_class=NotFoundRequestHandler,
        default_handler_args=arguments,
        log_function=_log_request,
    )


def _is_good(handler: tornado.web.RequestHandler) -> bool:
    return handler.get_status() < http.HTTPStatus.BAD_REQUEST


def _log_request(handler: tornado.web.RequestHandler) -> None:
    """Log each request once it is answered; what is asked all the time, at level debug only."""
    assert isinstance(handler, EcsRequestHandler)
    level = "debug" if isinstance(handler, _QUIET) and _is_good(handler) else "info"
    getattr(_log, level)(
        "request",
        request_id=handler.request_id,
        method=handler.request.method,
        path=handler.request.path,
        status=handler.get_status(),
        seconds=round(handler.request.request_time(), 6),
        remote_ip=handler.caller.address,
        **({"task_id": handler.task_id} if handler.task_id else {}),
    )
