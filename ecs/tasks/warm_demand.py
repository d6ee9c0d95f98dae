"""What was asked for lately, and how often: for that containers may be started ahead."""

import time
from collections import Counter, deque

from ecs.docker_remote_api.images import LocalImage
from ecs.tasks.warm_key import WarmKind

_WINDOW_SECONDS = 60.0
_LEAST_TASKS = 3
"""One or two of a kind in a minute do not foretell a third."""
_MAX_REMEMBERED = 10_000


class WarmDemand:
    """The tasks of the last minute, by kind."""

    def __init__(self) -> None:
        self._tasks: deque[tuple[float, WarmKind, LocalImage]] = deque(maxlen=_MAX_REMEMBERED)

    def note(self, kind: WarmKind, image: LocalImage) -> None:
        """Remember that a task of this kind came."""
        self._tasks.append((time.monotonic(), kind, image))

    def forget(self, kind: WarmKind) -> None:
        """Take what was asked for back: there are to be no containers of this kind."""
        self._tasks = deque((task for task in self._tasks if task[1] != kind), _MAX_REMEMBERED)

    def kinds(self) -> list[tuple[WarmKind, LocalImage, int]]:
        """Return each kind that was asked for more than now and then, the most wanted first.

        With it comes how often: as many containers would have served the whole minute at once.
        """
        oldest = time.monotonic() - _WINDOW_SECONDS
        while self._tasks and self._tasks[0][0] < oldest:
            self._tasks.popleft()
        counts = Counter(kind for _, kind, _ in self._tasks)
        latest = {kind: image for _, kind, image in self._tasks}
        return [
            (kind, latest[kind], count)
            for kind, count in counts.most_common()
            if count >= _LEAST_TASKS
        ]
