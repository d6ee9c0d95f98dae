"""The states of a task as its users see them, and those of the machine that runs it."""

import enum
import time
from collections.abc import Collection, Mapping

from ecs.errors import EcsError


class TaskState(enum.StrEnum):
    """GA4GH TES 1.1 state names."""

    QUEUED = "QUEUED"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    EXECUTOR_ERROR = "EXECUTOR_ERROR"
    SYSTEM_ERROR = "SYSTEM_ERROR"
    CANCELED = "CANCELED"


class Outcome(enum.StrEnum):
    """Why a task ended, in one word."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    OOM_KILLED = "oom_killed"
    OUTPUT_LIMIT = "output_limit"
    CANCELED = "canceled"
    NOT_FOUND = "not_found"
    NOT_EXECUTABLE = "not_executable"
    QUEUE_TIMED_OUT = "queue_timed_out"
    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_ACCESS_DENIED = "image_access_denied"
    IMAGE_PULL_FAILED = "image_pull_failed"
    IMAGE_PULL_TIMED_OUT = "image_pull_timed_out"
    ENGINE_ERROR = "engine_error"


class RunnerState(enum.StrEnum):
    """Where ``AsyncEndToEndContainerRunner`` is."""

    QUEUED = "queued"
    RESOLVING = "resolving"
    PULLING = "pulling"
    CREATING = "creating"
    ATTACHING = "attaching"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    COLLECTING = "collecting"
    ENDED = "ended"


_S = RunnerState

TRANSITIONS: Mapping[RunnerState, frozenset[RunnerState]] = {
    _S.QUEUED: frozenset({_S.RESOLVING, _S.ENDED}),
    # At once to starting: the container was started ahead.
    _S.RESOLVING: frozenset({_S.PULLING, _S.CREATING, _S.STARTING, _S.ENDED}),
    _S.PULLING: frozenset({_S.RESOLVING, _S.ENDED}),
    _S.CREATING: frozenset({_S.ATTACHING, _S.ENDED}),
    _S.ATTACHING: frozenset({_S.STARTING, _S.ENDED}),
    # Once more, without a sandbox that has gone, or without the init.
    _S.STARTING: frozenset({_S.RUNNING, _S.CREATING, _S.ENDED}),
    _S.RUNNING: frozenset({_S.STOPPING, _S.COLLECTING, _S.ENDED}),
    _S.STOPPING: frozenset({_S.COLLECTING, _S.ENDED}),
    _S.COLLECTING: frozenset({_S.ENDED}),
    _S.ENDED: frozenset(),
}

TASK_STATES: Mapping[RunnerState, TaskState] = {
    _S.QUEUED: TaskState.QUEUED,
    _S.RESOLVING: TaskState.INITIALIZING,
    _S.PULLING: TaskState.INITIALIZING,
    _S.CREATING: TaskState.INITIALIZING,
    _S.ATTACHING: TaskState.INITIALIZING,
    _S.STARTING: TaskState.INITIALIZING,
    _S.RUNNING: TaskState.RUNNING,
    _S.STOPPING: TaskState.RUNNING,
    _S.COLLECTING: TaskState.RUNNING,
}
"""What a user sees of each state; how ``ENDED`` looks depends on the outcome."""

_TIMINGS: Mapping[str, tuple[RunnerState, ...]] = {
    "queued_seconds": (_S.QUEUED,),
    "pull_seconds": (_S.PULLING,),
    "create_seconds": (_S.RESOLVING, _S.CREATING, _S.ATTACHING),
    "start_seconds": (_S.STARTING,),
    "run_seconds": (_S.RUNNING, _S.STOPPING),
    "collect_seconds": (_S.COLLECTING,),
}


class IllegalTransitionError(EcsError):
    """The runner tried to go where the table has no way: a bug in ECS."""


class StateMachine:
    """The state of one run and the seconds spent in each."""

    def __init__(self) -> None:
        self.state = RunnerState.QUEUED
        self._entered_at = time.monotonic()
        self._seconds = dict.fromkeys(RunnerState, 0.0)
        self._began_at = self._entered_at
        self.entered: list[tuple[RunnerState, float]] = [(RunnerState.QUEUED, 0.0)]
        """Every state so far, each with the seconds from the beginning to its entry."""

    def enter(self, state: RunnerState) -> None:
        """Go to ``state``.

        Raises:
            IllegalTransitionError: ``TRANSITIONS`` has no such way.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransitionError(f"no way from {self.state} to {state}")
        now = time.monotonic()
        self._seconds[self.state] += now - self._entered_at
        self._entered_at = now
        self.state = state
        self.entered.append((state, now - self._began_at))

    def timings(self) -> dict[str, float]:
        """Return the seconds of each phase, and ``total_seconds`` of all of them."""
        timings = {
            name: sum(self._seconds[state] for state in states) for name, states in _TIMINGS.items()
        }
        timings["total_seconds"] = sum(timings.values())
        return {name: round(seconds, 6) for name, seconds in timings.items()}


def phases(entered: Collection[RunnerState]) -> tuple[str, ...]:
    """Return the names of the phases, as in ``timings`` without the unit, of these states."""
    return tuple(
        name.removesuffix("_seconds")
        for name, states in _TIMINGS.items()
        if any(state in entered for state in states)
    )


def task_state(outcome: Outcome, exit_code: int | None) -> TaskState:
    """Return the final state that goes with an outcome."""
    if outcome is Outcome.EXITED:
        return TaskState.COMPLETE if exit_code == 0 else TaskState.EXECUTOR_ERROR
    if outcome is Outcome.CANCELED:
        return TaskState.CANCELED
    if outcome in _EXECUTOR_ERRORS:
        return TaskState.EXECUTOR_ERROR
    return TaskState.SYSTEM_ERROR


_EXECUTOR_ERRORS = frozenset(
    {
        Outcome.TIMED_OUT,
        Outcome.OOM_KILLED,
        Outcome.OUTPUT_LIMIT,
        Outcome.NOT_FOUND,
        Outcome.NOT_EXECUTABLE,
    }
)
