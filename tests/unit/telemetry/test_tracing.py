"""Spans of requests and tasks, collected in memory."""

from collections.abc import Mapping

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode

from ecs.errors import EngineUnreachableError
from ecs.tasks.model import Task, TraceContext
from ecs.tasks.states import Outcome, RunnerState
from ecs.telemetry.tracing import SPAN_NAMES, Tracing
from tests.unit import builders
from tests.unit.walked import TO_CREATION, TO_THE_END, WITH_A_PULL, end, walk

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


class Recorded:
    """A tracing whose spans are kept."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider.get_tracer("test"))

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def parent_id(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent else None


def span_id(span: ReadableSpan) -> str:
    assert span.context
    return f"{span.context.span_id:016x}"


def trace_id(span: ReadableSpan) -> str:
    assert span.context
    return f"{span.context.trace_id:032x}"


def finished(
    recorded: Recorded, *way: RunnerState, outcome: Outcome = Outcome.EXITED, **ending: object
) -> Task:
    task = builders.task()
    recorded.tracing.taken_in(task)
    walk(task, way)
    end(task, outcome, **ending)  # type: ignore[arg-type]
    recorded.tracing.ended(task)
    return task


def test_a_request_is_a_part_of_its_client_s_trace(recorded: Recorded) -> None:
    headers = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}

    request = recorded.tracing.request("POST", "/v1.1/tasks", headers)
    request.end(201, request_id="r1", task_id="t1")

    span = recorded.spans()["POST /v1.1/tasks"]
    assert (trace_id(span), parent_id(span)) == (TRACE_ID, PARENT_ID)
    assert span.kind is SpanKind.SERVER
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1.1/tasks",
        "http.response.status_code": 201,
        "ecs.request_id": "r1",
        "ecs.task_id": "t1",
    }
    assert request.trace == TraceContext(f"00-{TRACE_ID}-{span_id(span)}-01", "vendor=1")


@pytest.mark.parametrize(
    ("status", "code"), [(201, "UNSET"), (404, "UNSET"), (500, "ERROR"), (503, "ERROR")]
)
def test_a_request_that_the_service_failed_is_an_error(
    status: int, code: str, recorded: Recorded
) -> None:
    recorded.tracing.request("POST", "/", {}).end(status, request_id="r1", task_id=None)

    span = recorded.spans()["POST /"]
    assert span.status.status_code is StatusCode[code]
    assert "ecs.task_id" not in (span.attributes or {})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": ""},
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{'0' * 32}-{PARENT_ID}-01"},
        {"traceparent": f"00-{TRACE_ID}-{'0' * 16}-01"},
        {"traceparent": f"ff-{TRACE_ID}-{PARENT_ID}-01"},
        {"tracestate": "vendor=1"},
    ],
    ids=str,
)
def test_a_request_without_a_valid_traceparent_begins_a_trace(
    headers: Mapping[str, str], recorded: Recorded
) -> None:
    recorded.tracing.request("POST", "/", headers).end(201, request_id="r1", task_id=None)

    span = recorded.spans()["POST /"]
    assert span.parent is None
    assert trace_id(span) != TRACE_ID


def test_a_trace_that_its_client_does_not_sample_is_passed_on_and_not_recorded(
    recorded: Recorded,
) -> None:
    request = recorded.tracing.request("POST", "/", {"traceparent": f"{TRACEPARENT[:-1]}0"})
    request.end(201, request_id="r1", task_id=None)

    assert recorded.spans() == {}
    assert request.trace
    assert request.trace.trace_id == TRACE_ID
    assert request.trace.traceparent.endswith("-00")


def test_a_tracestate_longer_than_anybody_must_pass_on_is_dropped(recorded: Recorded) -> None:
    long = ",".join(f"vendor{number}={'x' * 30}" for number in range(20))

    request = recorded.tracing.request(
        "POST", "/", {"traceparent": TRACEPARENT, "tracestate": long}
    )

    assert request.trace
    assert request.trace.tracestate == ""


def test_a_task_has_a_span_with_one_for_each_state_it_came_to(recorded: Recorded) -> None:
    task = finished(recorded, *WITH_A_PULL)

    spans = recorded.spans()
    names = {SPAN_NAMES[state] for state in (RunnerState.QUEUED, *WITH_A_PULL)}
    assert spans.keys() == {"task", *names}
    whole = spans.pop("task")
    assert task.trace
    assert task.trace.traceparent.startswith(f"00-{trace_id(whole)}-{span_id(whole)}-")
    assert {(trace_id(span), parent_id(span)) for span in spans.values()} == {
        (trace_id(whole), span_id(whole))
    }
    assert whole.attributes == {
        "ecs.task_id": task.id,
        "ecs.request_id": "r1",
        "container.image.name": "docker.io/library/busybox:latest",
        "ecs.outcome": "exited",
        "process.exit.code": 0,
    }


def test_the_spans_of_a_task_follow_each_other_without_a_gap(recorded: Recorded) -> None:
    finished(recorded, *TO_THE_END)

    spans = recorded.spans()
    whole = spans.pop("task")
    ordered = sorted(spans.values(), key=lambda span: span.start_time or 0)
    assert [span.name for span in ordered] == [
        "queue", "resolve", "create", "attach", "start", "run", "collect"
    ]  # fmt: skip
    assert [span.end_time for span in ordered[:-1]] == [span.start_time for span in ordered[1:]]
    assert ordered[0].start_time == whole.start_time
    assert (ordered[-1].end_time or 0) <= (whole.end_time or 0)


def test_a_task_of_the_engine_s_failure_shows_the_phase_that_failed(recorded: Recorded) -> None:
    error = EngineUnreachableError("gone")

    finished(recorded, *TO_CREATION, outcome=Outcome.ENGINE_ERROR, exit_code=None, error=error)

    spans = recorded.spans()
    failed = {name for name, span in spans.items() if span.status.status_code is StatusCode.ERROR}
    assert failed == {"task", "create"}
    assert spans["task"].status.description == "engine_error"
    assert "process.exit.code" not in (spans["task"].attributes or {})


def test_a_task_that_exits_with_an_error_failed_in_no_phase_of_ecs(recorded: Recorded) -> None:
    finished(recorded, *TO_THE_END, exit_code=3)

    spans = recorded.spans()
    failed = {name for name, span in spans.items() if span.status.status_code is StatusCode.ERROR}
    assert failed == {"task"}


def test_a_task_cancelled_before_its_first_step_has_an_end(recorded: Recorded) -> None:
    task = builders.task()
    recorded.tracing.taken_in(task)
    task.end(Outcome.CANCELED, None)

    recorded.tracing.ended(task)

    spans = recorded.spans()
    assert spans.keys() == {"task", "queue"}
    assert (spans["queue"].end_time or 0) >= (spans["queue"].start_time or 0)


@pytest.mark.parametrize("trace", [None, TraceContext(TRACEPARENT, "vendor=1")])
def test_without_a_tracer_that_records_a_trace_goes_on_unchanged(
    trace: TraceContext | None,
) -> None:
    tracing = Tracing(NoOpTracerProvider().get_tracer("test"))
    headers = {"traceparent": trace.traceparent, "tracestate": trace.tracestate} if trace else {}
    request = tracing.request("POST", "/", headers)
    task = builders.task()
    task.trace = request.trace

    tracing.taken_in(task)
    end(task)
    tracing.ended(task)
    request.end(201, request_id="r1", task_id=task.id)

    assert task.trace == request.trace == trace
