"""Spans of requests and tasks, and the W3C headers that tie them to others' spans.

Without a tracer that records, a valid ``traceparent`` still goes on from the request to the task.
"""

import time
from collections.abc import Mapping
from http import HTTPStatus

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ecs.tasks.model import Task, TraceContext
from ecs.tasks.states import RunnerState, TaskState

_PROPAGATOR = TraceContextTextMapPropagator()
_NANOSECONDS = 1_000_000_000
_MAX_TRACESTATE_CHARACTERS = 512
"""What everybody is to pass on (W3C Trace Context, section 3.3.1.5); a longer one is dropped."""

SPAN_NAMES: Mapping[RunnerState, str] = {
    RunnerState.QUEUED: "queue",
    RunnerState.RESOLVING: "resolve",
    RunnerState.PULLING: "pull",
    RunnerState.CREATING: "create",
    RunnerState.ATTACHING: "attach",
    RunnerState.STARTING: "start",
    RunnerState.RUNNING: "run",
    RunnerState.STOPPING: "stop",
    RunnerState.COLLECTING: "collect",
}


class RequestSpan:
    """One request's span, open until ``end``."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace = _trace_context(span)
        """What the task is to be a part of; ``None`` where there is no trace."""

    def end(self, status: int, *, request_id: str, task_id: str | None) -> None:
        """State what was answered."""
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("ecs.request_id", request_id)
        if task_id is not None:
            self._span.set_attribute("ecs.task_id", task_id)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Tracing:
    """Makes the spans; a ``TaskObserver``."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[Task, Span] = {}

    def request(self, method: str, route: str, headers: Mapping[str, str]) -> RequestSpan:
        """Begin the span of a request, in the trace that its headers name."""
        span = self._tracer.start_span(
            f"{method} {route}",
            context=_parent(headers.get("traceparent", ""), headers.get("tracestate", "")),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        return RequestSpan(span)

    def taken_in(self, task: Task) -> None:
        """Begin the span of a task, which what runs in the container is to be a part of."""
        trace_before = task.trace or TraceContext("")
        span = self._tracer.start_span(
            "task",
            context=_parent(trace_before.traceparent, trace_before.tracestate),
            start_time=_nanoseconds(task.created_at),
            attributes={
                "ecs.task_id": task.id,
                "ecs.request_id": task.request_id,
                "container.image.name": str(task.request.image),
            },
        )
        task.trace = _trace_context(span)
        if span.is_recording():
            self._spans[task] = span

    def ended(self, task: Task) -> None:
        """End the span of a task, and add those of its phases."""
        span = self._spans.pop(task, None)
        if span is None or task.result is None:
            return
        span.set_attribute("ecs.outcome", task.result.outcome.value)
        if task.result.exit_code is not None:
            span.set_attribute("process.exit.code", task.result.exit_code)
        failed = task.result.state is not TaskState.COMPLETE
        if failed:
            span.set_status(Status(StatusCode.ERROR, task.result.outcome.value))
        self._add_phases(task, span, failed=task.result.error is not None)
        span.end()

    def _add_phases(self, task: Task, span: Span, *, failed: bool) -> None:
        entered = [
            (state, _nanoseconds(task.created_at + seconds))
            for state, seconds in task.machine.entered
        ]
        if entered[-1][0] is not RunnerState.ENDED:  # cancelled before its first step, or a bug
            entered.append((RunnerState.ENDED, time.time_ns()))
        context = trace.set_span_in_context(span, Context())
        last = len(entered) - 2
        for index, (state, began) in enumerate(entered[:-1]):
            phase = self._tracer.start_span(SPAN_NAMES[state], context=context, start_time=began)
            if failed and index == last:
                phase.set_status(Status(StatusCode.ERROR))
            phase.end(entered[index + 1][1])


def _parent(traceparent: str, tracestate: str) -> Context:
    carrier = {"traceparent": traceparent}
    if len(tracestate) <= _MAX_TRACESTATE_CHARACTERS:
        carrier["tracestate"] = tracestate
    return _PROPAGATOR.extract(carrier, Context())


def _trace_context(span: Span) -> TraceContext | None:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, Context()))
    if "traceparent" not in carrier:
        return None
    return TraceContext(carrier["traceparent"], carrier.get("tracestate", ""))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
