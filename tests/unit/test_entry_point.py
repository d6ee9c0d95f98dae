"""What happens before the service is imported."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from ecs import entry_point
from ecs import main as service

STOPS = (signal.SIGTERM, signal.SIGINT)


class LeftError(Exception):
    """In place of the end of the process."""


@pytest.fixture(autouse=True)
def _signals_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def leave(status: int) -> None:
        raise LeftError(status)

    monkeypatch.setattr(os, "_exit", leave)
    handlers = {number: signal.getsignal(number) for number in STOPS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_that_came_before_ends_it_well_and_nothing_begins(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(service, "main", lambda: begun.append("service"))
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    signal.pthread_kill(threading.get_ident(), number)

    with pytest.raises(LeftError, match="0"):
        entry_point.main()

    assert begun == []


def test_without_a_stop_the_service_begins_and_hears_one(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(service, "main", lambda: begun.append("service"))

    entry_point.main()

    assert begun == ["service"]
    with pytest.raises(LeftError, match="0"):
        signal.raise_signal(signal.SIGTERM)
