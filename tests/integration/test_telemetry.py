"""What the real service sends and hands on: traces, metrics; and what it never waits for."""

import time
from collections.abc import AsyncIterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ecs.telemetry.catalog import CATALOG, HTTP_REQUEST_DURATION
from tests.client import Answer, calling
from tests.conftest import StartService
from tests.network import free_port
from tests.otlp_endpoint import OtlpEndpoint, attributes, otlp_endpoint
from tests.service_log import logged, seen
from tests.services import STOP_TIMEOUT_SECONDS, ECService
from tests.waiting import eventually

TRACE_ID, CLIENT_SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FROM_A_CLIENT = {
    "traceparent": f"00-{TRACE_ID}-{CLIENT_SPAN_ID}-01",
    "tracestate": "vendor=1",
    "X-Request-ID": "from-the-client",
}
ENV = {"docker_image": "busybox:latest", "cmd": ["env"]}
TOKEN = "a-very-secret-token"
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
PATIENT_SECONDS = 30
LONGEST_STOP_SECONDS = 8
"""A stop without work takes half a second, and the last export may take two more; the SDK alone
would wait for 30."""


@pytest.fixture
async def endpoint() -> AsyncIterator[OtlpEndpoint]:
    async with otlp_endpoint() as running:
        yield running


async def post(
    service: ECService, headers: dict[str, str] | None = None, **fields: object
) -> Answer:
    async with calling(service.url) as caller:
        return await caller.post(ENV | fields, headers)


def environment(answer: Answer) -> dict[str, str]:
    """The task's own, as it printed it."""
    assert answer.status == 201, answer.document
    pairs = (line.partition("=") for line in answer.stdout.decode().splitlines())
    return {name: value for name, _, value in pairs}


def spans_of(endpoint: OtlpEndpoint) -> dict[str, Span]:
    return {span.name: span for span in endpoint.spans()}


async def test_one_trace_leads_from_the_client_s_span_into_the_container(
    ecservice: StartService, endpoint: OtlpEndpoint
) -> None:
    service = await ecservice(ECS_OTLP_ENDPOINT=endpoint.url, **AT_ONCE)

    answer = await post(service, FROM_A_CLIENT)

    await eventually(
        lambda: {"POST /v1.1/tasks", "task"} <= spans_of(endpoint).keys(), PATIENT_SECONDS
    )
    spans = spans_of(endpoint)
    request, task = spans.pop("POST /v1.1/tasks"), spans.pop("task")
    assert {span.trace_id.hex() for span in endpoint.spans()} == {TRACE_ID}
    assert request.parent_span_id.hex() == CLIENT_SPAN_ID
    assert request.kind == Span.SPAN_KIND_SERVER
    assert task.parent_span_id == request.span_id
    assert {span.parent_span_id for span in spans.values()} == {task.span_id}
    assert list(spans) == ["queue", "resolve", "create", "attach", "start", "run", "collect"]
    inside = environment(answer)
    assert inside["TRACEPARENT"] == f"00-{TRACE_ID}-{task.span_id.hex()}-01"
    assert inside["TRACESTATE"] == "vendor=1"
    for span in (request, task):
        told = attributes(span.attributes)
        assert told["ecs.task_id"] == answer.document["id"]
        assert told["ecs.request_id"] == answer.headers["X-Request-ID"] == "from-the-client"
        assert span.status.code == Status.STATUS_CODE_UNSET
    assert attributes(task.attributes)["ecs.outcome"] == "exited"
    assert attributes(request.attributes)["http.response.status_code"] == 201


