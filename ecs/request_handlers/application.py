"""The routes."""

import http
import logging

import structlog
import tornado.web

from ecs.request_handlers.base import EcsRequestHandler, NotFoundRequestHandler, Services
from ecs.request_handlers.health import (
    HealthRequestHandler,
    LivezRequestHandler,
    ReadyzRequestHandler,
)
from ecs.request_handlers.metrics import MetricsRequestHandler
from ecs.request_handlers.noop import NoopRequestHandler
from ecs.request_handlers.problems import STATUS_AND_TITLE
from ecs.request_handlers.tasks import TasksRequestHandler
from ecs.request_handlers.version import VersionRequestHandler
from ecs.telemetry.metrics import OTHER_ROUTE

_log = structlog.get_logger()

ROUTES: tuple[tuple[str, type[EcsRequestHandler]], ...] = (
    (r"/v1\.1/tasks/?", TasksRequestHandler),
    (r"/v1\.1/_noop/?", NoopRequestHandler),
    (r"/v1\.1/_version/?", VersionRequestHandler),
    (r"/v1\.1/_health/?", HealthRequestHandler),
    (r"/livez", LivezRequestHandler),
    (r"/readyz", ReadyzRequestHandler),
    (r"/metrics", MetricsRequestHandler),
)
_QUIET = (
    NoopRequestHandler,
    HealthRequestHandler,
    LivezRequestHandler,
    ReadyzRequestHandler,
    MetricsRequestHandler,
)
_TASK_STATUSES = {200, 201, *(status for status, _ in STATUS_AND_TITLE.values())}
_OTHER_METHOD = "other"
"""Anybody may invent methods; a label's values must not be anybody's to choose."""


def make_application(services: Services) -> tornado.web.Application:
    """Return the application for ``services``."""
    for pattern, handler in ROUTES:
        if handler is TasksRequestHandler:
            services.telemetry.metrics.expect_http(_route_name(pattern), "POST", _TASK_STATUSES)
    return tornado.web.Application(
        [
            (pattern, handler, {"services": services, "route": _route_name(pattern)})
            for pattern, handler in ROUTES
        ],
        default_handler_class=NotFoundRequestHandler,
        default_handler_args={"services": services, "route": OTHER_ROUTE},
        log_function=_answered,
    )


def _route_name(pattern: str) -> str:
    return pattern.removesuffix("/?").replace("\\.", ".")


def _is_good(handler: tornado.web.RequestHandler) -> bool:
    return handler.get_status() < http.HTTPStatus.BAD_REQUEST


def _answered(handler: tornado.web.RequestHandler) -> None:
    assert isinstance(handler, EcsRequestHandler)
    method = handler.request.method or ""
    handler.services.telemetry.metrics.http_request(
        handler.route,
        method if method in handler.SUPPORTED_METHODS else _OTHER_METHOD,
        handler.get_status(),
        handler.request.request_time(),
    )
    if handler.span is not None:
        handler.span.end(
            handler.get_status(), request_id=handler.request_id, task_id=handler.task_id
        )
    _log_request(handler)


def _log_request(handler: EcsRequestHandler) -> None:
    """Log each request once it is answered; what is asked all the time, at level debug only."""
    level = logging.DEBUG if isinstance(handler, _QUIET) and _is_good(handler) else logging.INFO
    if not _log.is_enabled_for(level):
        return
    trace = handler.span.trace if handler.span else None
    _log.log(
        level,
        "request",
        request_id=handler.request_id,
        method=handler.request.method,
        path=handler.request.path,
        status=handler.get_status(),
        seconds=round(handler.request.request_time(), 6),
        remote_ip=handler.caller.address,
        **({"task_id": handler.task_id} if handler.task_id else {}),
        **({"trace_id": trace.trace_id} if trace else {}),
    )
