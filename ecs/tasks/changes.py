"""How those who follow a task learn that there is something new."""

import asyncio


class ChangeSignal:
    """Counts changes; any number of followers wait for a count they have not seen."""

    def __init__(self) -> None:
        self.count = 0
        self._next: asyncio.Future[None] | None = None

    def notify(self) -> None:
        """State that something changed."""
        self.count += 1
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    async def wait(self, seen: int) -> int:
        """Return the count as soon as it differs from ``seen``."""
        while self.count == seen:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            # Shielded: one follower's cancellation is not the others'.
            await asyncio.shield(self._next)
        return self.count
