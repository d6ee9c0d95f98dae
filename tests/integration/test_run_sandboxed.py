"""Tasks in sandboxes are what tasks are elsewhere: the same tests, started the other way."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ecs.tasks.model import Network, Start, Task
from tests.client import calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.harness import Ecs, running_ecs
from tests.integration import test_cancellation as cancellation
from tests.integration import test_run as run
from tests.services import ECService
from tests.traces import Traces
from tests.waiting import eventually

caller = run.caller
init = cancellation.init

for module, names in (
    (
        run,
        """
        test_exit_code_stdout_and_stderr_come_back
        test_output_is_bytes_not_text
        test_stdin_reaches_the_task_whole_and_ends
        test_env_workdir_and_user_are_the_requests
        test_an_image_from_scratch_runs_its_one_program
        test_limits_hold_inside_the_container
        test_more_processes_than_allowed_cannot_be_forked
        test_a_missing_command_is_told_from_one_that_exits_with_127
        test_a_task_out_of_time_is_terminated_and_its_output_kept
        test_a_task_that_ignores_sigterm_is_killed
        test_a_task_out_of_memory_is_told_from_one_that_was_killed
        test_a_background_child_that_holds_stdout_delays_nothing
        """,
    ),
    (
        cancellation,
        """
        test_a_task_can_be_canceled_in_every_state
        """,
    ),
):
    for name in names.split():
        globals()[name] = getattr(module, name)
