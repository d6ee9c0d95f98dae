"""Which images of earlier versions are deleted, by an engine that does as it is told."""

import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.tasks.old_images import delete_old_images
from tests.fake_engine import FakeEngine, Script, answers, closes, fake_engine, image_id

OWN = ImageReference.parse("ecs.invalid/program:0123456789ab")
DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600
"""More than lies between the collection of the tests, when ages are counted, and any of them."""


def listed(*names: str, age_seconds: float = DAY_SECONDS + HOUR_SECONDS) -> dict[str, object]:
    return {"RepoTags": [*names], "Created": int(time.time() - age_seconds)}


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        yield engine


@pytest.fixture
async def api(engine: FakeEngine) -> AsyncIterator[DockerRemoteApi]:
    async with DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=5) as api:
        yield api


def has(engine: FakeEngine, *names: str) -> None:
    engine.images |= {name: image_id(name) for name in names}


def deleted(engine: FakeEngine) -> list[str]:
    return [request.target for request in engine.requests if request.verb == "delete_image"]


@pytest.mark.parametrize(
    ("image", "names"),
    [
        (listed("ecs.invalid/program:old"), ["ecs.invalid/program:old"]),
        (listed("ecs.invalid/program:a", "mine:1"), ["ecs.invalid/program:a"]),
        (listed("ecs.invalid/program:young", age_seconds=DAY_SECONDS - HOUR_SECONDS), []),
        (listed(str(OWN)), []),
        (listed("docker.io/library/program:old"), []),
        (listed("ecs.invalid/programs:old"), []),
        (listed("<none>:<none>"), []),
        ({**listed(), "RepoTags": None}, []),
    ],
)
async def test_old_images_of_the_same_name_are_deleted_and_no_others(
    engine: FakeEngine, api: DockerRemoteApi, image: dict[str, object], names: list[str]
) -> None:
    has(engine, *names)
    engine.always("list_images", answers(200, [image]))

    await delete_old_images(api, OWN, "ecs.program")

    assert deleted(engine) == names


async def test_one_that_is_in_use_or_gone_is_passed_over(
    engine: FakeEngine, api: DockerRemoteApi
) -> None:
    names = [f"ecs.invalid/program:{number}" for number in range(3)]
    has(engine, names[2])
    engine.always("list_images", answers(200, [listed(name) for name in names]))
    engine.next("delete_image", answers(409, {"message": "conflict: container x is using it"}))

    with capture_logs() as logs:
        await delete_old_images(api, OWN, "ecs.program")

    assert deleted(engine) == names
    assert [(entry["event"], entry["image"]) for entry in logs] == [
        ("image of another version deleted", names[2])
    ]


@pytest.mark.parametrize(
    ("verb", "script"),
    [
        ("list_images", answers(500, {"message": "no"})),
        ("list_images", closes),
        ("list_images", answers(200, {"images": []})),
        ("list_images", answers(200, [{"RepoTags": [], "Created": "long ago"}])),
        ("delete_image", answers(500, {"message": "no"})),
    ],
)
async def test_an_engine_that_fails_is_reported_and_nobodys_failure(
    engine: FakeEngine, api: DockerRemoteApi, verb: str, script: Script
) -> None:
    engine.always("list_images", answers(200, [listed("ecs.invalid/program:old")]))
    engine.always(verb, script)

    with capture_logs() as logs:
        await delete_old_images(api, OWN, "ecs.program")

    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "images of other versions stay")
    ]
