"""Tasks in sandboxes are what tasks are elsewhere: tests of these, each started that way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ecs.tasks.states import RunnerState
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.harness import Ecs, running_ecs
from tests.integration.test_cancellation import LeaveNothing
from tests.integration.test_cancellation import (
    test_a_task_can_be_canceled_in_every_state as see_it_canceled,
)
from tests.integration.test_run import (  # noqa: F401 - to be collected here once more
    caller,
    test_a_background_child_that_holds_stdout_delays_nothing,
    test_a_missing_command_is_told_from_one_that_exits_with_127,
    test_a_task_out_of_memory_is_told_from_one_that_was_killed,
    test_a_task_out_of_time_is_terminated_and_its_output_kept,
    test_a_task_that_ignores_sigterm_is_killed,
    test_exit_code_stdout_and_stderr_come_back,
    test_limits_hold_inside_the_container,
    test_more_processes_than_allowed_cannot_be_forked,
    test_stdin_reaches_the_task_whole_and_ends,
)
from tests.service_log import logged
from tests.services import ECService
from tests.traces import files_in
from tests.waiting import eventually


@pytest.fixture
def init() -> str:
    """Whether tasks have the init; the tests that it matters to run both ways."""
    return "auto"


@pytest.fixture
async def service(
    ecservice: StartService, engine: EngineProbe, init: str
) -> AsyncIterator[ECService]:
    """A service all of whose tasks find a sandbox."""
    service = await ecservice(ECS_INIT=init, ECS_SANDBOXES="6", ECS_MIN_SANDBOXES="2")
    await eventually(lambda: len(engine.containers(service.instance)) == 2, 30)
    yield service
    ended = logged(service, "task ended")
    assert "sandboxed" in {line["start"] for line in ended}


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
