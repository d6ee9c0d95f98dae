"""Tasks whose state machine has gone some way, without a container."""

from collections.abc import Sequence

from ecs.tasks.model import Task
from ecs.tasks.states import TASK_STATES, Outcome, RunnerState

_S = RunnerState
TO_CREATION = (_S.RESOLVING, _S.CREATING)
TO_THE_END = (*TO_CREATION, _S.ATTACHING, _S.STARTING, _S.RUNNING, _S.COLLECTING)
WITH_A_PULL = (_S.RESOLVING, _S.PULLING, *TO_THE_END)


def walk(task: Task, states: Sequence[RunnerState]) -> None:
    """Enter each of the states."""
    for state in states:
        task.machine.enter(state)
        task.enter(TASK_STATES[state])


def end(
    task: Task, outcome: Outcome = Outcome.EXITED, exit_code: int | None = 0, **fields: Exception
) -> None:
    """Enter the last one, with a result."""
    task.machine.enter(RunnerState.ENDED)
    task.end(outcome, exit_code, **fields)  # type: ignore[arg-type]
