"""A task's result as JSON."""

import base64
from typing import Any

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.model import Task, TaskResult
from ecs.tasks.output import Excerpt


async def result_document(task: Task, result: TaskResult) -> dict[str, Any]:
    """Return the document of ``jsonschemas/task_result.json``.

    Raises:
        OutputSpoolError: the output cannot be read.
    """
    excerpts = {stream: await task.output.excerpt(stream) for stream in Stream}
    return {
        "exitCode": result.exit_code,
        **{
            stream.value: base64.b64encode(excerpt.head + excerpt.tail).decode("ascii")
            for stream, excerpt in excerpts.items()
        },
        **summary(task, result),
        "truncated": any(excerpt.truncated for excerpt in excerpts.values()),
        "output": {stream.value: _extent(excerpt) for stream, excerpt in excerpts.items()},
    }


def summary(task: Task, result: TaskResult) -> dict[str, Any]:
    """Return what is to say of a result besides its output."""
    return {
        "id": task.id,
        "state": result.state,
        "outcome": result.outcome,
        "start": task.start,
        "detail": str(result.error) if result.error else None,
        "timings": result.timings,
    }


def server_timing(result: TaskResult) -> str:
    """Return the value of ``Server-Timing`` (W3C), in milliseconds."""
    return ", ".join(
        f"{name.removesuffix('_seconds')};dur={seconds * 1000:.1f}"
        for name, seconds in result.timings.items()
    )


def _extent(excerpt: Excerpt) -> dict[str, int]:
    return {
        "total_bytes": excerpt.total_bytes,
        "head_bytes": len(excerpt.head),
        "tail_bytes": len(excerpt.tail),
    }
