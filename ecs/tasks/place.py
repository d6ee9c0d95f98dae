"""One task's place among the running, and in the engine's lane while it needs one."""

from ecs.tasks.admission import Admission


class Place:
    """Both are given back once, however often that is said."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._is_running = self._in_lane = False

    async def begin(self, owner: str, timeout_seconds: float, *, needs_lane: bool) -> None:
        """Wait for the turn; see ``Admission.begin``.

        Raises:
            QueueTimedOutError: it did not come within ``timeout_seconds``.
        """
        await self._admission.begin(owner, timeout_seconds, needs_lane=needs_lane)
        self._is_running, self._in_lane = True, needs_lane

    async def enter_lane(self) -> None:
        """Wait for a place in the lane, unless there is one."""
        if not self._in_lane:
            await self._admission.enter_lane()
            self._in_lane = True

    def leave_lane(self) -> None:
        """Give the place in the lane back, if there is one."""
        if self._in_lane:
            self._in_lane = False
            self._admission.leave_lane()

    def end(self) -> None:
        """Give back what there is."""
        self.leave_lane()
        if self._is_running:
            self._is_running = False
            self._admission.end()
