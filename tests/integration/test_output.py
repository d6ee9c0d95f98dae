"""Not one byte lost, doubled or on the other stream, in bounded memory, however much there is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests import images
from tests.client import Caller, events
from tests.conftest import StartService
from tests.service_log import logged, seen
from tests.services import ECService
from tests.waiting import eventually
from tests.ways import EVERY_WAY, ONE_WAY, THREE_WAYS, Way, WayCaller, calling_on, environment

MIB = 1024 * 1024


@pytest.fixture
async def service(shared_ecservice: StartService, way: Way) -> ECService:
    return await shared_ecservice(
        **environment(way, {images.BUSYBOX: 2}),
        ECS_KEEP_ALIVE_SECONDS="0.2",
        ECS_CLIENT_STALL_SECONDS="3",
    )


@pytest.fixture
async def limited(shared_ecservice: StartService, way: Way) -> AsyncIterator[WayCaller]:
    """A caller of a service that keeps 1,000 bytes of a stream and takes one MiB."""
    service = await shared_ecservice(
        **environment(way, {images.BUSYBOX: 2}),
        ECS_OUTPUT_LIMIT_BYTES=str(MIB),
        ECS_MAX_OUTPUT_BYTES="1000",
    )
    async with calling_on(way, service) as caller:
        yield caller


@EVERY_WAY
async def test_ten_thousand_interleaved_writes_come_back_exactly(caller: Caller) -> None:
    script = "i=0; while [ $i -lt 10000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done"

    answer = await caller.run("sh", "-c", script)

    assert answer.stdout == b"".join(b"o%d\n" % number for number in range(10_000))
    assert answer.stderr == b"".join(b"e%d\n" % number for number in range(10_000))


@THREE_WAYS
async def test_long_output_shows_head_and_tail_with_exact_totals(limited: Caller) -> None:
    answer = await limited.run("sh", "-c", "seq 1 100000; seq 1 300 >&2; echo end >&2")

    whole = b"".join(b"%d\n" % number for number in range(1, 100_001))
    errors = b"".join(b"%d\n" % number for number in range(1, 301)) + b"end\n"
    assert answer.document["truncated"] is True
    assert answer.document["output"] == {
        "stdout": {"total_bytes": len(whole), "head_bytes": 500, "tail_bytes": 500},
        "stderr": {"total_bytes": len(errors), "head_bytes": 500, "tail_bytes": 500},
    }
    assert answer.stdout == whole[:500] + whole[-500:]
    assert answer.stderr == errors[:500] + errors[-500:]


@EVERY_WAY
async def test_a_task_that_writes_too_much_is_killed(limited: Caller) -> None:
    answer = await limited.run("yes")

    assert answer.document["outcome"] == "output_limit"
    assert answer.document["exitCode"] == 137
    assert answer.document["output"]["stdout"]["total_bytes"] == MIB
    assert answer.stdout == (b"y\n" * 500)


@EVERY_WAY
async def test_a_task_that_wrote_too_much_before_it_ended_did_not_just_exit(
    limited: Caller,
) -> None:
    exactly = await limited.run("head", "-c", str(MIB), "/dev/zero")
    one_more = await limited.run("head", "-c", str(MIB + 1), "/dev/zero")

    assert exactly.document["outcome"] == "exited"
    assert one_more.document["outcome"] == "output_limit"


@pytest.mark.parametrize(
    ("way", "accept"),
    [
        pytest.param(way, accept, id=f"{accept}-{way.value}")
        for way, accept in (
            (Way.COLD, "application/json"),
            (Way.COLD, "text/event-stream"),
            (Way.COLD, "text/plain"),
            (Way.SANDBOXED, "text/plain"),
            (Way.WARM, "text/plain"),
        )
    ],
)
async def test_100_mb_of_output_cost_the_service_less_than_40_mb(
    service: ECService, caller: Caller, accept: str
) -> None:
    await caller.run("true")
    service.forget_peak_rss()
    before = service.rss_bytes()

    async with caller.stream(accept, "dd", "if=/dev/zero", "bs=64k", "count=1600") as response:
        received = sum([len(chunk) async for chunk in response.content.iter_any()])

    assert response.status in (200, 201)
    if accept == "text/plain":
        assert received == 100 * MIB
    assert service.peak_rss_bytes() - before < 40 * MIB


@EVERY_WAY
async def test_stdout_arrives_line_by_line_while_the_task_runs(caller: Caller) -> None:
    script = "echo first; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo second"
    script = f"({script}) & sleep 2; touch /tmp/go; wait"
    async with caller.stream("text/plain", "sh", "-c", script) as response:
        first = await response.content.readline()
        ended_already = response.content.at_eof()
        rest = await response.content.read()

    assert response.status == 200
    assert (first, ended_already, rest) == (b"first\n", False, b"second\n")


@EVERY_WAY
async def test_raw_stdout_ends_with_the_exit_code_in_trailers(
    service: ECService, caller: WayCaller
) -> None:
    await caller.prepare_one()
    raw = await raw_answer(service, "text/plain", '["sh","-c","echo out; echo err >&2; exit 9"]')

    assert b"Trailer: ECS-Exit-Code, ECS-Outcome\r\n" in raw
    assert raw.endswith(b"4\r\nout\n\r\n0\r\nECS-Exit-Code: 9\r\nECS-Outcome: exited\r\n\r\n")


@THREE_WAYS
async def test_a_silent_tasks_exit_code_is_in_a_header(
    service: ECService, caller: WayCaller
) -> None:
    await caller.prepare_one()
    raw = await raw_answer(service, "text/plain", '["sh","-c","exit 9"]')

    assert b"Ecs-Exit-Code: 9\r\n" in raw


@ONE_WAY
async def test_an_old_http_client_gets_stdout_without_chunks(service: ECService) -> None:
    raw = await raw_answer(service, "text/plain", '["echo","hi"]', version="1.0")

    assert raw.endswith(b"\r\n\r\nhi\n")


@ONE_WAY
async def test_raw_stdout_of_a_task_that_cannot_begin_is_a_problem(caller: Caller) -> None:
    async with caller.stream("text/plain", "true", image="ecs-test/missing:1", pull="never") as it:
        assert (it.status, it.content_type) == (404, "application/problem+json")


@EVERY_WAY
async def test_events_tell_a_tasks_whole_story_in_order(caller: Caller) -> None:
    async with caller.stream(
        "text/event-stream", "sh", "-c", "echo out; sleep 1; echo err >&2; exit 4"
    ) as response:
        story = [event async for event in events(response)]

    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    named = [event for event in story if event.name]
    assert [event.name for event in named] == [
        *["state"] * 3,
        "stdout",
        "stderr",
        "state",
        "result",
    ]
    states = [event.document["state"] for event in named if event.name == "state"]
    assert states == ["QUEUED", "INITIALIZING", "RUNNING", "EXECUTOR_ERROR"]
    assert named[3].document == {"data": "b3V0Cg=="}
    result = named[-1].document
    assert (result["exitCode"], result["outcome"]) == (4, "exited")
    assert len(story) > len(named), "a silent second brought no keep-alive comment"


@ONE_WAY
async def test_events_of_a_task_that_cannot_begin_end_with_the_problem(caller: Caller) -> None:
    async with caller.stream(
        "text/event-stream", "true", image="ecs-test/missing:1", pull="never"
    ) as response:
        story = [event async for event in events(response)]

    result = story[-1].document
    assert (result["state"], result["outcome"]) == ("SYSTEM_ERROR", "image_not_found")
    assert result["problem"]["status"] == 404


@THREE_WAYS
async def test_a_client_that_reads_nothing_holds_up_neither_task_nor_service(
    service: ECService, caller: WayCaller
) -> None:
    await caller.prepare_one()
    service.forget_peak_rss()
    before = service.rss_bytes()
    ended = len(logged(service, "task ended", outcome="exited"))
    async with stalled(service, "text/plain", '["dd","if=/dev/zero","bs=64k","count=1600"]'):
        await eventually(seen(service, ended + 1, "task ended", outcome="exited"), 30)
        answer = await caller.run("echo", "hi")
        peak = service.peak_rss_bytes()

    assert answer.stdout == b"hi\n"
    assert peak - before < 40 * MIB


@THREE_WAYS
async def test_a_client_that_reads_nothing_for_too_long_is_cut_off(
    service: ECService, caller: WayCaller
) -> None:
    await caller.prepare_one()
    cut_off = len(logged(service, "request", status=499))
    async with stalled(service, "text/event-stream", '["yes"]'):
        await eventually(seen(service, cut_off + 1, "request", status=499), 30)


def request_text(service: ECService, accept: str, cmd: str, version: str) -> bytes:
    body = f'{{"docker_image":"busybox:latest","cmd":{cmd}}}'
    head = (
        f"POST /v1.1/tasks HTTP/{version}\r\nHost: x\r\nAccept: {accept}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


async def raw_answer(service: ECService, accept: str, cmd: str, version: str = "1.1") -> bytes:
    """The very bytes of an answer."""
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request_text(service, accept, cmd, version))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@contextlib.asynccontextmanager
async def stalled(service: ECService, accept: str, cmd: str) -> AsyncIterator[None]:
    """A client that has sent its request and reads not one byte."""
    host, port = service.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1)
    writer.transport.pause_reading()
    writer.write(request_text(service, accept, cmd, "1.1"))
    try:
        yield
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
