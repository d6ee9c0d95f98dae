"""Tasks in sandboxes are what tasks are elsewhere: tests of these, each started that way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ecs.tasks.states import RunnerState
from tests.engines import EngineProbe
from tests.harness import Ecs, running_ecs
from tests.integration.test_cancellation import LeaveNothing
from tests.integration.test_cancellation import (
    test_a_task_can_be_canceled_in_every_state as see_it_canceled,
)
from tests.traces import files_in
from tests.waiting import eventually


@pytest.fixture
def init() -> str:
    """Whether tasks have the init; the tests that it matters to run both ways."""
    return "auto"


@pytest.fixture
def leaving_nothing(
    tmp_path: Path, docker_host: str, engine: EngineProbe, init: str
) -> LeaveNothing:
    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Ecs]:
        chosen = {"init": init, "sandboxes": 2, "min_sandboxes": 1, **settings}
        async with running_ecs(tmp_path, docker_host, **chosen) as ecs:
            await eventually(lambda: ecs.sandboxes.counts["idle"] == 1, 30)
            yield ecs
            assert ecs.sandboxes.misses == 0
            # What remains is a sandbox that is ready, and nothing of a task.
            await eventually(lambda: ecs.is_idle() and ecs.sandboxes.counts["idle"] >= 1, 30)
            assert files_in(ecs.spool_directory) == []
        assert engine.containers(ecs.instance) == []

    return run


@pytest.mark.parametrize(
    "state",
    [
        RunnerState.CREATING,
        RunnerState.ATTACHING,
        RunnerState.STARTING,
        RunnerState.RUNNING,
        RunnerState.STOPPING,
    ],
)
async def test_a_task_that_has_a_sandbox_can_be_canceled_in_every_state(
    leaving_nothing: LeaveNothing, monkeypatch: pytest.MonkeyPatch, state: RunnerState, init: str
) -> None:
    await see_it_canceled(leaving_nothing, monkeypatch, state, turns=2, init=init)
