"""The sandboxes' image on the real engine: what it is, and what becomes of earlier versions'."""

import platform
import secrets
from collections.abc import AsyncIterator

import pytest

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.native import sandbox_program
from ecs.tasks import sandbox_image
from ecs.tasks.sandbox_image import SandboxImage
from tests.engines import EngineProbe

NONE_IS_YOUNG = pytest.mark.usefixtures("none_is_young")


@pytest.fixture
def label(monkeypatch: pytest.MonkeyPatch) -> str:
    """One of the test's own, so that no other service's image is old to it."""
    label = f"ecs-test.{secrets.token_hex(4)}"
    monkeypatch.setattr(sandbox_image, "LABEL_SANDBOX", label)
    return label


@pytest.fixture
async def api(docker_host: str) -> AsyncIterator[DockerRemoteApi]:
    async with DockerRemoteApi(EngineAddress(docker_host), timeout_seconds=60) as api:
        yield api


@pytest.fixture
async def images(
    api: DockerRemoteApi, label: str, engine: EngineProbe
) -> AsyncIterator[tuple[SandboxImage, SandboxImage]]:
    """Those of two versions, made; what is behind an ELF file's end is never read."""
    program = sandbox_program(platform.machine())
    assert program, "bin/build-native was not run"
    older, newer = (SandboxImage(api, program + secrets.token_bytes(8)) for _ in range(2))
    for image in (older, newer):
        await image.ensure()
    yield older, newer
    for image in (older, newer):
        engine.remove_images(name(image))


def name(image: SandboxImage) -> str:
    return str(image._reference)


def are_there(engine: EngineProbe, images: tuple[SandboxImage, SandboxImage]) -> tuple[bool, ...]:
    return tuple(engine.has_image(name(image)) for image in images)


async def test_it_says_what_it_is_under_a_name_that_no_registry_can_have(
    images: tuple[SandboxImage, SandboxImage], label: str, engine: EngineProbe
) -> None:
    found = engine.client.images.get(name(images[0]))

    assert name(images[0]).startswith("ecs.invalid/sandbox:")
    assert found.labels[label] in name(images[0])
    assert "ECS" in found.labels["ecs.purpose"]


@NONE_IS_YOUNG
async def test_an_old_one_that_nothing_uses_is_deleted(
    images: tuple[SandboxImage, SandboxImage], engine: EngineProbe
) -> None:
    await images[1].delete_others()

    assert are_there(engine, images) == (False, True)


async def test_a_young_one_stays(
    images: tuple[SandboxImage, SandboxImage], engine: EngineProbe
) -> None:
    await images[1].delete_others()

    assert are_there(engine, images) == (True, True)


@NONE_IS_YOUNG
@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
async def test_one_that_a_container_uses_stays(
    images: tuple[SandboxImage, SandboxImage], engine: EngineProbe, runs: bool
) -> None:
    # It waits for questions on its input until that ends.
    container = engine.client.containers.create(name(images[0]), stdin_open=True)
    if runs:
        container.start()
    try:
        await images[1].delete_others()
        found = are_there(engine, images)
    finally:
        container.remove(force=True)

    assert found == (True, True)


@NONE_IS_YOUNG
async def test_a_service_of_that_version_makes_it_again(
    images: tuple[SandboxImage, SandboxImage], engine: EngineProbe
) -> None:
    await images[1].delete_others()

    await images[0].ensure()

    assert are_there(engine, images) == (True, True)
