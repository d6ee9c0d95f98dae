"""Where ``ecservice`` begins: a stop is heard here while the service is still being imported.

The first process of a container gets no signal that it has no handler for, and the import takes
most of a second. The service's image starts this with both signals blocked: so one that comes even
before, while Python itself starts, waits until here.
"""

import os
import signal
from types import FrameType

_STOPS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Run the service until SIGTERM or SIGINT; it takes both over before there is what to drain."""
    for number in _STOPS:
        signal.signal(number, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    from ecs.main import main as serve  # noqa: PLC0415 - this is what takes its time

    serve()


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Not by an exception: in the midst of an import somebody might catch it. Nothing has begun.
    os._exit(0)
