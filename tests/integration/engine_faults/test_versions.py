"""Engines of other API versions, and one that changes its version."""

import pytest

from ecs.tasks.states import Outcome
from tests.fake_engine import Connection, FakeEngine, Request
from tests.harness import Ecs
from tests.integration.engine_faults.faults import BROKEN, engine_code, nothing_is_left


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        pytest.param({"Api_Version": "1.40"}, "1.41 or newer", id="too old"),
        pytest.param({"Api_Version": "0.99"}, "1.41 or newer", id="much too old"),
        pytest.param({}, "no Docker API version", id="none"),
        pytest.param({"Api_Version": "new"}, "no Docker API version", id="a word"),
        pytest.param({"Api_Version": "1"}, "no Docker API version", id="half"),
    ],
)
async def test_an_engine_of_no_known_version_is_not_spoken_to(
    ecs: Ecs, fake: FakeEngine, headers: dict[str, str], said: str
) -> None:
    async def ping(_: Request, connection: Connection) -> None:
        await connection.answer(200, **headers)

    fake.always("ping", ping)
    result = await ecs.run("echo")

    assert engine_code(result) == BROKEN
    assert said in str(result.error)
    assert {request.verb for request in fake.requests} == {"ping"}


@pytest.mark.parametrize(
    ("theirs", "spoken"), [("1.41", "1.41"), ("1.47", "1.47"), ("1.99", "1.51"), ("2.0", "1.51")]
)
async def test_the_lower_of_both_versions_is_spoken(
    ecs: Ecs, fake: FakeEngine, theirs: str, spoken: str
) -> None:
    fake.api_version = theirs

    assert (await ecs.run("echo")).outcome is Outcome.EXITED
    assert {request.version for request in fake.requests if request.verb != "ping"} == {spoken}


@pytest.mark.parametrize(("before", "after"), [("1.51", "1.41"), ("1.41", "1.51")])
async def test_an_engine_that_comes_back_as_another_version_is_understood(
    ecs: Ecs, fake: FakeEngine, before: str, after: str
) -> None:
    fake.api_version = before
    assert (await ecs.run("echo")).outcome is Outcome.EXITED
    await nothing_is_left(ecs, fake)
    await fake.stop()  # and nobody asks anything of it meanwhile
    fake.api_version = after
    await fake.start()

    # One request may fail to find out.
    await ecs.run("echo")
    assert (await ecs.run("echo")).outcome is Outcome.EXITED
