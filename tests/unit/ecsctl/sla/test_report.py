import math
from datetime import UTC, datetime, timedelta

import pytest

from ecs.ecsctl.sla.figures import Figures, Overhead, Share
from ecs.ecsctl.sla.measure import Window
from ecs.ecsctl.sla.objective import Objective
from ecs.ecsctl.sla.report import document, lines

WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, 12, tzinfo=UTC))
NOTHING_BUT_UP = Figures({}, {}, None, Share(10.0, 10.0), None)


def text(figures: Figures) -> str:
    return "\n".join(lines(figures, Objective(), WINDOW))


def test_what_was_not_measured_is_said_so_and_null() -> None:
    told = document(NOTHING_BUT_UP, Objective(), WINDOW)

    assert told["availability"]["requests"] is None
    assert told["availability"]["probe_minutes"] is None
    assert told["overhead"] is told["met"] is None
    assert told["requests"] == []
    assert text(NOTHING_BUT_UP).count("nothing measured") == 4
    assert "unknown: too little was measured" in text(NOTHING_BUT_UP)


def test_the_window_is_told_with_its_time_zone() -> None:
    assert text(NOTHING_BUT_UP).startswith(
        "From 2026-11-01 00:00 UTC (+0000) to 2026-11-02 12:00 UTC (+0000), 1.5 days\n"
    )


def test_a_short_window_is_told_in_hours() -> None:
    window = Window(WINDOW.since, WINDOW.since + timedelta(minutes=90))

    assert next(lines(NOTHING_BUT_UP, Objective(), window)).endswith(", 1.5 hours")


@pytest.mark.parametrize(
    ("good", "percent"), [(10**7, "100.000 %"), (10**7 - 1, " 99.999 %"), (0, "  0.000 %")]
)
def test_a_hundred_percent_is_said_of_all_alone(good: float, percent: str) -> None:
    told = text(Figures({}, {}, None, Share(good, 10**7), None))

    assert f"up        {percent}" in told
    assert ("error budget used up" in told) is (good == 0)


def test_a_percentile_beyond_the_buckets_is_said_to_be_more() -> None:
    overhead = Overhead(10.0, {50: 0.1, 95: 0.2, 99: math.inf}, 60.0)
    figures = Figures({}, {"engine_error": 1.0}, overhead, None, None)

    told = document(figures, Objective(), WINDOW)

    assert told["overhead"] == {
        "tasks": 10,
        "p50_seconds": 0.1,
        "p95_seconds": 0.2,
        "p99_seconds": None,
        "largest_bucket_seconds": 60.0,
    }
    assert "p95 0.200 s  p99 more than 60 s  of 10 tasks" in text(figures)
    assert "1  (counts against ECS)" in text(figures)
