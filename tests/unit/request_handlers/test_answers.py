"""The three forms of an answer, from a task that does exactly what the test says."""

import asyncio
import base64
import errno
import json
import os
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ecs.docker_remote_api.images import PullProgress
from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import ImageNotFoundError, OutputSpoolError
from ecs.jsonschemas import load_schema
from ecs.tasks.model import Task
from ecs.tasks.states import Outcome, TaskState
from tests.unit.request_handlers.bodies import body
from tests.unit.request_handlers.serving import serving
from tests.unit.scripted_runner import go_on_for_ever, succeed
from tests.waiting import eventually

EVENTS, TEXT = {"Accept": "text/event-stream"}, {"Accept": "text/plain"}
Events = list[tuple[str, Any]]


async def tell_a_story(task: Task) -> None:
    task.enter(TaskState.INITIALIZING)
    task.add_progress(PullProgress("layer", "Downloading", 1, 2))
    await asyncio.sleep(0)
    task.enter(TaskState.RUNNING)
    await task.output.write([(Stream.STDOUT, b"out\xff"), (Stream.STDERR, b"err")])
    task.end(Outcome.EXITED, 3)


async def find_no_image(task: Task) -> None:
    task.end(Outcome.IMAGE_NOT_FOUND, None, ImageNotFoundError("no such image"))


async def fill_the_disk(task: Task) -> None:
    await task.output.write([(Stream.STDOUT, b"some")])
    task.end(Outcome.ENGINE_ERROR, None, OutputSpoolError("no space left"))


async def stumble(_: Task) -> None:
    raise ZeroDivisionError


def events_of(data: bytes) -> Events:
    """The events of a stream by name; checks that their ids count them."""
    events = []
    for number, block in enumerate(data.decode().split("\n\n")[:-1], 1):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        assert fields["id"] == str(number)
        events.append((fields["event"], json.loads(fields["data"])))
    return events


@pytest.fixture
def broken_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written cannot be read any more."""

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", refuse)


async def test_json_has_the_result_when_the_task_has_ended() -> None:
    async with serving(tell_a_story) as site:
        answer = await site.run()

    Draft202012Validator(load_schema("task_result")).validate(answer.document)
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert "total;dur=" in answer.headers["Server-Timing"]
    assert answer.document["exitCode"] == 3
    assert base64.b64decode(answer.document["stdout"]) == b"out\xff"
    assert base64.b64decode(answer.document["stderr"]) == b"err"


@pytest.mark.parametrize("headers", [{}, TEXT])
@pytest.mark.parametrize(
    ("run", "status", "code"),
    [
        (find_no_image, 404, "image_not_found"),
        (stumble, 500, "internal_error"),
    ],
)
async def test_a_task_without_a_result_is_a_problem(
    run: Any, status: int, code: str, headers: dict[str, str]
) -> None:
    async with serving(run) as site:
        answer = await site.run(headers)

    assert (answer.status, answer.document["code"]) == (status, code)


async def test_output_that_could_not_be_kept_is_a_problem() -> None:
    async with serving(fill_the_disk) as site:
        answer = await site.run()

    assert (answer.status, answer.document["code"]) == (503, "output_spool_failed")


@pytest.mark.usefixtures("broken_disk")
@pytest.mark.parametrize("headers", [{}, TEXT])
async def test_output_that_cannot_be_read_is_a_problem(headers: dict[str, str]) -> None:
    async with serving(tell_a_story) as site:
        answer = await site.run(headers)

    assert (answer.status, answer.document["code"]) == (503, "output_spool_failed")


@pytest.mark.usefixtures("broken_disk")
async def test_events_that_cannot_be_read_are_cut_and_have_no_result() -> None:
    async with serving(tell_a_story) as site:
        data = await raw(site.port, "text/event-stream")

    assert b"event: state" in data
    assert b"event: result" not in data
    assert not data.endswith(b"0\r\n\r\n")  # not whole


@pytest.mark.parametrize("headers", [{}, TEXT])
async def test_a_task_that_the_stop_ends_is_told_to_be_sent_again(headers: dict[str, str]) -> None:
    async with serving(go_on_for_ever) as site:
        asking = asyncio.create_task(site.run(headers))
        await eventually(lambda: site.tasks)

        await site.services.dispatcher.drain()
        answer = await asking

    assert (answer.status, answer.document["code"]) == (503, "draining")
    assert answer.headers["Retry-After"] == "1"


async def test_events_tell_the_whole_story_and_the_result_last() -> None:
    async with serving(tell_a_story) as site:
        answer = await site.run(EVENTS)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    events = events_of(answer.body)
    task_id = events[0][1]["id"]
    result = events.pop()
    assert [event for event in events if event[0] == "state"] == [
        ("state", {"id": task_id, "state": state})
        for state in ("QUEUED", "INITIALIZING", "RUNNING", "EXECUTOR_ERROR")
    ]
    progress = {"layer": "layer", "status": "Downloading", "current_bytes": 1, "total_bytes": 2}
    assert ("progress", progress) in events
    assert events[-3:-1] == [
        ("stdout", {"data": base64.b64encode(b"out\xff").decode()}),
        ("stderr", {"data": base64.b64encode(b"err").decode()}),
    ]
    assert result[0] == "result"
    assert result[1]["id"] == task_id
    assert (result[1]["exitCode"], result[1]["outcome"]) == (3, "exited")
    assert "problem" not in result[1]


async def test_events_of_a_task_without_a_result_end_with_the_problem() -> None:
    async with serving(find_no_image) as site:
        answer = await site.run(EVENTS)

    name, result = events_of(answer.body)[-1]
    assert name == "result"
    assert result["exitCode"] is None
    Draft202012Validator(load_schema("problem")).validate(result["problem"])
    assert result["problem"]["code"] == "image_not_found"
    assert result["problem"]["request_id"] == answer.headers["X-Request-ID"]


async def test_events_say_that_nothing_happens_when_nothing_does() -> None:
    async with serving(go_on_for_ever, keep_alive_seconds=0.1) as site:
        data = {"data": body(), "headers": {"Content-Type": "application/json", **EVENTS}}
        async with asyncio.timeout(60), site.session.post("/v1.1/tasks", **data) as response:
            seen = b""
            while b": keep-alive\n\n" not in seen:
                seen += await response.content.readany()

    assert events_of(seen.replace(b": keep-alive\n\n", b""))[0][0] == "state"


async def raw(port: int, accept: str, version: str = "1.1") -> bytes:
    """Everything that comes back over a connection of its own, until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1.1/tasks HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Accept: {accept}\r\nConnection: close\r\nContent-Length: {len(body())}\r\n\r\n"
    )
    writer.write(head.encode() + body())
    async with asyncio.timeout(60):
        data = await reader.read()
    writer.close()
    await writer.wait_closed()
    return data


