"""Fixtures for what surrounds the service: registries, an engine behind TLS, the front door."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.engines import EngineProbe
from tests.front_door import FrontDoor, left_behind, running_front_door
from tests.registries import Credentials, Registry, running_registry, silent_address
from tests.tls_engine import TlsEngine, running_tls_engine

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
