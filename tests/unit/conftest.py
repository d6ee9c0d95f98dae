"""Fixtures for tests of one room at a time; none needs an engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from tests.unit.loading import Loader

# No test is about how fast the machine is. On top of the profile that hypothesis itself chose,
# which on a CI machine is one whose examples are the same each time.
hypothesis.settings.register_profile(
    "unit",
    hypothesis.settings(),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("unit")


@pytest.fixture
async def no_engine() -> AsyncIterator[DockerRemoteApi]:
    """The way to an engine that is not there."""
    address = EngineAddress("unix:///nowhere/docker.sock")
    async with DockerRemoteApi(address, timeout_seconds=60) as api:
        yield api


@pytest.fixture
def load_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Loads settings from what it is given, and from nothing else."""
    return Loader(tmp_path, monkeypatch)
