"""Every error that nginx makes is branded: a problem for the API, a page for everybody else."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from html.parser import HTMLParser

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from jsonschema import Draft202012Validator

from ecs.jsonschemas import load_schema
from tests.front_door import API, authorization
from tests.nginx_alone import (
    Nginx,
    build_image,
    directory_for_nginx,
    document_of,
    make_certificate,
    run_arguments,
    running_nginx,
)

NOOP = "/v1.1/_noop"
TASKS = "/v1.1/tasks"
BODY = b"x" * 6000
LONG = "a" * 9000
PROBLEM = Draft202012Validator(load_schema("problem"))

# They share the loop on which the servers behind nginx run.
pytestmark = pytest.mark.asyncio(loop_scope="module")

Ask = Callable[[aiohttp.ClientSession, str], Awaitable[aiohttp.ClientResponse]]


@pytest.fixture(scope="module", autouse=True)
def _image(docker_host: str) -> None:
    build_image()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Nginx]:
    async with running_nginx(NGINX_ANSWER_TIMEOUT_SECONDS="1") as running:
        yield running


@pytest.fixture
def nginx(shared: Nginx) -> Iterator[Nginx]:
    """One that knows no key, in front of servers that answer well."""
    yield shared
    shared.keys.revoke("owner")
    shared.service.answer = shared.apidocs.answer = None


class Text(HTMLParser):
    """What a person reads of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.words += data.split()


