import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import EngineFailedError
from ecs.jsonschemas import load_schema
from ecs.request_handlers.task_result import result_document, server_timing
from ecs.tasks.model import Start, Task, TaskResult
from ecs.tasks.output import OutputLimits
from ecs.tasks.states import Outcome, TaskState, task_state
from tests.unit import builders

VALIDATOR = Draft202012Validator(
    load_schema("task_result"), format_checker=Draft202012Validator.FORMAT_CHECKER
)
LIMITS = OutputLimits(excerpt_bytes=5, total_bytes=1000, memory_bytes=2, directory=None)
TIMINGS = {
    "queued_seconds": 0.0,
    "pull_seconds": 1.5,
    "create_seconds": 0.010001,
    "start_seconds": 0.2,
    "run_seconds": 3.0,
    "collect_seconds": 0.0004,
    "total_seconds": 4.710401,
}


@pytest.fixture
async def task() -> AsyncIterator[Task]:
    task = builders.task(LIMITS)
    task.start = Start.SANDBOXED
    yield task
    task.output.close()


def result(outcome: Outcome, exit_code: int, error: str | None = None) -> TaskResult:
    state = task_state(outcome, exit_code)
    return TaskResult(
        state, outcome, exit_code, TIMINGS, EngineFailedError(error) if error else None
    )


def decoded(document: dict[str, Any], stream: str) -> bytes:
    return base64.b64decode(document[stream], validate=True)


@pytest.mark.parametrize(
    ("outcome", "exit_code", "error"),
    [
        (Outcome.EXITED, 0, None),
        (Outcome.EXITED, 255, None),
        (Outcome.TIMED_OUT, 143, None),
        (Outcome.OOM_KILLED, 137, None),
        (Outcome.OUTPUT_LIMIT, 137, None),
        (Outcome.NOT_FOUND, 127, "no such file"),
        (Outcome.NOT_EXECUTABLE, 126, "permission denied"),
    ],
)
async def test_a_result_of_every_outcome_fits_the_schema(
    outcome: Outcome, exit_code: int, error: str | None, task: Task
) -> None:
    document = await result_document(task, result(outcome, exit_code, error))

    VALIDATOR.validate(document)
    assert document["outcome"] == outcome
    assert document["exitCode"] == exit_code
    assert document["detail"] == error
    assert document["id"] == task.id
    assert document["timings"] == TIMINGS


async def test_the_streams_are_base64_of_every_byte(task: Task) -> None:
    await task.output.write([(Stream.STDOUT, b"\x00\xff\xfe"), (Stream.STDERR, b"\r\n")])

    document = await result_document(task, result(Outcome.EXITED, 0))

    VALIDATOR.validate(document)
    assert decoded(document, "stdout") == b"\x00\xff\xfe"
    assert decoded(document, "stderr") == b"\r\n"
    assert not document["truncated"]
    assert document["output"] == {
        "stdout": {"total_bytes": 3, "head_bytes": 3, "tail_bytes": 0},
        "stderr": {"total_bytes": 2, "head_bytes": 2, "tail_bytes": 0},
    }


@pytest.mark.parametrize("stream", Stream)
async def test_of_a_long_stream_head_and_tail_are_told_with_their_sizes(
    stream: Stream, task: Task
) -> None:
    await task.output.write([(stream, b"0123456789")])

    document = await result_document(task, result(Outcome.EXITED, 0))

    VALIDATOR.validate(document)
    assert document["truncated"]
    assert decoded(document, stream) == b"01289"
    assert document["output"][stream] == {"total_bytes": 10, "head_bytes": 3, "tail_bytes": 2}


def test_server_timing_has_every_phase_in_milliseconds() -> None:
    value = server_timing(TaskResult(TaskState.COMPLETE, Outcome.EXITED, 0, TIMINGS, None))

    assert value == (
        "queued;dur=0.0, pull;dur=1500.0, create;dur=10.0, start;dur=200.0, run;dur=3000.0, "
        "collect;dur=0.4, total;dur=4710.4"
    )
