"""What nginx lets through, how often, and whose quota it takes; behind it scripted servers."""

import asyncio
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web

from tests.front_door import API, authorization
from tests.network_namespaces import Host, host
from tests.nginx_alone import build_image, document_of, running_nginx
from tests.waiting import eventually

NOOP = "/v1.1/_noop"
TASKS = "/v1.1/tasks"
SLOW_CONNECTIONS = 200
SLOW_SECONDS = 4  # all are open after one
WRONG_GUESSES = 100


@pytest.fixture(scope="module", autouse=True)
def _image(docker_host: str) -> None:
    build_image()


@pytest.fixture
def stranger() -> Iterator[Host]:
    """Another machine than the one that the tests call from."""
    with host(1) as other:
        yield other


async def statuses(
    session: aiohttp.ClientSession, url: str, times: int, **options: object
) -> Counter[int]:
    async def one() -> int:
        async with session.get(url, **options) as answer:  # type: ignore[arg-type]
            return answer.status

    return Counter(await asyncio.gather(*(one() for _ in range(times))))


async def test_a_client_sets_no_header_that_the_service_believes() -> None:
    async with running_nginx(NGINX_HTTPS_PORT="8443") as nginx:
        auth = nginx.add_key("owner", "secret")
        spoofed = [
            ("X-ECS-Key", "victim"), ("x-ecs-key", "victim"), ("X_ECS_Key", "victim"),
            ("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "http"),
            ("X-Request-ID", "my id with spaces"), ("Connection", "X-ECS-Key"),
        ]  # fmt: skip
        async with (
            nginx.session(auth) as session,
            session.get(nginx.url + NOOP, headers=spoofed) as answer,
        ):
            assert answer.status == 200

        (request,) = nginx.service.requests
        assert request.headers.getall("X-ECS-Key") == ["owner"]
        assert "X_ECS_Key" not in request.headers
        assert request.headers["Host"] == f"{API}:8443"
        assert request.headers["X-Forwarded-Proto"] == "https"
        assert "203.0.113.7" not in request.headers.getall("X-Forwarded-For")
        assert "Authorization" not in request.headers
        assert len(request.headers["X-Request-ID"]) == 32


async def test_another_host_name_over_the_api_s_connection_reaches_nothing() -> None:
    async with running_nginx() as nginx:
        auth = nginx.add_key("owner", "secret")
        async with (
            nginx.session(auth) as session,
            session.get(nginx.url + NOOP, headers={"Host": "evil.example"}) as answer,
        ):
            assert answer.status == 404
            assert "Ephemeral Container Service" in await answer.text()
        assert not nginx.service.requests


@pytest.mark.parametrize("warmed_up", [False, True])
async def test_a_post_is_never_sent_twice(warmed_up: bool) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with running_nginx() as nginx:
        auth = nginx.add_key("owner", "secret")
        async with nginx.session(auth) as session:
            if warmed_up:  # else there is no kept connection that could be found closed
                await statuses(session, nginx.url + NOOP, 3)
                nginx.service.requests.clear()
            nginx.service.answer = hang_up
            async with session.post(nginx.url + TASKS, data=b"once") as answer:
                assert answer.status == 502
        assert [request.method for request in nginx.service.requests] == ["POST"]


async def test_a_key_over_its_own_limit_is_told_so_and_others_are_not_touched() -> None:
    async with running_nginx(
        NGINX_KEY_REQUESTS_PER_SECOND="1", NGINX_KEY_BURST_REQUESTS="3"
    ) as nginx:
        greedy, modest = nginx.add_key("greedy", "s1"), nginx.add_key("modest", "s2")
        async with nginx.session() as session:
            seen = await statuses(session, nginx.url + NOOP, 20, headers=greedy)
            assert set(seen) == {200, 429}
            assert seen[200] >= 4
            async with session.get(nginx.url + NOOP, headers=modest) as answer:
                assert answer.status == 200

            async def refused() -> bool:
                async with session.get(nginx.url + NOOP, headers=greedy) as answer:
                    if answer.status != 429:
                        return False
                    assert answer.headers["Retry-After"] == "1"
                    document = await document_of(answer)
                    assert document["detail"].startswith("this key may send 1 requests a second")
                    assert document["request_id"] == answer.headers["X-Request-ID"]
                    return True

            await eventually(refused)


async def test_a_key_has_so_many_requests_under_way() -> None:
    release = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with running_nginx(NGINX_KEY_CONNECTIONS="2") as nginx:
        auth = nginx.add_key("owner", "secret")
        nginx.service.answer = wait
        async with nginx.session(auth) as session:
            held = [asyncio.create_task(statuses(session, nginx.url + NOOP, 1)) for _ in range(2)]
            await eventually(lambda: len(nginx.service.requests) == 2)
            async with session.get(nginx.url + NOOP) as answer:
                assert answer.status == 429
            release.set()
            assert [await one for one in held] == [Counter({200: 1})] * 2


async def test_wrong_secrets_take_nothing_of_the_owner_s_quota() -> None:
    async with running_nginx(
        NGINX_KEY_REQUESTS_PER_SECOND="1", NGINX_KEY_BURST_REQUESTS="3"
    ) as nginx:
        right = nginx.add_key("owner", "secret")
        wrong = authorization("owner", "guess")
        async with nginx.session() as session:
            seen = await statuses(session, nginx.url + NOOP, WRONG_GUESSES, headers=wrong)
            assert seen == Counter({401: WRONG_GUESSES})
            assert await statuses(session, nginx.url + NOOP, 4, headers=right) == Counter({200: 4})


async def test_one_address_over_its_limit_leaves_the_others_alone(stranger: Host) -> None:
    async with running_nginx(
        NGINX_ADDRESS_REQUESTS_PER_SECOND="1", NGINX_ADDRESS_BURST_REQUESTS="5"
    ) as nginx:
        auth = nginx.add_key("owner", "secret")
        where = f"{API}:{nginx.https_port}"
        codes = stranger.run(
            "curl", "-sk", "--resolve", f"{where}:{stranger.gateway}",
            "-o", "/dev/null", "-w", "%{http_code}\n", f"https://{where}/[1-30]",
        ).split()  # fmt: skip
        assert set(codes) == {"401", "429"}
        async with nginx.session(auth) as session, session.get(nginx.url + NOOP) as answer:
            assert answer.status == 200
        assert f'"remote_ip": "{stranger.address}"' in nginx.log()


@pytest.mark.parametrize("mode", ["-H", "-B", "-X"], ids=["headers", "body", "read"])
async def test_slow_connections_of_one_address_stop_nobody_else(stranger: Host, mode: str) -> None:
    async with running_nginx() as nginx:
        auth = nginx.add_key("owner", "secret")
        attack = await asyncio.create_subprocess_exec(
            *stranger.command(
                "slowhttptest", mode, "-c", str(SLOW_CONNECTIONS), "-r", str(SLOW_CONNECTIONS),
                "-i", "1", "-l", str(SLOW_SECONDS), "-u", f"https://{stranger.gateway}:{nginx.https_port}/",
            ),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with nginx.session(auth) as session:
                served = 0
                while attack.returncode is None:
                    assert await statuses(session, nginx.url + NOOP, 1) == Counter({200: 1})
                    served += 1
                    await asyncio.sleep(0.2)  # below the key's own limit
                assert served
        finally:
            with suppress(ProcessLookupError):
                attack.kill()
            await attack.wait()


async def test_who_sends_no_headers_or_no_body_in_time_is_cut_off() -> None:
    async with running_nginx(
        NGINX_HEADER_TIMEOUT_SECONDS="1", NGINX_BODY_TIMEOUT_SECONDS="1"
    ) as nginx:
        auth = nginx.add_key("owner", "secret")["Authorization"]
        head = f"POST {TASKS} HTTP/1.1\r\nHost: {API}\r\n"
        for sent in (head, f"{head}Authorization: {auth}\r\nContent-Length: 10\r\n\r\nhalf"):
            with nginx.connection() as connection:
                connection.sendall(sent.encode())
                answer = await asyncio.to_thread(connection.recv, 65536)
                assert not answer or answer.startswith(b"HTTP/1.1 408 ")
        assert not nginx.service.requests


async def test_plain_http_leads_to_the_configured_names_alone() -> None:
    async with running_nginx(NGINX_HTTPS_PORT="8443") as nginx, nginx.session() as session:
        for sent, led in {
            API: f"https://{API}:8443/a?b=c",
            "evil.example": f"https://{API}:8443/a?b=c",
            f"docs.{API}": f"https://docs.{API}:8443/a?b=c",
        }.items():
            async with session.get(
                f"http://{API}:{nginx.http_port}/a?b=c",
                headers={"Host": sent}, allow_redirects=False,
            ) as answer:  # fmt: skip
                assert (answer.status, answer.headers["Location"]) == (308, led)


@pytest.mark.parametrize(("profile", "spoken"), [("intermediate", "TLSv1.2"), ("modern", None)])
async def test_the_modern_profile_speaks_tls_1_3_alone(profile: str, spoken: str | None) -> None:
    async with running_nginx(NGINX_TLS_PROFILE=profile) as nginx:
        with nginx.connection() as connection:
            assert connection.version() == "TLSv1.3"
        nginx.trust.maximum_version = ssl.TLSVersion.TLSv1_2
        if spoken is None:
            with pytest.raises(ssl.SSLError):
                nginx.connection()
        else:
            with nginx.connection() as connection:
                assert connection.version() == spoken


async def test_a_live_stream_is_passed_on_as_it_comes_and_a_slow_answer_awaited() -> None:
    go_on = asyncio.Event()

    async def live(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Trailer": "X"})
        await answer.prepare(request)
        await answer.write(b"first\n")
        await go_on.wait()
        await answer.write(b"second\n")
        return answer

    async with running_nginx() as nginx:
        auth = nginx.add_key("owner", "secret")
        nginx.service.answer = live
        async with (
            nginx.session(auth) as session,
            session.post(nginx.url + TASKS, data=b"{}") as answer,
        ):
            assert await answer.content.readline() == b"first\n"
            go_on.set()
            assert await answer.content.read() == b"second\n"
            assert "X-Accel-Buffering" not in answer.headers
            assert "Trailer" not in answer.headers
