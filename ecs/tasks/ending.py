"""How a run ends, and how long one waits for that."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ecs.docker_remote_api.containers import AsyncContainerInspector
from ecs.errors import EcsError, EngineUnreachableError
from ecs.tasks.states import Outcome

T = TypeVar("T")

SIGKILL_EXIT_CODE = 128 + 9
INIT_FAILED_EXIT_CODE = 125
"""The ECS init's own, where it could not do its work."""
KILL_PATIENCE_SECONDS = 30.0
"""How long a killed container may take to end: the engine tears its network down meanwhile."""


class NotStartedError(Exception):
    """The container did not start, but may by another way. For the runner alone."""


@dataclass(frozen=True)
class Ending:
    """A task's end; ``exit_code`` is ``None`` when there was no process."""

    outcome: Outcome
    exit_code: int | None
    error: EcsError | None = None


async def engines_ending(
    inspector: AsyncContainerInspector, container: str, exit_code: int
) -> Ending:
    """Return how a container ended, by the engine's word: by itself, or out of memory.

    Raises:
        EngineError: it does not tell.
    """
    if exit_code == SIGKILL_EXIT_CODE and (await inspector.state(container)).oom_killed:
        return Ending(Outcome.OOM_KILLED, exit_code)
    return Ending(Outcome.EXITED, exit_code)


async def bounded_wait(work: asyncio.Task[T], seconds: float, otherwise: str) -> None:
    """Wait for a container's ``work`` to be done.

    Raises:
        EngineUnreachableError: it was not, within ``seconds``.
    """
    done, _ = await asyncio.wait({work}, timeout=seconds)
    if not done:
        raise EngineUnreachableError(
            f"the engine lost track of the container: {otherwise} within {seconds:g} seconds"
        )


@contextmanager
def first_error() -> Iterator[None]:
    """Raise the first ``EcsError`` of a group, as itself."""
    try:
        yield
    except* EcsError as errors:
        failure = errors.exceptions[0]
        raise failure from failure.__cause__
