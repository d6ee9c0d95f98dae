"""The service over an engine that is not there, or not well: it serves, and says what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from ecs.jsonschemas import load_schema
from tests.client import Answer, Caller, calling, events
from tests.conftest import StartService
from tests.fake_engine import (
    DAEMON_ERROR,
    REMOTE_IMAGE,
    STDOUT,
    FakeEngine,
    Script,
    answers,
    attached,
    closes,
    fake_engine,
    frame,
    hangs,
    hangs_after_head,
    sends,
    streams,
)
from tests.integration.engine_faults import faults
from tests.service_log import logged, seen
from tests.services import ECService
from tests.waiting import eventually

PROBLEM = Draft202012Validator(load_schema("problem"))
HEALTH = Draft202012Validator(load_schema("health"))
PATIENT_SECONDS = 60

FAULTS = {
    name: faults.FAULTS[name].script
    for name in (
        "answers 500",
        "answers 500 without a word",
        "answers garbage",
        "closes at once",
        "closes within the headers",
        "closes within a chunk",
        "never answers",
        "never ends its answer",
    )
}
"""A service takes its time to start: not every fault is tried on one."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_fake() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def shared(
    shared_fake: FakeEngine, shared_ecservice: StartService
) -> AsyncIterator[tuple[FakeEngine, ECService]]:
    """An engine that is well before and after each test, and a service on it."""
    service = await shared_ecservice(
        DOCKER_HOST=shared_fake.docker_host,
        ECS_ENGINE_TIMEOUT_SECONDS="0.5",
        ECS_PULL_TIMEOUT_SECONDS="0.5",
    )
    yield shared_fake, service
    shared_fake.behave()
    await eventually(lambda: not shared_fake.containers, PATIENT_SECONDS)
    assert not bugs(service)


ON_SHARED_LOOP = pytest.mark.asyncio(loop_scope="module")
"""The engine that tests share runs on it."""


async def service_on(
    fake: FakeEngine, ecservice: StartService, *, ready: bool = True, **settings: str
) -> ECService:
    return await ecservice(
        ready=ready, DOCKER_HOST=fake.docker_host, ECS_ENGINE_TIMEOUT_SECONDS="1", **settings
    )


@asynccontextmanager
async def service_on_failing_engine(
    ecservice: StartService, verb: str, fault: Script, *, ready: bool = True, **settings: str
) -> AsyncIterator[tuple[FakeEngine, Caller]]:
    """An engine of its own that fails so until told to behave, and a caller of a service on it."""
    async with fake_engine() as fake:
        fake.always(verb, fault)
        service = await service_on(fake, ecservice, ready=ready, **settings)
        async with calling(service.url) as caller:
            yield fake, caller
        await service.stop()


