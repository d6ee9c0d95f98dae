"""Who may begin, and when: the queue and the engine's one lane for starts, deletions and refills.

An engine gains nothing from more than a few starts at a time, and deletions compete with starts.
So at most ``max_starting`` containers are being created, started or deleted at a time, at most
``max_running`` tasks are beyond the queue, and the rest wait, round-robin over their owners.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ecs.errors import QueueFullError, QueueTimedOutError, TooManyTasksError

Grant = asyncio.Future[None]
Line = OrderedDict[Grant, float]
"""Who waits, in order, each with the time from which it gives way no longer; whoever is cancelled
leaves from the midst of it."""
Queues = OrderedDict[str, Line]
"""Who waits, by owner; the first one's turn is next."""

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
        self.max_queued = max_queued
        self._in_lane = self._running = 0
        self._cleaning = 0
        self._refilling = False
        self._queues: Queues = OrderedDict()
        """Tasks that wait for a place among the running and one in the lane."""
        self._ready: Queues = OrderedDict()
        """Tasks whose container is started already: they need no place in the lane."""
        self._returning: Line = OrderedDict()
        """Tasks among the running that wait to come back into the lane."""
        self._cleanups: Line = OrderedDict()
        self._refills: Line = OrderedDict()
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
        # Metrics are read from another thread, too: the copy is made in one step.
        lines = (*tuple(self._queues.values()), *tuple(self._ready.values()))
        return sum(map(len, lines))

    def retry_after_seconds(self) -> int:
        """Predict when a task that came now would begin, from how fast the queue drains."""
        predicted = self._predicted_wait_seconds()
        if predicted is None:
            return _UNKNOWN_RETRY_AFTER_SECONDS
        return max(1, min(math.ceil(predicted), _MAX_RETRY_AFTER_SECONDS))

    def check_room(
        self, *, tasks: int, own_tasks: int, timeout_seconds: float, needs_lane: bool = True
    ) -> None:
        """Refuse a task that would find the queue full, or wait longer than it may.

        ``tasks`` is the number of those not yet answered, running and waiting; ``own_tasks`` how
        many of them are the same owner's. One owner may fill half the queue. One that needs no
        place in the lane passes those who wait, so that their wait is not its own.

        Raises:
            QueueFullError, TooManyTasksError: with the seconds after which to try again.
        """
        if tasks >= self.max_running + self.max_queued:
            raise QueueFullError(
                f"{tasks} tasks are running or waiting, as many as may", self.retry_after_seconds()
            )
        if own_tasks >= self.max_running + max(1, self.max_queued // 2):
            raise TooManyTasksError(
                f"{own_tasks} of your tasks are running or waiting, as many as one caller may have",
                self.retry_after_seconds(),
            )
        predicted = self._predicted_wait_seconds() if needs_lane else None
        if predicted is not None and predicted > timeout_seconds:
            raise QueueFullError(
                f"{self.queue_length} tasks are waiting; this one would begin in about "
                f"{predicted:.0f} seconds, more than the {timeout_seconds:g} allowed",
                self.retry_after_seconds(),
            )

    async def begin(self, owner: str, timeout_seconds: float, *, needs_lane: bool = True) -> None:
        """Wait in the queue for a place among the running and one in the lane; take both.

        A task whose container is started already needs no place in the lane: it passes those who
        wait for one. That keeps nobody out for long, as the making of such containers is not begun
        while a task is in the queue.

        Raises:
            QueueTimedOutError: they did not come within ``timeout_seconds``.
        """
        if self.queue_length == 0:
            self._busy_since, self._grants_while_busy = time.monotonic(), 0
        queues = self._queues if needs_lane else self._ready
        give_back = self._give_both_back if needs_lane else self.end
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._wait_in(queues.setdefault(owner, OrderedDict()), give_back)
        except TimeoutError as error:
            raise QueueTimedOutError(
                f"the task waited {timeout_seconds:g} seconds for its turn",
                self.retry_after_seconds(),
            ) from error
        finally:
            if not queues.get(owner):
                queues.pop(owner, None)

    def end(self) -> None:
        """Give the place among the running back."""
        self._running -= 1
        self._grant()

    async def enter_lane(self) -> None:
        """Wait for a place in the lane, ahead of the queue: the task is already under way."""
        await self._wait_in(self._returning, self.leave_lane)

    def leave_lane(self) -> None:
        """Give the place in the lane back."""
        self._in_lane -= 1
        self._grant()

    @asynccontextmanager
    async def cleanup(self) -> AsyncIterator[None]:
        """Hold a place in the lane: behind the tasks, but never behind them for long."""
        await self._wait_in(
            self._cleanups, self._leave_cleanup, patience_seconds=_CLEANUP_PATIENCE_SECONDS
        )
        try:
            yield
        finally:
            self._leave_cleanup()

    @asynccontextmanager
    async def refill(self, *, patience_seconds: float) -> AsyncIterator[None]:
        """Hold a place in the lane for what no task waits for yet: behind everybody else.

        One at a time has a place. It gives way for ``patience_seconds``, infinity for ever.
        """
        await self._wait_in(self._refills, self._leave_refill, patience_seconds=patience_seconds)
        try:
            yield
        finally:
            self._leave_refill()

    async def _wait_in(
        self, line: Line, give_back: Callable[[], None], *, patience_seconds: float = math.inf
    ) -> None:
        grant: Grant = asyncio.get_running_loop().create_future()
        line[grant] = time.monotonic() + patience_seconds
        self._grant()
        try:
            await grant
        except asyncio.CancelledError:
            line.pop(grant, None)
            if not grant.cancelled():  # granted in the very moment of the cancellation
                give_back()
            raise

    def _give_both_back(self) -> None:
        self._running -= 1
        self.leave_lane()

    def _leave_cleanup(self) -> None:
        self._cleaning -= 1
        self.leave_lane()

    def _leave_refill(self) -> None:
        self._refilling = False
        self.leave_lane()

    def _grant(self) -> None:
        """Give out whatever places are free."""
        while grant := self._take_task(self._ready):
            grant.set_result(None)
        while self._in_lane < self.max_starting and (grant := self._take_next()):
            self._in_lane += 1
            grant.set_result(None)

    def _take_next(self) -> Grant | None:
        """Take out of its line whoever is the next to enter the lane: the first of these."""
        return (
            self._take_cleanup(only_overdue=True)
            or self._take_refill(only_overdue=True)
            or self._take_returning()
            or self._take_task(self._queues)
            or self._take_cleanup()
            or self._take_refill()
        )

    def _take_cleanup(self, *, only_overdue: bool = False) -> Grant | None:
        if not self._may_clean_or_refill():
            return None
        grant = _first(self._cleanups)
        if grant is None or (only_overdue and not _is_overdue(self._cleanups, grant)):
            return None
        del self._cleanups[grant]
        self._cleaning += 1
        return grant

    def _take_refill(self, *, only_overdue: bool = False) -> Grant | None:
        if self._refilling or not self._may_clean_or_refill():
            return None
        grant = _soonest(self._refills)
        if grant is None:
            return None
        if not _is_overdue(self._refills, grant):
            # Nor does it take the last of several places from the task that comes next.
            is_last_place = self._in_lane + 1 == self.max_starting > 1
            if only_overdue or is_last_place:
                return None
        del self._refills[grant]
        self._refilling = True
        return grant

    def _take_returning(self) -> Grant | None:
        grant = _first(self._returning)
        if grant is not None:
            del self._returning[grant]
        return grant

    def _take_task(self, queues: Queues) -> Grant | None:
        if self._running < self.max_running and (grant := _take_in_turn(queues)):
            self._running += 1
            self._grants_while_busy += 1
            return grant
        return None

    def _may_clean_or_refill(self) -> bool:
        # Of several places these leave one: a hanging engine call must not stop every start.
        return self._cleaning + self._refilling < max(1, self.max_starting - 1)

    def _predicted_wait_seconds(self) -> float | None:
        if self._grants_while_busy < _MIN_GRANTS_TO_PREDICT:
            return None
        seconds_per_grant = (time.monotonic() - self._busy_since) / self._grants_while_busy
        return self.queue_length * seconds_per_grant


def _take_in_turn(queues: Queues) -> Grant | None:
    """Take out the first task of the owner whose turn it is."""
    while queues:
        owner, line = queues.popitem(last=False)
        if _first(line):
            grant, _ = line.popitem(last=False)
            if line:
                queues[owner] = line  # to the end of the round
            return grant
    return None


def _first(line: Line) -> Grant | None:
    """Return who is first in line, and drop those before who are cancelled and yet to notice."""
    while line:
        grant = next(iter(line))
        if not grant.cancelled():
            return grant
        del line[grant]
    return None


def _is_overdue(line: Line, grant: Grant) -> bool:
    """Tell whether somebody who waits gives way no longer."""
    return time.monotonic() > line[grant]


def _soonest(line: Line) -> Grant | None:
    """Return who is the first to give way no longer."""
    waiting = (grant for grant in line if not grant.cancelled())
    return min(waiting, key=lambda grant: line[grant], default=None)