async def assert_is_problem(answer: aiohttp.ClientResponse, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Strict-Transport-Security"]
    document = await document_of(answer)
    PROBLEM.validate(document)
    assert document["status"] == status
    assert document["request_id"] == answer.headers["X-Request-ID"]
    assert "%" not in str(document)


async def assert_is_page(answer: aiohttp.ClientResponse, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Strict-Transport-Security"]
    page = await answer.text()
    words = Text(page).words
    assert str(status) in words
    assert answer.headers["X-Request-ID"] in words
    assert "<!--" not in page
    assert "nginx" not in page


def asking(method: str, path: str, **options: object) -> Ask:
    async def ask(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
        return await session.request(method, url + path, **options)  # type: ignore[arg-type]

    return ask


ERRORS = {
    400: asking("GET", "/", headers={"Content-Length": "no number"}),
    404: asking("GET", "/random"),
    405: asking("TRACE", "/"),
    413: asking("POST", TASKS, data=BODY),
    414: asking("GET", f"/{LONG}"),
    431: asking("GET", "/", headers={"X-Long": LONG}),
}


@pytest.mark.parametrize("status", ERRORS)
async def test_what_nginx_refuses_by_itself_is_a_problem(nginx: Nginx, status: int) -> None:
    auth = nginx.add_key("owner", "secret")
    async with nginx.session(auth) as session, await ERRORS[status](session, nginx.url) as answer:
        await assert_is_problem(answer, status)


@pytest.mark.parametrize("status", [status for status in ERRORS if status != 404])
async def test_what_nginx_refuses_by_itself_is_a_page_for_the_documentation(
    nginx: Nginx, status: int
) -> None:
    async with nginx.session() as session, await ERRORS[status](session, nginx.docs_url) as answer:
        await assert_is_page(answer, status)


async def test_401_asks_for_a_key(nginx: Nginx) -> None:
    nginx.add_key("owner", "secret")
    async with nginx.session() as session, session.get(nginx.url + NOOP) as answer:
        await assert_is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="ECS"'


async def test_403_tells_that_there_are_no_keys_at_all() -> None:
    auth = authorization("owner", "secret")
    async with (
        running_nginx() as nginx,
        nginx.session(auth) as session,
        session.get(nginx.url + NOOP) as answer,
    ):
        await assert_is_problem(answer, 403)


async def test_429_says_when_to_try_again() -> None:
    limits = {
        "NGINX_KEY_REQUESTS_PER_SECOND": "1",
        "NGINX_KEY_BURST_REQUESTS": "1",
        "NGINX_ADDRESS_REQUESTS_PER_SECOND": "1",
        "NGINX_ADDRESS_BURST_REQUESTS": "2",
    }
    async with running_nginx(**limits) as nginx, nginx.session() as session:
        session.headers.update(nginx.add_key("owner", "secret"))
        for url, check in ((nginx.url + NOOP, assert_is_problem), (nginx.docs_url, assert_is_page)):
            for _ in range(10):
                async with session.get(url) as answer:
                    if answer.status == 429:
                        await check(answer, 429)
                        assert answer.headers["Retry-After"] == "1"
                        break
            else:
                pytest.fail(f"{url} was never refused")


async def test_500_when_nginx_cannot_keep_a_body() -> None:
    # What is over nginx's buffer goes to a file, and there is no room for that.
    async with running_nginx(run_size="64k", NGINX_MAX_BODY_BYTES="1000000") as nginx:
        auth = nginx.add_key("owner", "secret")
        async with (
            nginx.session(auth) as session,
            session.post(nginx.url + TASKS, data=b"x" * 900_000) as answer,
        ):
            await assert_is_problem(answer, 500)


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


async def test_502_when_the_service_hangs_up(nginx: Nginx) -> None:
    auth = nginx.add_key("owner", "secret")
    nginx.service.answer = nginx.apidocs.answer = hang_up
    async with nginx.session(auth) as session:
        async with session.get(nginx.url + NOOP) as answer:
            await assert_is_problem(answer, 502)
        async with session.get(nginx.docs_url) as answer:
            await assert_is_page(answer, 502)


async def test_503_of_the_service_passes_as_it_is(nginx: Nginx) -> None:
    own = {"code": "draining"}

    async def drain(request: web.Request) -> web.StreamResponse:
        return web.json_response(own, status=503, headers={"Retry-After": "7"})

    auth = nginx.add_key("owner", "secret")
    nginx.service.answer = drain
    async with nginx.session(auth) as session, session.get(nginx.url + NOOP) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
        assert await answer.json() == own


async def test_504_when_the_service_is_silent_for_too_long(nginx: Nginx) -> None:
    released = asyncio.Event()

    async def say_nothing(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    auth = nginx.add_key("owner", "secret")
    nginx.service.answer = say_nothing
    async with nginx.session(auth) as session, session.get(nginx.url + NOOP) as answer:
        await assert_is_problem(answer, 504)
        released.set()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 414, 429, 500, 502, 503, 504])
async def test_every_error_of_the_documentation_is_the_page(nginx: Nginx, status: int) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="its own words")

    nginx.apidocs.answer = fail
    async with nginx.session() as session, session.get(nginx.docs_url) as answer:
        await assert_is_page(answer, status)
        assert ("Retry-After" in answer.headers) == (status in (429, 503))


async def test_an_unknown_name_gets_the_page(nginx: Nginx) -> None:
    async with (
        nginx.session() as session,
        session.get(f"https://x.localhost:{nginx.https_port}/", ssl=False) as answer,
    ):
        await assert_is_page(answer, 404)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET / HTTP/3.1\r\nHost: ecs.localhost",
        "POST / HTTP/1.1\r\nHost: ecs.localhost\r\nTransfer-Encoding: x",
        "\x00",
    ],
    ids=["version", "transfer coding", "garbage"],
)
async def test_what_is_no_http_is_a_problem_too(nginx: Nginx, request_line: str) -> None:
    with nginx.connection() as connection:
        connection.sendall(f"{request_line}\r\n\r\n".encode())
        received = await asyncio.to_thread(read_all, connection)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    PROBLEM.validate(json.loads(body))


def read_all(connection: ssl.SSLSocket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


async def test_plain_http_on_the_tls_port_is_told_so(nginx: Nginx) -> None:
    async with (
        nginx.session() as session,
        session.get(f"http://{API}:{nginx.https_port}/") as answer,
    ):
        await assert_is_problem(answer, 400)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("NGINX_DOMAIN", "a b"), ("NGINX_DOMAIN", "x;}"), ("NGINX_MAX_BODY_BYTES", "5k")],
)
async def test_a_value_that_is_not_allowed_ends_the_start_in_one_line(
    setting: str, value: str
) -> None:
    with directory_for_nginx() as directory:
        make_certificate(directory)
        done = await asyncio.to_thread(
            subprocess.run,
            ["docker", "run", "--rm", *run_arguments(directory, {setting: value})],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f'render: {setting} = "{value}" is not allowed: it takes ')
    assert len(done.stderr.splitlines()) == 1
