"""Who may begin, and when: the queue and the engine's one lane for starts and deletions.

An engine gains nothing from more than a few starts at a time, and deletions compete with starts.
So at most ``max_starting`` containers are being created, started or deleted at a time, at most
``max_running`` tasks are beyond the queue, and the rest wait, round-robin over their owners.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ecs.errors import QueueFullError, QueueTimedOutError, TooManyTasksError

Grant = asyncio.Future[None]

_CLEANUP_PATIENCE_SECONDS = 3.0
"""A deletion gives way to tasks that wait for an answer, but no longer than this."""
_MIN_GRANTS_TO_PREDICT = 5
_UNKNOWN_RETRY_AFTER_SECONDS = 5
_MAX_RETRY_AFTER_SECONDS = 600


class Admission:
    """Grants places to tasks and to clean-up; every wait can be cancelled at any time."""

    def __init__(self, *, max_starting: int, max_running: int, max_queued: int) -> None:
        self.max_starting = max_starting
        self.max_running = max_running
        self._max_queued = max_queued
        self._in_lane = 0
        self._cleaning = 0
        self._running = 0
        self._queues: OrderedDict[str, deque[Grant]] = OrderedDict()
        self._returning: deque[Grant] = deque()
        self._cleanups: deque[tuple[float, Grant]] = deque()
        self._busy_since = 0.0
        self._grants_while_busy = 0

    def set_limits(self, *, max_starting: int, max_running: int) -> None:
        """Take other limits, once the engine has told its size."""
        self.max_starting = max_starting
        self.max_running = max_running
        self._grant()

    @property
    def queue_length(self) -> int:
        """How many tasks wait to begin."""
        return sum(len(queue) for queue in self._queues.values())

    def retry_after_seconds(self) -> int:
        """Predict when a task that came now would begin, from how fast the queue drains."""
        predicted = self._predicted_wait_seconds()
        if predicted is None:
            return _UNKNOWN_RETRY_AFTER_SECONDS
        return max(1, min(math.ceil(predicted), _MAX_RETRY_AFTER_SECONDS))

    def check_room(self, *, tasks: int, own_tasks: int, timeout_seconds: float) -> None:
        """Refuse a task that would find the queue full, or wait longer than it may.

        ``tasks`` is the number of those not yet answered, running and waiting; ``own_tasks`` how
        many of them are the same owner's. One owner may fill half the queue.

        Raises:
            QueueFullError, TooManyTasksError: with the seconds after which to try again.
        """
        if tasks >= self.max_running + self._max_queued:
            raise QueueFullError(
                f"{tasks} tasks are running or waiting, as many as may", self.retry_after_seconds()
            )
        if own_tasks >= self.max_running + max(1, self._max_queued // 2):
            raise TooManyTasksError(
                f"{own_tasks} of your tasks are running or waiting, as many as one caller may have",
                self.retry_after_seconds(),
            )
        waiting = self.queue_length
        predicted = self._predicted_wait_seconds()
        if predicted is not None and predicted > timeout_seconds:
            raise QueueFullError(
                f"{waiting} tasks are waiting; this one would begin in about {predicted:.0f} "
                f"seconds, more than the {timeout_seconds:g} allowed",
                self.retry_after_seconds(),
            )

    async def begin(self, owner: str, timeout_seconds: float) -> None:
        """Wait in the queue for a place among the running and one in the lane; take both.

        Raises:
            QueueTimedOutError: they did not come within ``timeout_seconds``.
        """
        if self.queue_length == 0:
            self._busy_since, self._grants_while_busy = time.monotonic(), 0
        grant = _new_grant()
        self._queues.setdefault(owner, deque()).append(grant)
        self._grant()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._granted(grant, self._give_begin_back)
        except TimeoutError as error:
            raise QueueTimedOutError(
                f"the task waited {timeout_seconds:g} seconds for its turn",
                self.retry_after_seconds(),
            ) from error

    def end(self) -> None:
        """Give the place among the running back."""
        self._running -= 1
        self._grant()

    async def enter_lane(self) -> None:
        """Wait for a place in the lane, ahead of the queue: the task is already under way."""
        grant = _new_grant()
        self._returning.append(grant)
        self._grant()
        await self._granted(grant, self.leave_lane)

    def leave_lane(self) -> None:
        """Give the place in the lane back."""
        self._in_lane -= 1
        self._grant()

    @asynccontextmanager
    async def cleanup(self) -> AsyncIterator[None]:
        """Hold a place in the lane: behind the tasks, but never behind them for long."""
        grant = _new_grant()
        self._cleanups.append((time.monotonic(), grant))
        self._grant()
        await self._granted(grant, self._leave_cleanup)
        try:
            yield
        finally:
            self._leave_cleanup()

    async def _granted(self, grant: Grant, give_back: Callable[[], None]) -> None:
        try:
            await grant
        except asyncio.CancelledError:
            if not grant.cancelled():  # granted in the very moment of the cancellation
                give_back()
            self._drop_cancelled()
            raise

    def _leave_cleanup(self) -> None:
        self._cleaning -= 1
        self.leave_lane()

    def _give_begin_back(self) -> None:
        self._running -= 1
        self.leave_lane()

    def _grant(self) -> None:
        while self._in_lane < self.max_starting:
            grant = self._next()
            if grant is None:
                return
            self._in_lane += 1
            grant.set_result(None)

    def _next(self) -> Grant | None:
        self._drop_cancelled()
        # One place is kept from deletions: a hanging engine call must not stop every start.
        may_clean = bool(self._cleanups) and self._cleaning < max(1, self.max_starting - 1)
        if may_clean and time.monotonic() - self._cleanups[0][0] > _CLEANUP_PATIENCE_SECONDS:
            return self._next_cleanup()
        if self._returning:
            return self._returning.popleft()
        if self._queues and self._running < self.max_running:
            self._running += 1
            self._grants_while_busy += 1
            return self._next_in_turn()
        return self._next_cleanup() if may_clean else None

    def _next_cleanup(self) -> Grant:
        self._cleaning += 1
        return self._cleanups.popleft()[1]

    def _next_in_turn(self) -> Grant:
        owner, queue = self._queues.popitem(last=False)
        grant = queue.popleft()
        if queue:
            self._queues[owner] = queue  # to the end of the round
        return grant

    def _drop_cancelled(self) -> None:
        for owner, queue in list(self._queues.items()):
            waiting = deque(grant for grant in queue if not grant.cancelled())
            if waiting:
                self._queues[owner] = waiting
            else:
                del self._queues[owner]
        self._returning = deque(grant for grant in self._returning if not grant.cancelled())
        self._cleanups = deque(item for item in self._cleanups if not item[1].cancelled())

    def _predicted_wait_seconds(self) -> float | None:
        if self._grants_while_busy < _MIN_GRANTS_TO_PREDICT:
            return None
        seconds_per_grant = (time.monotonic() - self._busy_since) / self._grants_while_busy
        return self.queue_length * seconds_per_grant


def _new_grant() -> Grant:
    return asyncio.get_running_loop().create_future()
