import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecs.ecsctl.sla.figures import Coverage, Figures, Gap, Overhead, Share
from ecs.ecsctl.sla.measure import Window
from ecs.ecsctl.sla.objective import Objective
from ecs.ecsctl.sla.report import document, lines

WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, 12, tzinfo=UTC))
MINUTES = 2160
ALL = Coverage(MINUTES, MINUTES, ())
NOTHING_BUT_UP = Figures(ALL, {}, {}, None, Share(10.0, 10.0), None)


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


def gap(begin_minute: int, minutes: int) -> Gap:
    begin = WINDOW.since.timestamp() + 60 * begin_minute
    return Gap(begin, begin + 60 * minutes)


def of_which(*gaps: Gap) -> Figures:
    """Figures of a window with these gaps."""
    missing = sum(gap.until - gap.since for gap in gaps)
    return replace(NOTHING_BUT_UP, coverage=Coverage(MINUTES - int(missing) // 60, MINUTES, gaps))


def test_it_is_told_of_how_much_of_the_window_there_is_data() -> None:
    figures = of_which(gap(0, 60), gap(120, 48))

    assert document(figures, Objective(), WINDOW)["coverage"] == {
        "minutes": 2052,
        "window_minutes": 2160,
        "ratio": 0.95,
        "gaps": [
            {"since": "2026-11-01T00:00:00+00:00", "until": "2026-11-01T01:00:00+00:00"},
            {"since": "2026-11-01T02:00:00+00:00", "until": "2026-11-01T02:48:00+00:00"},
        ],
    }
    told = text(figures)
    assert (
        "There is data of 95.000 % of it: 2,052 of 2,160 minutes\n"
        "  none from 2026-11-01 00:00 UTC to 2026-11-01 01:00 UTC\n"
        "  none from 2026-11-01 02:00 UTC to 2026-11-01 02:48 UTC\n"
    ) in told
    assert told.endswith(", in the 95.000 % of the window of which there is data")


def test_data_of_all_of_the_window_needs_no_more_words() -> None:
    told = text(NOTHING_BUT_UP)

    assert "There is data of 100.000 % of it: 2,160 of 2,160 minutes\n\n" in told
    assert told.endswith("\nObjective unknown: too little was measured")


def test_people_are_told_of_the_longest_gaps_alone_in_their_order() -> None:
    told = text(of_which(*(gap(100 * number, 1 + number % 4) for number in range(7))))

    assert told.count("  none from ") == 5
    begins = [line.split()[3] for line in told.splitlines() if line.startswith("  none from ")]
    assert begins == ["01:40", "03:20", "05:00", "08:20", "10:00"]
    assert "  and 2 gaps that are no longer than these\n" in told


def test_a_gap_does_not_begin_before_the_window() -> None:
    window = replace(WINDOW, since=WINDOW.since + timedelta(seconds=30))

    told = document(of_which(gap(0, 2)), Objective(), window)

    assert told["coverage"]["gaps"][0]["since"] == "2026-11-01T00:00:30+00:00"


def test_without_knowing_when_prometheus_looked_the_coverage_is_not_known() -> None:
    figures = replace(NOTHING_BUT_UP, coverage=None)

    assert document(figures, Objective(), WINDOW)["coverage"] is None
    assert "data is not known: there is no metric `up` of this job" in text(figures)


@pytest.mark.parametrize(
    ("good", "percent"), [(10**7, "100.000 %"), (10**7 - 1, " 99.999 %"), (0, "  0.000 %")]
)
def test_a_hundred_percent_is_said_of_all_alone(good: float, percent: str) -> None:
    told = text(Figures(ALL, {}, {}, None, Share(good, 10**7), None))

    assert f"up        {percent}" in told
    assert ("error budget used up" in told) is (good == 0)


def test_a_percentile_beyond_the_buckets_is_said_to_be_more() -> None:
    overhead = Overhead(10.0, {50: 0.1, 95: 0.2, 99: math.inf}, 60.0)
    figures = Figures(ALL, {}, {"engine_error": 1.0}, overhead, None, None)

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