def refused(answer: Answer) -> tuple[int, str]:
    """Status and code of a problem."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    PROBLEM.validate(answer.document)
    assert answer.document["status"] == answer.status
    assert answer.document["request_id"] == answer.headers["X-Request-ID"]
    return answer.status, answer.document["code"]


async def is_ready(caller: Caller) -> bool:
    return (await caller.get("/readyz")).status == 200


async def health(caller: Caller) -> tuple[int, str, dict[str, str]]:
    """Status and colour of the whole, and what is told of the engine."""
    answer = await caller.get("/v1.1/_health?quick=false")
    HEALTH.validate(answer.document)
    document = answer.document
    return answer.status, document["status"], document["details"]["docker_remote_api"]


def bugs(service: ECService) -> list[str]:
    return [line["event"] for line in service.log_lines() if "bug" in line["event"]]


async def test_a_service_without_an_engine_serves_and_is_ready_once_there_is_one(
    fake: FakeEngine, ecservice: StartService
) -> None:
    await fake.stop()
    service = await ecservice(ready=False, DOCKER_HOST=fake.docker_host)
    async with calling(service.url) as caller:
        await eventually(seen(service, 1, "no engine"), PATIENT_SECONDS)

        assert (await caller.get("/livez")).status == 200
        assert (await caller.get("/readyz")).status == 503
        assert (await caller.get("/v1.1/_noop")).status == 200
        assert (await caller.get("/v1.1/_health?quick=true")).status == 200
        status, colour, engine = await health(caller)
        assert (status, colour, engine["connectivity"]) == (503, "red", "red")
        assert refused(await caller.run("echo")) == (502, "engine_unreachable")

        await fake.start()
        await eventually(lambda: is_ready(caller), PATIENT_SECONDS)
        status, colour, _ = await health(caller)
        assert (status, colour) == (200, "green")
        answer = await caller.run("echo", "hello")
        assert (answer.status, answer.stdout) == (201, b"hello\n")


async def test_an_absent_engine_is_logged_once_and_not_every_second(
    fake: FakeEngine, ecservice: StartService
) -> None:
    fake.always("ping", answers(503))
    service = await ecservice(ready=False, DOCKER_HOST=fake.docker_host)

    await eventually(lambda: fake.count("ping") >= 3, PATIENT_SECONDS)

    (complaint,) = logged(service, "no engine")
    assert complaint["docker_host"] == fake.docker_host


async def test_a_service_stops_well_while_it_waits_for_an_engine_that_never_answers(
    fake: FakeEngine, ecservice: StartService
) -> None:
    fake.always("ping", hangs)
    service = await ecservice(ready=False, DOCKER_HOST=fake.docker_host)
    await eventually(lambda: fake.count("ping"), PATIENT_SECONDS)

    await service.stop()


@pytest.mark.parametrize("verb", ["ping", "info"])
async def test_services_outlive_engines_that_begin_badly(
    ecservice: StartService, verb: str
) -> None:
    async def outlives(fault: Script) -> None:
        async with service_on_failing_engine(ecservice, verb, fault, ready=False) as (fake, caller):
            await eventually(lambda: fake.count(verb) >= 2, PATIENT_SECONDS)
            assert not await is_ready(caller)

            fake.behave()
            await eventually(lambda: is_ready(caller), PATIENT_SECONDS)
            assert (await caller.run("echo")).status == 201

    await each_at_once(outlives)


@pytest.mark.parametrize("verb", ["network", "list"])
async def test_services_outlive_engines_that_go_on_badly(
    ecservice: StartService, verb: str
) -> None:
    async def outlives(fault: Script) -> None:
        async with service_on_failing_engine(
            ecservice, verb, fault, ECS_SWEEP_INTERVAL_SECONDS="0.1"
        ) as (fake, caller):
            if verb == "list":
                await eventually(lambda: fake.count("list") >= 2, PATIENT_SECONDS)
            assert (await caller.run("echo")).status == 201
            fake.behave()
            await eventually(lambda: fake.count("list") >= 3, PATIENT_SECONDS)

    await each_at_once(outlives)


async def each_at_once(test: Callable[[Script], Awaitable[None]]) -> None:
    """Test every fault with an engine and a service of its own: most of that is waiting."""
    failures = await asyncio.gather(*map(test, FAULTS.values()), return_exceptions=True)
    assert dict(zip(FAULTS, failures, strict=True)) == dict.fromkeys(FAULTS)


@ON_SHARED_LOOP
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failing_engine_is_a_502(shared: tuple[FakeEngine, ECService], fault: str) -> None:
    fake, service = shared
    async with calling(service.url) as caller:
        for verb in ("inspect_image", "create", "attach", "wait", "start"):
            # A stream that has begun may stay silent; only a deadline ends that.
            if verb in ("attach", "wait") and fault == "never ends its answer":
                continue
            fake.always(verb, FAULTS[fault])
            status, code = refused(await caller.run("sleep", "3600", timeout_seconds=1))
            assert (verb, status) == (verb, 502)
            assert code in {"engine_error", "engine_unreachable"}
            fake.behave()

        assert (await caller.run("echo")).status == 201


@ON_SHARED_LOOP
@pytest.mark.parametrize(
    ("fault", "connectivity"),
    [
        ("answers 500", "green"),
        ("answers garbage", "green"),
        ("closes at once", "red"),
        ("never answers", "red"),
    ],
)
async def test_the_health_of_a_failing_engine_is_red(
    shared: tuple[FakeEngine, ECService], fault: str, connectivity: str
) -> None:
    fake, service = shared
    async with calling(service.url) as caller:
        fake.always("ping", FAULTS[fault])
        status, colour, engine = await health(caller)

    assert (status, colour) == (503, "red")
    assert (engine["connectivity"], engine["api_version"]) == (connectivity, "red")


@ON_SHARED_LOOP
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        pytest.param(answers(404, {"message": "no such"}), 404, "image_not_found", id="404"),
        pytest.param(
            answers(500, {"message": "unauthorized: who?"}), 403, "image_access_denied", id="denied"
        ),
        pytest.param(answers(500, {"message": "boom"}), 502, "image_pull_failed", id="failed"),
        pytest.param(answers(500), 502, "image_pull_failed", id="failed without a word"),
        pytest.param(answers(404), 404, "image_not_found", id="404 without a word"),
        pytest.param(
            streams(b'{"errorDetail": {"message": ""}, "error": ""}\n'),
            502,
            "image_pull_failed",
            id="in-band without a word",
        ),
        pytest.param(hangs, 504, "image_pull_timed_out", id="never answers"),
        pytest.param(hangs_after_head, 504, "image_pull_timed_out", id="never goes on"),
        pytest.param(closes, 502, "engine_unreachable", id="closes"),
        pytest.param(sends(b"\xff\r\n\r\n"), 502, "engine_error", id="garbage"),
    ],
)
async def test_a_failing_pull_is_told_with_its_own_status(
    shared: tuple[FakeEngine, ECService], script: Script, status: int, code: str
) -> None:
    fake, service = shared
    async with calling(service.url) as caller:
        fake.next("pull", script)
        assert refused(await caller.run("echo", image=REMOTE_IMAGE)) == (status, code)


@ON_SHARED_LOOP
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param({"message": "invalid mount"}, "invalid mount", id="with a message"),
        pytest.param({"message": ""}, None, id="with an empty message"),
        pytest.param(None, None, id="without a word"),
    ],
)
async def test_what_the_engine_refuses_is_a_422_in_its_own_words(
    shared: tuple[FakeEngine, ECService], body: object, detail: str | None
) -> None:
    fake, service = shared
    async with calling(service.url) as caller:
        fake.next("create", answers(400, body))
        answer = await caller.run("echo")

        assert refused(answer) == (422, "engine_refused")
        assert detail is None or answer.document["detail"] == detail


@ON_SHARED_LOOP
async def test_a_stream_of_events_ends_with_the_problem(
    shared: tuple[FakeEngine, ECService],
) -> None:
    fake, service = shared
    async with calling(service.url) as caller:
        breaks = attached(frame(STDOUT, b"half ") + frame(DAEMON_ERROR, b"disk gone"))
        fake.next("attach", breaks)
        async with caller.stream("text/event-stream", "sleep", "3600") as response:
            *_, last = [event async for event in events(response)]

        assert last.name == "result"
        assert last.document["state"] == "SYSTEM_ERROR"
        assert last.document["exitCode"] is None
        PROBLEM.validate(last.document["problem"])
        assert last.document["problem"]["code"] == "engine_error"


async def test_an_engine_whose_api_is_too_old_is_not_used(
    fake: FakeEngine, ecservice: StartService
) -> None:
    fake.api_version = "1.40"
    service = await ecservice(ready=False, DOCKER_HOST=fake.docker_host)
    async with calling(service.url) as caller:
        await eventually(lambda: fake.count("ping") >= 2, PATIENT_SECONDS)

        assert not await is_ready(caller)
        answer = await caller.run("echo")
        assert refused(answer) == (502, "engine_error")
        assert "1.41 or newer" in answer.document["detail"]
        status, _, engine = await health(caller)
        assert status == 503
        assert (engine["connectivity"], engine["api_version"]) == ("green", "red")

        fake.api_version = "1.41"
        await eventually(lambda: is_ready(caller), PATIENT_SECONDS)


async def test_an_engine_from_the_future_is_spoken_to_in_our_version(
    fake: FakeEngine, ecservice: StartService
) -> None:
    fake.api_version = "1.99"
    service = await service_on(fake, ecservice)
    async with calling(service.url) as caller:
        assert (await caller.run("echo")).status == 201
        _, _, engine = await health(caller)

    assert engine["engine_api_version"] == "1.99"
    assert {request.version for request in fake.requests} == {"", "1.51"}


async def test_a_service_whose_engine_vanished_stops_in_time(
    fake: FakeEngine, ecservice: StartService
) -> None:
    service = await service_on(fake, ecservice)
    async with calling(service.url) as caller:
        fake.always("delete", hangs)
        assert (await caller.run("echo")).status == 201
        await fake.stop()

        await service.stop()

    assert service.log_lines()[-1]["event"] == "stopped"
