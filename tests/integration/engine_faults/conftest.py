"""Fixtures for ECS on an engine that fails on demand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecs.tasks import direct_run
from tests.fake_engine import FakeEngine, fake_engine
from tests.harness import Ecs
from tests.integration.engine_faults.faults import ecs_on

PATIENCE_SECONDS = 0.5


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    """An engine that behaves until the test says otherwise."""
    async with fake_engine() as engine:
        yield engine


@pytest.fixture
async def ecs(fake: FakeEngine, tmp_path: Path) -> AsyncIterator[Ecs]:
    """ECS on that engine; in the end nothing may be left."""
    async with ecs_on(fake, tmp_path) as ecs:
        yield ecs


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait half a second for what the engine owes at the end of a task."""
    monkeypatch.setattr(direct_run, "_COLLECT_PATIENCE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(direct_run, "KILL_PATIENCE_SECONDS", PATIENCE_SECONDS)
