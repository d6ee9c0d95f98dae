import ctypes

import pytest

from ecs.ecsctl.check.clock import check_clock, finding
from ecs.ecsctl.check.findings import Level


@pytest.mark.parametrize(
    ("max_error_seconds", "level"),
    [(0.0, Level.OK), (15.999, Level.OK), (16.0, Level.WARNING), (2000.0, Level.WARNING)],
)
def test_a_clock_is_synchronised_while_its_error_has_a_bound(
    max_error_seconds: float, level: Level
) -> None:
    assert finding(max_error_seconds).level == level


def test_the_kernel_is_asked() -> None:
    assert "synchronised" in check_clock().found


def test_a_kernel_that_does_not_say_is_no_reason_to_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def adjtimex(_: object) -> int:
            ctypes.set_errno(1)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **options: Refusing)

    told = check_clock()

    assert told.level == Level.WARNING
    assert "cannot be checked: the kernel was not asked: [Errno 1]" in told.found