async def test_plain_text_is_stdout_with_the_exit_code_behind_it() -> None:
    async with serving(tell_a_story) as site:
        head, _, content = (await raw(site.port, "text/plain")).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Type: text/plain\r\n" in head
    assert b"\r\nTrailer: ECS-Exit-Code, ECS-Outcome\r\n" in head
    assert content == b"4\r\nout\xff\r\n0\r\nECS-Exit-Code: 3\r\nECS-Outcome: exited\r\n\r\n"


async def test_plain_text_of_a_silent_task_has_the_exit_code_in_a_header_too() -> None:
    async with serving(succeed) as site:
        head, _, content = (await raw(site.port, "text/plain")).partition(b"\r\n\r\n")

    assert b"\r\nEcs-Exit-Code: 0" in head
    assert b"\r\nEcs-Outcome: exited" in head
    assert content == b"0\r\nECS-Exit-Code: 0\r\nECS-Outcome: exited\r\n\r\n"


async def test_plain_text_for_an_old_client_is_stdout_alone() -> None:
    async with serving(tell_a_story) as site:
        _, _, content = (await raw(site.port, "text/plain", "1.0")).partition(b"\r\n\r\n")

    assert content == b"out\xff"


async def test_plain_text_that_cannot_be_read_any_more_is_not_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first_is_read = asyncio.Event()
    pread = os.pread

    def read_once(*arguments: int) -> bytes:
        data = pread(*arguments)  # type: ignore[arg-type]
        if data == b"second":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if data == b"first":
            loop.call_soon_threadsafe(first_is_read.set)
        return data

    async def write_twice(task: Task) -> None:
        await task.output.write([(Stream.STDOUT, b"first")])
        await first_is_read.wait()
        await task.output.write([(Stream.STDOUT, b"second")])
        task.end(Outcome.EXITED, 0)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(os, "pread", read_once)
    async with serving(write_twice) as site:
        _, _, content = (await raw(site.port, "text/plain")).partition(b"\r\n\r\n")

    assert content == b"5\r\nfirst\r\n"


async def test_plain_text_of_a_task_that_lost_its_result_is_not_whole() -> None:
    async with serving(fill_the_disk) as site:
        _, _, content = (await raw(site.port, "text/plain")).partition(b"\r\n\r\n")

    assert content == b"4\r\nsome\r\n"
