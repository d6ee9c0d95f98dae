"""Tasks that are canceled or ended before their time, and what tests want to know of their end."""

from ecs.tasks.model import Task, TaskResult
from ecs.tasks.states import Outcome, RunnerState, TaskState
from tests.harness import Ecs, result_of
from tests.waiting import eventually

SLEEP = ("sh", "-c", "trap '' TERM; sleep 3600")
STDIN = b"in\n" * 10_000


def is_canceled(result: TaskResult) -> bool:
    return (result.state, result.outcome, result.exit_code) == (
        TaskState.CANCELED,
        Outcome.CANCELED,
        None,
    )


async def end_of(ecs: Ecs, task: Task) -> TaskResult:
    """The result of a task whose answer nobody reads."""
    result = await result_of(task)
    await ecs.dispatcher.release(task)
    return result


async def arrives(task: Task, state: RunnerState) -> None:
    await eventually(lambda: task.machine.state is state, 30)
