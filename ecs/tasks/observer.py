"""Whom the dispatcher tells of each task, once at its beginning and once at its end."""

from typing import Protocol

from ecs.tasks.model import Task


class TaskObserver(Protocol):
    """Is called on the event loop, so it must neither wait nor raise."""

    def taken_in(self, task: Task) -> None:
        """Learn of a task before it does anything; may set ``task.trace``."""

    def ended(self, task: Task) -> None:
        """Learn of a task that has its result."""
