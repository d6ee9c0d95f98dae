"""Fixtures for what surrounds the service: registries, and an engine behind TLS."""

from collections.abc import Iterator

import pytest

from tests.engines import EngineProbe
from tests.registries import Credentials, Registry, running_registry, silent_address
from tests.tls_engine import TlsEngine, running_tls_engine


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
