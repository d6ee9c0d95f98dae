"""Every mistake of a caller gets its status, its code and a sentence; none makes a 500."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from ecs import __version__
from ecs.jsonschemas import load_schema
from tests.client import Answer, Caller, calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.registries import Registry
from tests.services import ECService

PROBLEM = Draft202012Validator(load_schema("problem"))
TASK = {"docker_image": "busybox:latest", "cmd": ["true"]}


@pytest.fixture
async def service(shared_ecservice: StartService) -> ECService:
    return await shared_ecservice()


@pytest.fixture
async def caller(service: ECService) -> AsyncIterator[Caller]:
    async with calling(service.url) as caller:
        yield caller


def problem(answer: Answer) -> tuple[int, str]:
    PROBLEM.validate(answer.document)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.document["request_id"] == answer.headers["X-Request-ID"]
    assert answer.document["status"] == answer.status
    return answer.status, answer.document["code"]


def pointers(answer: Answer) -> list[str]:
    return [error["pointer"] for error in answer.document.get("errors", [])]


BAD_BODIES: dict[str, tuple[bytes, list[str]]] = {
    "empty": (b"", []),
    "not JSON": (b"{", []),
    "not an object": (b"[]", [""]),
    "not UTF-8": (b'{"docker_image": "\xff"}', []),
    "duplicate keys": (b'{"cmd": ["a"], "cmd": ["b"]}', []),
    "nested 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, []),
    "objects nested 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, []),
    "NaN": (b'{"docker_image":"busybox:latest","cmd":["a"],"timeout_seconds":NaN}', []),
    "a number of 10,000 digits": (b'{"timeout_seconds":' + b"9" * 10_000 + b"}", []),
}

BAD_FIELDS: list[tuple[dict[str, Any], list[str]]] = [
    ({"docker_image": 1}, ["/docker_image"]),
    ({"docker_image": "busybox"}, ["/docker_image"]),
    ({"docker_image": "BusyBox:latest"}, ["/docker_image"]),
    ({"docker_image": "busybox:latest\r\nX-Evil: 1"}, ["/docker_image"]),
    ({"docker_image": "a" * 600 + ":1"}, ["/docker_image"]),
    ({"cmd": []}, ["/cmd"]),
    ({"cmd": "true"}, ["/cmd"]),
    ({"cmd": ["true", 1]}, ["/cmd/1"]),
    ({"cmd": ["a\0b"]}, ["/cmd/0"]),
    ({"cmd": ["\ud800"]}, ["/cmd/0"]),
    ({"cmd": ["x"] * 100_000}, ["/cmd"]),
    ({"comand": ["true"]}, ["/comand"]),
    ({"env": {"A=B": "c"}}, ["/env/A=B"]),
    ({"env": {"A": 1}}, ["/env/A"]),
    ({"workdir": "relative"}, ["/workdir"]),
    ({"user": "a b"}, ["/user"]),
    ({"stdin": "no base64!"}, ["/stdin"]),
    ({"timeout_seconds": -1}, ["/timeout_seconds"]),
    ({"timeout_seconds": 0}, ["/timeout_seconds"]),
    ({"timeout_seconds": 1e300}, ["/timeout_seconds"]),
    ({"resources": {"memory_bytes": 1024}}, ["/resources/memory_bytes"]),
    ({"resources": {"memory_bytes": 2**50}}, ["/resources/memory_bytes"]),
    ({"resources": {"cpus": 10_000}}, ["/resources/cpus"]),
    ({"resources": {"pids": 0}}, ["/resources/pids"]),
    ({"network": "host"}, ["/network"]),
    ({"pull": "sometimes"}, ["/pull"]),
    ({"profile": "privileged"}, ["/profile"]),
    ({"profile": "strict", "user": "root"}, ["/user"]),
    ({"profile": "strict", "network": "default"}, ["/network"]),
    ({"labels": {"ecs.instance": "other"}}, ["/labels/ecs.instance"]),
    ({"creds": {"username": "u"}}, ["/creds/password"]),
    ({"creds": {"username": "u", "password": 1, "x": 2}}, ["/creds/x", "/creds/password"]),
]


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_body_that_is_no_task_is_refused(caller: Caller, name: str) -> None:
    body, expected = BAD_BODIES[name]

    answer = await caller.post(body)

    assert problem(answer) == (400, "invalid_request")
    assert pointers(answer) == expected


@pytest.mark.parametrize(("fields", "expected"), BAD_FIELDS, ids=lambda value: str(value)[:40])
async def test_each_bad_field_is_pointed_at(
    caller: Caller, fields: dict[str, Any], expected: list[str]
) -> None:
    answer = await caller.post({**TASK, **fields})

    assert problem(answer) == (400, "invalid_request")
    assert sorted(pointers(answer)) == sorted(expected)


async def test_missing_fields_are_named(caller: Caller) -> None:
    assert pointers(await caller.post({})) == ["/docker_image", "/cmd"]


@pytest.mark.parametrize(
    "image",
    ["127.0.0.1:5000/x:1", "localhost/x:1", "[::1]:5000/x:1", "10.0.0.1/x:1", "2130706433:80/x:1"],
)
async def test_images_from_this_host_or_an_address_are_not_allowed(
    caller: Caller, image: str
) -> None:
    answer = await caller.run("true", image=image)

    assert problem(answer) == (403, "not_allowed")


async def test_an_allow_list_admits_what_it_lists_alone(
    ecservice: StartService, open_registry: Registry, engine: EngineProbe
) -> None:
    pushed = open_registry.push_image(engine)
    service = await ecservice(ECS_ALLOWED_REGISTRIES=open_registry.address)
    async with calling(service.url) as caller:
        listed = await caller.run("cat", "/marker", image=pushed.reference)
        by_digest = await caller.run("cat", "/marker", image=pushed.by_digest)
        unlisted = await caller.run("true", image="registry.example/x:1")
        already_here = await caller.run("echo", "hi")
        not_here = await caller.run("true", image="ecs-no-such-image:1")
        asked_anew = await caller.run("true", pull="always")

    assert listed.stdout.decode().strip() == pushed.marker
    assert by_digest.stdout == listed.stdout
    assert problem(unlisted) == (403, "not_allowed")
    assert already_here.stdout == b"hi\n"
    assert problem(not_here) == (404, "image_not_found")
    assert problem(asked_anew) == (403, "not_allowed")


async def test_what_the_registry_says_is_what_the_caller_is_told(
    ecservice: StartService,
    open_registry: Registry,
    auth_registry: Registry,
    silent_registry: str,
    engine: EngineProbe,
) -> None:
    private = auth_registry.push_image(engine).reference
    assert auth_registry.credentials is not None
    wrong = {"username": auth_registry.credentials.username, "password": "wrong"}
    service = await ecservice(
        ECS_ALLOWED_REGISTRIES=(
            f"{open_registry.address},{auth_registry.address},{silent_registry},127.0.0.1:1"
        ),
        ECS_PULL_TIMEOUT_SECONDS="2",
    )
    async with calling(service.url) as caller:
        missing = await caller.run("true", image=f"{open_registry.address}/missing:1")
        anonymous = await caller.run("true", image=private)
        refused = await caller.run("true", image=private, creds=wrong)
        unreachable = await caller.run("true", image="127.0.0.1:1/x:1")
        silent = await caller.run("true", image=f"{silent_registry}/x:1")
        never = await caller.run("true", image=private, pull="never")

    assert problem(missing) == (404, "image_not_found")
    assert problem(anonymous) == (403, "image_access_denied")
    assert problem(refused) == (403, "image_access_denied")
    assert problem(unreachable) == (502, "image_pull_failed")
    assert problem(silent) == (504, "image_pull_timed_out")
    assert problem(never) == (404, "image_not_found")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(caller: Caller, *, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(1_000_000)

    body = chunks() if chunked else io.BytesIO(bytes(3_000_000))
    async with caller.session.post(
        f"{caller.url}/v1.1/tasks", data=body, headers={"Content-Type": "application/json"}
    ) as response:
        document = await response.json(content_type=None)

    assert (response.status, document["code"]) == (413, "request_too_large")
    assert "1048576" in document["detail"]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_refused(caller: Caller, content_type: str) -> None:
    answer = await caller.post(TASK, {"Content-Type": content_type})

    assert problem(answer) == (415, "unsupported_media_type")


async def test_a_content_type_may_have_parameters(caller: Caller) -> None:
    answer = await caller.post(TASK, {"Content-Type": "Application/JSON; charset=utf-8"})

    assert answer.status == 201


async def test_an_unacceptable_accept_is_refused(caller: Caller) -> None:
    assert problem(await caller.post(TASK, {"Accept": "image/png"})) == (406, "not_acceptable")


async def test_a_user_the_image_does_not_know_is_told_in_the_engines_words(caller: Caller) -> None:
    answer = await caller.run("true", user="nobody-knows-me")

    assert problem(answer) == (502, "engine_error")
    assert "nobody-knows-me" in answer.document["detail"]


async def test_what_the_engine_refuses_is_told_in_its_own_words(ecservice: StartService) -> None:
    service = await ecservice(ECS_STRICT_RUNTIME="no-such-runtime")
    async with calling(service.url) as caller:
        answer = await caller.run("true", profile="strict")

    assert problem(answer) == (422, "engine_refused")
    assert "no-such-runtime" in answer.document["detail"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1.1/tasks", (405, "method_not_allowed")),
        ("PATCH", "/v1.1/_noop", (405, "method_not_allowed")),
        ("BREW", "/v1.1/tasks", (405, "method_not_allowed")),
        ("GET", "/", (404, "not_found")),
        ("POST", "/v1.0/tasks", (404, "not_found")),
        ("GET", "/v1.1/_health?quick=maybe", (400, "invalid_request")),
    ],
)
async def test_wrong_paths_methods_and_queries_are_problems(
    caller: Caller, method: str, path: str, expected: tuple[int, str]
) -> None:
    async with caller.session.request(method, f"{caller.url}{path}") as response:
        document = json.loads(await response.read())

    assert problem(Answer(response.status, response.headers, document)) == expected
    if response.status == 405:
        assert response.headers["Allow"]


@pytest.mark.parametrize("given", ["a b", "x" * 129, "größe", ""])
async def test_a_request_id_that_would_spoil_a_log_is_replaced(caller: Caller, given: str) -> None:
    async with caller.session.get(
        f"{caller.url}/v1.1/_noop", headers={"X-Request-ID": given}
    ) as response:
        assert response.headers["X-Request-ID"] != given


async def test_noop_version_and_health_answer_with_links_to_themselves(caller: Caller) -> None:
    for path, schema in {
        "/v1.1/_noop": "noop",
        "/v1.1/_version": "version",
        "/v1.1/_health": "health",
        "/v1.1/_health?quick=true": "health",
        "/v1.1/_health?quick=false": "health",
    }.items():
        answer = await caller.get(path)
        assert answer.status == 200
        Draft202012Validator(load_schema(schema)).validate(answer.document)
        assert answer.document["links"]["self"]["href"] == f"{caller.url}{path}"
        assert answer.headers["Server"] == "ecs"
    assert (await caller.get("/v1.1/_version")).document["version"] == __version__


async def test_full_health_asks_the_engine(caller: Caller) -> None:
    answer = await caller.get("/v1.1/_health?quick=false")

    engine = answer.document["details"]["docker_remote_api"]
    assert (engine["connectivity"], engine["api_version"]) == ("green", "green")


async def test_probes_are_good_while_the_service_is(caller: Caller) -> None:
    assert (await caller.get("/livez")).document == {"status": "ok"}
    assert (await caller.get("/readyz")).document == {"status": "ok"}


async def test_tasks_beyond_the_queue_are_told_when_to_come_again(ecservice: StartService) -> None:
    service = await ecservice(ECS_MAX_RUNNING_TASKS="1", ECS_MAX_QUEUED_TASKS="1")
    async with calling(service.url) as caller:
        answers = await asyncio.gather(*(caller.run("sleep", "1") for _ in range(6)))

    refused = [answer for answer in answers if answer.status != 201]
    assert len(refused) == 4
    for answer in refused:
        assert problem(answer) == (503, "queue_full")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_a_task_that_waits_too_long_for_its_turn_is_told_so(ecservice: StartService) -> None:
    service = await ecservice(ECS_MAX_RUNNING_TASKS="1", ECS_QUEUE_TIMEOUT_SECONDS="0.5")
    async with calling(service.url) as caller:
        first, second = await asyncio.gather(caller.run("sleep", "4"), caller.run("sleep", "4"))
        if first.status != 201:
            first, second = second, first

    assert first.status == 201
    assert problem(second) == (503, "queue_timed_out")
    assert "Retry-After" in second.headers


async def test_a_key_is_believed_from_a_trusted_proxy_alone(ecservice: StartService) -> None:
    owners = {}
    for trusted in ("127.0.0.0/8", "192.0.2.0/24"):
        service = await ecservice(ECS_TRUSTED_PROXIES=trusted, ECS_LOG_LEVEL="debug")
        async with calling(service.url) as caller:
            await caller.post(TASK, {"X-ECS-Key": "alice"})
        owners[trusted] = [line["owner"] for line in service.log_lines() if "owner" in line]

    assert owners == {"127.0.0.0/8": ["key alice"], "192.0.2.0/24": ["address 127.0.0.1"]}


async def test_a_program_name_that_the_engine_would_hang_on_is_refused(caller: Caller) -> None:
    command = await caller.run("x" * 5000)
    argument = await caller.run("echo", "x" * 131_072)
    variable = await caller.run("true", env={"A": "x" * 131_072})
    longest = await caller.run("sh", "-c", 'printf %s "$1" | wc -c', "sh", "x" * 131_071)

    assert pointers(command) == ["/cmd/0"]
    assert pointers(argument) == ["/cmd/1"]
    assert pointers(variable) == ["/env/A"]
    assert longest.stdout == b"131071\n"


async def test_no_other_path_takes_a_large_body(ecservice: StartService) -> None:
    service = await ecservice()  # whose memory had no peak yet
    before = service.rss_bytes()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(1_000_000)

    async with calling(service.url) as caller:
        with contextlib.suppress(aiohttp.ClientError):
            async with caller.session.post(f"{caller.url}/v1.1/_noop", data=chunks()) as response:
                assert response.status in (400, 405)

        assert (await caller.get("/livez")).status == 200
    assert service.peak_rss_bytes() - before < 20_000_000


async def test_two_services_of_one_name_do_not_run_at_a_time(ecservice: StartService) -> None:
    first = await ecservice()
    second = await ecservice(
        ready=False,
        ECS_INSTANCE=first.instance,
        ECS_STATE_DIRECTORY=first.settings["ECS_STATE_DIRECTORY"],
    )

    assert await second.wait(10) == 1
    assert "a service of that name runs already" in second.log_path.read_text()