async def test_the_spans_last_as_long_as_the_answer_s_timings_say(
    ecservice: StartService, endpoint: OtlpEndpoint
) -> None:
    service = await ecservice(ECS_OTLP_ENDPOINT=endpoint.url, **AT_ONCE)

    answer = await post(service)

    await eventually(lambda: "task" in spans_of(endpoint), PATIENT_SECONDS)
    seconds = {
        span.name: (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        for span in endpoint.spans()
    }
    timings = answer.document["timings"]
    for name, parts in {
        "queued": ["queue"],
        "create": ["resolve", "create", "attach"],
        "start": ["start"],
        "run": ["run"],
        "collect": ["collect"],
    }.items():
        spent = sum(seconds[part] for part in parts)
        assert spent == pytest.approx(timings[f"{name}_seconds"], abs=1e-4)


async def test_a_task_that_cannot_begin_is_an_error_in_its_trace(
    ecservice: StartService, endpoint: OtlpEndpoint
) -> None:
    service = await ecservice(ECS_OTLP_ENDPOINT=endpoint.url, **AT_ONCE)

    answer = await post(service, docker_image="no-such-image:1", pull="never")

    assert answer.status == 404
    await eventually(lambda: "task" in spans_of(endpoint), PATIENT_SECONDS)
    spans = spans_of(endpoint)
    assert spans["task"].status.code == Status.STATUS_CODE_ERROR
    assert spans["task"].status.message == "image_not_found"
    assert spans["resolve"].status.code == Status.STATUS_CODE_ERROR


async def test_metrics_are_sent_too_with_the_headers_and_under_the_service_s_name(
    ecservice: StartService, endpoint: OtlpEndpoint
) -> None:
    service = await ecservice(
        ECS_OTLP_ENDPOINT=f"{endpoint.url}/", ECS_OTLP_HEADERS=f"X-SF-Token={TOKEN}", **AT_ONCE
    )

    await post(service)

    names = {metric.name for metric in CATALOG} - {HTTP_REQUEST_DURATION.name}
    await eventually(lambda: names <= endpoint.metric_names(), PATIENT_SECONDS)
    await eventually(lambda: "task" in spans_of(endpoint), PATIENT_SECONDS)
    assert endpoint.metric_names() == names
    assert {headers["x-sf-token"] for headers in endpoint.headers} == {TOKEN}
    for resource in endpoint.resources():
        assert resource["service.name"] == "ecs"
        assert resource["service.instance.id"] == service.instance
    assert TOKEN not in service.log_path.read_text()


async def test_what_is_left_at_the_stop_is_sent(
    ecservice: StartService, endpoint: OtlpEndpoint
) -> None:
    service = await ecservice(ECS_OTLP_ENDPOINT=endpoint.url)
    await post(service)

    await service.stop()

    assert "task" in spans_of(endpoint)
    assert "ecs_tasks_total" in endpoint.metric_names()


@pytest.mark.parametrize("fault", ["is not there", "hangs"])
async def test_an_endpoint_that_fails_changes_nothing_for_tasks_nor_for_the_stop(
    fault: str, ecservice: StartService, endpoint: OtlpEndpoint
) -> None:
    endpoint.hangs = fault == "hangs"
    url = endpoint.url if endpoint.hangs else f"http://127.0.0.1:{free_port()}"
    small_queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    service = await ecservice(
        ECS_OTLP_ENDPOINT=url, ECS_OTLP_HEADERS=f"X-SF-Token={TOKEN}", **AT_ONCE, **small_queue
    )
    if endpoint.hangs:
        await eventually(lambda: endpoint.requests, PATIENT_SECONDS)

    answers = [await post(service) for _ in range(3)]

    assert [answer.document["exitCode"] for answer in answers] == [0] * 3
    assert all("TRACEPARENT" in environment(answer) for answer in answers)
    began = time.monotonic()
    await service.stop()
    assert time.monotonic() - began < LONGEST_STOP_SECONDS < STOP_TIMEOUT_SECONDS
    lines = service.log_lines()
    assert lines[-1]["event"] == "stopped" or "export" in lines[-1]["event"]
    assert TOKEN not in service.log_path.read_text()
    complaints = [line["event"] for line in lines if "opentelemetry" in line.get("logger", "")]
    assert len(complaints) < 10, complaints


async def test_without_an_endpoint_a_valid_traceparent_goes_on_unchanged(
    ecservice: StartService,
) -> None:
    service = await ecservice()

    inside = environment(await post(service, FROM_A_CLIENT))
    without = environment(
        await post(service, {"traceparent": "nonsense", "tracestate": "vendor=1"})
    )

    assert inside["TRACEPARENT"] == FROM_A_CLIENT["traceparent"]
    assert inside["TRACESTATE"] == FROM_A_CLIENT["tracestate"]
    assert without.keys().isdisjoint({"TRACEPARENT", "TRACESTATE"})


async def test_the_request_s_own_variable_wins(ecservice: StartService) -> None:
    service = await ecservice()

    answer = await post(service, FROM_A_CLIENT, env={"TRACEPARENT": "mine"})

    assert environment(answer)["TRACEPARENT"] == "mine"


async def test_the_log_lines_of_a_task_carry_its_trace(ecservice: StartService) -> None:
    service = await ecservice(ECS_LOG_LEVEL="debug")

    await post(service, FROM_A_CLIENT)
    await post(service)

    await eventually(seen(service, 2, "task ended"))
    with_trace, without = logged(service, "task ended")
    assert with_trace["trace_id"] == TRACE_ID
    assert logged(service, "task taken in")[0]["trace_id"] == TRACE_ID
    await eventually(seen(service, 1, "request", trace_id=TRACE_ID, status=201))
    assert "trace_id" not in without
