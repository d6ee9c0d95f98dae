"""What every path answers that needs no container and no engine."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from structlog.testing import capture_logs

from ecs import __version__
from ecs.jsonschemas import load_schema
from ecs.request_handlers.base import OpenAnswers
from tests.unit.request_handlers.serving import Answer, Site, serving

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as site:
        yield site


def check(answer: Answer, schema: str) -> None:
    Draft202012Validator(load_schema(schema)).validate(answer.document)


def check_problem(answer: Answer, status: int, code: str) -> None:
    check(answer, "problem")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, answer.document["status"]) == (status, status)
    assert answer.document["code"] == code
    assert answer.document["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("name", ["noop", "version", "health"])
async def test_an_answer_fits_its_schema_and_links_to_itself(
    name: str, slash: str, site: Site
) -> None:
    path = f"/v1.1/_{name}{slash}"

    answer = await site.ask("GET", path)

    assert answer.status == 200
    check(answer, name)
    assert answer.document["links"]["self"]["href"] == f"http://127.0.0.1:{site.port}{path}"


async def test_the_version_is_the_packages(site: Site) -> None:
    answer = await site.ask("GET", "/v1.1/_version")

    assert answer.document["version"] == __version__


@pytest.mark.parametrize("name", ["noop", "version", "health"])
async def test_no_answer_tells_what_the_service_is_made_with(name: str, site: Site) -> None:
    answer = await site.ask("GET", f"/v1.1/_{name}")

    assert answer.headers["Server"] == "ecs"
    assert "Etag" not in answer.headers


async def test_full_health_is_red_when_the_engine_is_not_there(site: Site) -> None:
    answer = await site.ask("GET", "/v1.1/_health?quick=false")

    assert answer.status == 503
    check(answer, "health")
    engine = answer.document["details"]["docker_remote_api"]
    assert (engine["connectivity"], engine["api_version"]) == ("red", "red")


@pytest.mark.parametrize("quick", ["", "1", "True", "yes"])
async def test_quick_is_true_or_false(quick: str, site: Site) -> None:
    answer = await site.ask("GET", f"/v1.1/_health?quick={quick}")

    check_problem(answer, 400, "invalid_request")
    assert [error["pointer"] for error in answer.document["errors"]] == ["/quick"]


@pytest.mark.parametrize("path", ["/", "/v1.1", "/v1.1/task", "/v1.1/tasks/x", "/livez/", "/%00"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_path_that_is_none_is_a_problem(method: str, path: str, site: Site) -> None:
    check_problem(await site.ask(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1.1/tasks", "POST"),
        ("PUT", "/v1.1/tasks/", "POST"),
        ("POST", "/v1.1/_noop", "GET"),
        ("DELETE", "/v1.1/_version", "GET"),
        ("PATCH", "/livez", "GET"),
    ],
)
async def test_a_method_that_is_none_is_told_with_those_that_are(
    method: str, path: str, allowed: str, site: Site
) -> None:
    answer = await site.ask(method, path)

    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("given", ["r1", "a.b_c-D9", "x" * 128])
async def test_the_callers_request_id_comes_back(given: str, site: Site) -> None:
    answer = await site.ask("GET", "/v1.1/_noop", headers={"X-Request-ID": given})

    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"b', "é"])
async def test_a_request_id_that_is_none_is_replaced(given: str, site: Site) -> None:
    answer = await site.ask("GET", "/v1.1/_noop", headers={"X-Request-ID": given})

    assert answer.headers["X-Request-ID"] not in ("", given)


async def test_a_service_is_ready_until_it_drains(site: Site) -> None:
    ready = await site.ask("GET", "/readyz")
    await site.services.dispatcher.drain()
    draining = await site.ask("GET", "/readyz")
    alive = await site.ask("GET", "/livez")

    assert [ready.status, draining.status, alive.status] == [200, 503, 200]
    assert draining.document == {"status": "draining"}


async def test_a_service_is_not_ready_before_it_met_its_engine(site: Site) -> None:
    site.services.engine_met = False

    answer = await site.ask("GET", "/readyz")

    assert (answer.status, answer.document) == (503, {"status": "waiting for the engine"})


async def test_a_bug_is_told_without_its_cause_which_is_in_the_log(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("with a secret")

    monkeypatch.setattr(site.services.dispatcher, "submit", stumble)

    with capture_logs() as logs:
        answer = await site.run()

    check_problem(answer, 500, "internal_server_error")
    assert b"secret" not in answer.body
    (bug,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert bug["exc_info"][0] is ZeroDivisionError


@pytest.mark.parametrize(
    ("path", "level"), [("/livez", "debug"), ("/v1.1/_noop", "debug"), ("/v1.1/_version", "info")]
)
async def test_what_is_asked_all_the_time_is_logged_for_debugging_only(
    path: str, level: str, site: Site
) -> None:
    with capture_logs() as logs:
        await site.ask("GET", path)

    assert [entry["log_level"] for entry in logs if entry["event"] == "request"] == [level]


async def test_a_request_is_logged_with_its_id_and_its_status(site: Site) -> None:
    with capture_logs() as logs:
        await site.ask("GET", "/nowhere", headers={"X-Request-ID": "r1"})

    (entry,) = [entry for entry in logs if entry["event"] == "request"]
    assert (entry["request_id"], entry["method"], entry["path"]) == ("r1", "GET", "/nowhere")
    assert (entry["status"], entry["remote_ip"]) == (404, "127.0.0.1")


async def test_all_answers_are_sent_when_the_last_one_is() -> None:
    answers = OpenAnswers()
    await answers.all_sent()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        with answers.one():
            with answers.one():
                waiting = group.create_task(answers.all_sent())
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert answers.count == 1
            assert not waiting.done()

    assert answers.count == 0
