"""Fixtures that modules share: what surrounds the service, ways to start a task, the init."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from ecs.tasks import old_images
from ecs.tasks.model import Network
from tests import images
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.front_door import FrontDoor, left_behind, running_front_door
from tests.harness import Ecs, running_ecs
from tests.init_process import PROGRAMS
from tests.registries import Credentials, Registry, running_registry, silent_address
from tests.services import ECService
from tests.tls_engine import TlsEngine, running_tls_engine
from tests.traces import Traces
from tests.waiting import eventually
from tests.ways import Way, WayCaller, calling_on, environment

SILENT_SECONDS = 65
"""nginx gives a silent upstream up after 60 unless told otherwise."""


@pytest.fixture(scope="session")
def open_registry(
    engine: EngineProbe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """A registry that serves everybody."""
    with running_registry(tmp_path_factory.mktemp("open-registry"), engine) as registry:
        yield registry


@pytest.fixture(scope="session")
def auth_registry(
    engine: EngineProbe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """A registry that serves only its one user, whose credentials it carries."""
    directory = tmp_path_factory.mktemp("auth-registry")
    with running_registry(directory, engine, Credentials.random()) as registry:
        yield registry


@pytest.fixture
def silent_registry() -> Iterator[str]:
    """The host:port of something that takes connections and never says a word."""
    with silent_address() as address:
        yield address


@pytest.fixture(scope="session")
def tls_engine() -> Iterator[TlsEngine]:
    """A second engine, which wants a client certificate; it has no bridge network."""
    with running_tls_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def front_door(
    bare_engine: EngineProbe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FrontDoor]:
    """The composed system, from its first test to the end of all tests."""
    directory = tmp_path_factory.mktemp("front-door") / "deployment"
    with running_front_door(directory) as system:
        yield system
    assert not left_behind(system.project)
    assert not directory.exists()


@pytest.fixture(scope="session")
def silent_client(front_door: FrontDoor) -> Iterator[subprocess.Popen[str]]:
    """A client of a task that says nothing for long; it need not be waited for at once."""
    words = front_door.client("sleep", str(SILENT_SECONDS), timeout_seconds=2 * SILENT_SECONDS)
    with subprocess.Popen([*words, "-s"], stdout=subprocess.PIPE, text=True) as client:
        yield client
        client.kill()


class LeaveNothing(Protocol):
    """What the fixture `leaving_nothing` gives: runs ECS, and sees at the end what is left."""

    def __call__(
        self, *, at_once: int = 1, **settings: Any
    ) -> AbstractAsyncContextManager[Ecs]: ...


@pytest.fixture
def leaving_nothing(
    tmp_path: Path, docker_host: str, engine: EngineProbe, way: Way
) -> LeaveNothing:
    """Every task starts the way of the test, unless it has more than `at_once` at the same time."""

    @asynccontextmanager
    async def run(*, at_once: int = 1, **settings: Any) -> AsyncIterator[Ecs]:
        chosen = way.settings({images.BUSYBOX: at_once, images.VOLUME: at_once})
        if way is Way.SANDBOXED:
            chosen["sandboxes"] = at_once  # as many afterwards as before
        chosen |= {"spool_memory_bytes": 1024, **settings}
        async with running_ecs(tmp_path, docker_host, **chosen) as ecs:
            # The first requests open connections that stay.
            await ecs.run("true", network=Network.NONE)
            await eventually(ecs.is_ready, 30)
            traces = Traces(ecs, engine)
            misses = missed(ecs)
            yield ecs
            await traces.vanish()
            assert missed(ecs) == misses or at_once > 1
        assert engine.containers(ecs.instance) == []

    return run


def missed(ecs: Ecs) -> int:
    """How many tasks could not start the way that they were to."""
    return ecs.sandboxes.misses + ecs.warm_pool.misses


@pytest.fixture
async def service(shared_ecservice: StartService, ecservice: StartService, way: Way) -> ECService:
    """A service on which every task starts the way of the test."""
    # What was asked for in the last minute is another test's.
    start = ecservice if way is Way.WARM_ON_DEMAND else shared_ecservice
    return await start(
        **environment(way), ECS_MAX_REQUEST_BYTES=str(64 * 2**20), ECS_STOP_GRACE_SECONDS="1"
    )


@pytest.fixture
async def caller(service: ECService, way: Way) -> AsyncIterator[WayCaller]:
    """Of that service, or of the one that the module has instead."""
    async with calling_on(way, service) as caller:
        yield caller


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Path:
    """Each build of the init, as a file on this machine."""
    path = PROGRAMS[request.param]
    assert path.exists(), f"{path} is missing: bin/test builds it"
    return path


@pytest.fixture
def none_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """What services of other versions made is old at once."""
    monkeypatch.setattr(old_images, "_KEPT_SECONDS", -10)
