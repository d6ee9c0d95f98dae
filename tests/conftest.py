"""Fixtures for every test: the real engine, its images, and the real service on top of it."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import docker
import pytest
import pytest_asyncio
from docker.errors import DockerException

from tests import images
from tests.engines import EngineProbe
from tests.services import ECService
from tests.waiting import eventually

CLEAN_UP_TIMEOUT_SECONDS = 10


class StartService(Protocol):
    """What the fixtures of services give: starts one with the settings, e.g. ECS_X="1"."""

    async def __call__(
        self, *, probe: EngineProbe | None = None, ready: bool = True, **settings: str
    ) -> ECService:
        """Start it; `probe` asks its engine where that is not the usual one."""


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """A developer's own ECS_* variables configure nothing here."""
    with pytest.MonkeyPatch.context() as patched:
        for name in list(os.environ):
            if name.startswith("ECS_"):
                patched.delenv(name)
        yield


@pytest.fixture(scope="session")
def docker_host() -> str:
    """The URL of the real engine; it must answer."""
    url = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        client = docker.from_env(timeout=10)
    except DockerException as error:
        pytest.fail(f"these tests need a Docker engine, and none answers at {url}: {error}")
    client.close()
    return url


@pytest.fixture(scope="session")
def bare_engine(docker_host: str) -> Iterator[EngineProbe]:
    """The real engine, with whatever images it has."""
    client = docker.from_env()
    yield EngineProbe(client)
    client.close()


@pytest.fixture(scope="session")
def engine(bare_engine: EngineProbe) -> Iterator[EngineProbe]:
    """The real engine, with the images of tests.images."""
    had_busybox = bare_engine.has_image(images.BUSYBOX)
    if not had_busybox:
        images.import_busybox(bare_engine.client)
    images.import_test_images(bare_engine.client)
    assert bare_engine.client.containers.run(images.BUSYBOX, ["echo", "hi"], remove=True) == b"hi\n"
    yield bare_engine
    for reference in images.TEST_IMAGES:
        bare_engine.remove_images(reference)
    if not had_busybox:
        bare_engine.remove_images(images.BUSYBOX)


@pytest.fixture
async def ecservice(engine: EngineProbe, tmp_path: Path) -> AsyncIterator[StartService]:
    """Start services for one test."""
    async with services(engine, tmp_path) as start:
        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_ecservice(
    engine: EngineProbe, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[StartService]:
    """Start services that the tests of a module share: one for the same settings.

    Most of a second is saved by each test that changes nothing in its service.
    """
    shared: dict[frozenset[tuple[str, str]], ECService] = {}
    async with services(engine, tmp_path_factory.mktemp("shared")) as start:

        async def start_once(
            *, probe: EngineProbe | None = None, ready: bool = True, **settings: str
        ) -> ECService:
            key = frozenset(settings.items())
            if key not in shared:
                shared[key] = await start(probe=probe, ready=ready, **settings)
            return shared[key]

        yield start_once


@asynccontextmanager
async def services(engine: EngineProbe, directory: Path) -> AsyncIterator[StartService]:
    """Start services; afterwards stop them, and see that none of them left a container.

    A test that kills a service starts it again: what it left is for its successor to clean up.
    """
    started: list[tuple[ECService, EngineProbe]] = []

    async def start(
        *, probe: EngineProbe | None = None, ready: bool = True, **settings: str
    ) -> ECService:
        instance = f"test-{secrets.token_hex(4)}"
        own_directory = directory / instance
        own_directory.mkdir()
        service = ECService(own_directory, instance, settings)
        started.append((service, probe or engine))
        await service.start(ready=ready)
        return service

    yield start

    complaints: list[str] = []
    for service, probe in started:
        complaints += await end(service, probe)
    assert not complaints, "\n".join(complaints)


async def end(service: ECService, probe: EngineProbe) -> list[str]:
    """Stop a service whatever it takes, and return what was wrong with that."""
    complaints: list[str] = []
    if service.is_running:
        try:
            await service.stop()
        except AssertionError as error:
            complaints.append(f"{service.instance} did not stop well: {error}")
            await service.kill()
    print(f"log of {service.instance}:\n{service.log_tail()}")  # shown if the test fails
    try:
        await eventually(lambda: not probe.containers(service.instance), CLEAN_UP_TIMEOUT_SECONDS)
    except AssertionError:
        left = probe.containers(service.instance)
        complaints.append(f"{service.instance} left containers: {left}")
        probe.remove_containers(service.instance)
    return complaints
