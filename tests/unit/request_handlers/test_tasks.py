"""Which requests become tasks, whose they are, and what refuses them."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from ecs.errors import RequestNotAllowedError
from ecs.request_handlers import tasks
from ecs.request_handlers.application import make_application
from tests.unit.request_handlers.bodies import body
from tests.unit.request_handlers.serving import serving
from tests.unit.scripted_runner import go_on_for_ever
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("trusted", "headers", "owner"),
    [
        ("127.0.0.1", {"X-ECS-Key": "k"}, "key k"),
        ("10.0.0.0/8,127.0.0.0/8", {"X-ECS-Key": "k"}, "key k"),
        ("127.0.0.1", {}, "address 127.0.0.1"),
        ("127.0.0.1", {"X-ECS-Key": ""}, "address 127.0.0.1"),
        ("10.0.0.1,::1", {"X-ECS-Key": "k"}, "address 127.0.0.1"),
        ("", {"X-ECS-Key": "k"}, "address 127.0.0.1"),
    ],
)
async def test_a_key_is_believed_from_a_trusted_proxy_alone(
    trusted: str, headers: dict[str, str], owner: str
) -> None:
    async with serving(trusted_proxies=trusted) as site:
        await site.run(headers)

    assert [task.owner for task in site.tasks] == [owner]


@pytest.mark.parametrize(
    ("address", "settings", "owner"),
    [
        ("10.0.0.1", {"allow_unauthenticated": True}, "address 10.0.0.1"),
        ("10.0.0.1", {"trusted_proxies": "10.0.0.1"}, "address 10.0.0.1"),
        ("::1", {}, "address ::1"),
        ("fe80::1%eth0", {"allow_unauthenticated": True}, "address fe80::1%eth0"),
        ("10.0.0.1", {"trusted_proxies": "10.0.0.2"}, None),
        ("10.0.0.1", {}, None),
        ("::2", {}, None),
    ],
)
async def test_a_caller_who_comes_past_the_proxies_is_refused(
    address: str, settings: dict[str, Any], owner: str | None
) -> None:
    async with serving(**settings) as site:
        start_line = RequestStartLine("POST", "/v1.1/tasks", "HTTP/1.1")
        request = HTTPServerRequest(
            start_line=start_line, headers=HTTPHeaders({"Host": "x"}), connection=Mock()
        )
        request.remote_ip = address  # nobody but this machine reaches the site
        handler = tasks.TasksRequestHandler(
            make_application(site.services), request, services=site.services, route="/v1.1/tasks"
        )
        if owner is None:
            with pytest.raises(RequestNotAllowedError):
                handler._owner()
        else:
            assert handler._owner() == owner


async def test_a_task_has_the_id_of_its_request() -> None:
    async with serving() as site:
        await site.run({"X-Request-ID": "r1"})

    assert [task.request_id for task in site.tasks] == ["r1"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        ({"Content-Type": "application/jsonx"}, 415, "unsupported_media_type"),
        ({"Accept": "text/html"}, 406, "not_acceptable"),
    ],
)
async def test_a_form_that_is_not_spoken_is_refused(
    headers: dict[str, str], status: int, code: str
) -> None:
    async with serving() as site:
        answer = await site.run(headers)

    assert (answer.status, answer.document["code"]) == (status, code)
    assert site.tasks == []


@pytest.mark.parametrize("content_type", ["Application/JSON", "application/json; charset=utf-8"])
async def test_json_is_json_however_it_is_written(content_type: str) -> None:
    async with serving() as site:
        answer = await site.run({"Content-Type": content_type})

    assert answer.status == 201


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", body(nope=1)])
async def test_a_malformed_body_makes_no_task(data: bytes) -> None:
    async with serving() as site:
        answer = await site.run(data=data)

    assert (answer.status, answer.document["code"]) == (400, "invalid_request")
    assert site.tasks == []


@pytest.mark.parametrize(("size", "status"), [(1024, 201), (1025, 413)])
async def test_a_body_may_have_as_many_bytes_as_the_setting_says(size: int, status: int) -> None:
    async with serving(max_request_bytes=1024) as site:
        answer = await site.run(data=body().ljust(size))

    assert answer.status == status


@pytest.mark.parametrize("length", ["1025", "9" * 20, "9" * 5000])
async def test_a_body_too_large_is_refused_before_it_is_sent(length: str) -> None:
    async with serving(max_request_bytes=1024) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(
            b"POST /v1.1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Expect: 100-continue\r\nContent-Length: " + length.encode() + b"\r\n\r\n"
        )
        status_line = await reader.readline()
        writer.close()

    assert status_line.split()[1] == b"413"


async def test_a_body_that_does_not_end_is_refused_within_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "_DISCARDED_BYTES", 4096)
    async with serving(max_request_bytes=1024) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(
            b"POST /v1.1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n"
        )
        for _ in range(4):
            writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
        status_line = await asyncio.wait_for(reader.readline(), 60)
        writer.close()

    assert status_line.split()[1] == b"413"


async def test_a_task_too_many_is_told_when_to_come_again() -> None:
    async with serving(go_on_for_ever, running=0, queued=0) as site:
        answer = await site.run()

    assert (answer.status, answer.document["code"]) == (503, "queue_full")
    assert answer.headers["Retry-After"] == "5"


async def test_a_draining_service_takes_no_task() -> None:
    async with serving() as site:
        await site.services.dispatcher.drain()

        answer = await site.run()

    assert (answer.status, answer.document["code"]) == (503, "draining")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "text/plain"])
async def test_a_caller_who_goes_away_cancels_the_task(accept: str) -> None:
    async with serving(go_on_for_ever) as site:
        asking = asyncio.create_task(site.run({"Accept": accept}))
        await eventually(lambda: site.tasks)

        asking.cancel()
        ended = await asyncio.wait_for(site.tasks[0].ended(), 60)

        assert ended.outcome == "canceled"
        await eventually(lambda: site.services.answers.count == 0)


@pytest.mark.parametrize("closed", [False, True])
async def test_the_output_of_a_task_is_given_back_after_its_answer(closed: bool) -> None:
    async def run(task: Any) -> None:
        await task.output.write([("stdout", b"x")])
        task.end("exited", 0)

    async with serving(go_on_for_ever if closed else run) as site:
        asking = asyncio.create_task(site.run())
        await eventually(lambda: site.tasks)
        if closed:
            asking.cancel()
        await asyncio.wait({asking})

        await eventually(lambda: site.tasks[0].output._order._closed)


async def test_a_caller_with_too_many_tasks_is_told_when_to_come_again() -> None:
    async with serving(go_on_for_ever, running=1, queued=4) as site:
        asking = [asyncio.create_task(site.run()) for _ in range(3)]
        await eventually(lambda: len(site.tasks) == 3)

        answer = await site.run()
        for task in asking:
            task.cancel()

    assert (answer.status, answer.document["code"]) == (429, "too_many_tasks")
    assert answer.headers["Retry-After"] == "5"


async def test_the_log_of_a_request_names_its_task() -> None:
    async with serving() as site:
        with capture_logs() as logs:
            answer = await site.run()

    (entry,) = [entry for entry in logs if entry["event"] == "request"]
    assert entry["task_id"] == answer.document["id"]


@pytest.mark.parametrize("path", ["/nowhere", "/v1.1/_noop"])
async def test_a_body_where_none_belongs_is_not_read_without_a_bound(path: str) -> None:
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n".encode()
        )
        status_line = await asyncio.wait_for(reader.readline(), 60)
        writer.close()

    assert status_line.split()[1] in (b"400", b"404", b"405", b"413")
