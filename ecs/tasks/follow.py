"""A task's events in order, for those who watch it live."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice

from ecs.docker_remote_api.images import PullProgress
from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.model import Task
from ecs.tasks.states import TaskState


@dataclass(frozen=True)
class OutputPiece:
    """Bytes the task wrote to one of its streams."""

    stream: Stream
    data: bytes


Event = TaskState | PullProgress | OutputPiece | None
"""``None`` says that nothing happened for a while."""


async def follow(task: Task, *, idle_seconds: float) -> AsyncIterator[Event]:
    """Yield everything from the task's beginning to its end; the final state comes last.

    A slow reader delays nobody: it reads at its own pace what the task's output keeps. Lines of
    progress that it is too late for are left out, newer ones having replaced them.

    Raises:
        OutputSpoolError: the output cannot be read.
    """
    output = task.output.follow()
    states = progress = 0
    while True:
        seen = task.changes.count
        ended = task.result is not None
        known = task.states[: -1 if ended else None]
        for state in known[states:]:
            yield state
        states = len(known)
        lines, progress = _newest(task, progress), task.progress_count
        for line in lines:
            yield line
        while piece := await output.next_piece():
            yield OutputPiece(*piece)
        if ended:
            yield task.states[-1]
            return
        try:
            async with asyncio.timeout(idle_seconds):
                await task.changes.wait(seen)
        except TimeoutError:
            yield None


def _newest(task: Task, seen: int) -> list[PullProgress]:
    new = min(task.progress_count - seen, len(task.progress))
    return list(islice(task.progress, len(task.progress) - new, None))
