import math

import pytest

from ecs.ecsctl.sla.figures import (
    FAULTS,
    Coverage,
    Figures,
    Gap,
    Overhead,
    Share,
    answered,
    coverage,
    overhead,
    run_through,
    share,
)
from ecs.ecsctl.sla.objective import Objective

OBJECTIVE = Objective(availability_percent=99.0, overhead_p95_seconds=0.5)
GOOD_REQUESTS = {("POST", "/v1.1/tasks", "201"): 1000.0}
GOOD_OVERHEAD = Overhead(1000.0, {50: 0.1, 95: 0.5, 99: 0.9}, 60.0)


def figures(
    requests: dict[tuple[str, str, str], float] | None = None,
    outcomes: dict[str, float] | None = None,
    took: Overhead | None = None,
    up: Share | None = None,
    probe: Share | None = None,
) -> Figures:
    return Figures(None, requests or {}, outcomes or {}, took, up, probe)


@pytest.mark.parametrize(
    ("good", "left"), [(1000, 1.0), (995, 0.5), (990, 0.0), (980, -1.0), (0, -99.0)]
)
def test_the_error_budget_is_what_the_objective_allows_to_fail(good: float, left: float) -> None:
    assert Share(good, 1000).budget_left(OBJECTIVE) == pytest.approx(left)


def test_there_is_no_share_of_nothing() -> None:
    assert share(0, 0) is None
    assert answered({}) is None
    assert run_through({}) is None
    assert overhead({}) is None
    assert overhead({0.1: 0.0, math.inf: 0.0}) is None


def test_minutes_without_data_in_a_row_are_one_gap() -> None:
    assert coverage([120.0, 180.0, 240.0, 600.0], 10) == Coverage(
        6, 10, (Gap(60.0, 240.0), Gap(540.0, 600.0))
    )
    assert coverage([], 10) == Coverage(10, 10, ())


def test_there_is_no_coverage_by_nothing() -> None:
    assert coverage([60.0, 120.0], 2) is None


def test_requests_answered_5xx_are_not_good_whatever_their_route() -> None:
    requests = {
        ("POST", "/v1.1/tasks", "201"): 90.0,
        ("POST", "/v1.1/tasks", "404"): 5.0,
        ("POST", "/v1.1/tasks", "503"): 3.0,
        ("GET", "/v1.1/_noop", "200"): 10.0,
        ("GET", "/v1.1/_noop", "500"): 2.0,
    }

    assert answered(requests) == Share(105.0, 110.0)


def test_only_what_ecs_or_its_engine_did_wrong_counts_against_it() -> None:
    outcomes = {"exited": 90.0, "timed_out": 5.0, "oom_killed": 1.0, "image_not_found": 1.0}

    assert run_through(outcomes) == Share(97.0, 97.0)
    assert run_through(outcomes | dict.fromkeys(FAULTS, 2.0)) == Share(97.0, 101.0)


def test_percentiles_are_interpolated_within_their_bucket() -> None:
    found = overhead({0.1: 0.0, 0.2: 50.0, 0.4: 100.0, math.inf: 100.0})

    assert found
    assert found.percentiles == {
        50: pytest.approx(0.2),
        95: pytest.approx(0.38),
        99: pytest.approx(0.396),
    }
    assert (found.tasks, found.largest_bound) == (100.0, 0.4)


def test_a_percentile_beyond_the_largest_bucket_is_not_said_to_be_in_it() -> None:
    found = overhead({0.1: 90.0, math.inf: 100.0})

    assert found
    assert found.percentiles[50] == pytest.approx(0.1 * 50 / 90)
    assert found.percentiles[95] == found.percentiles[99] == math.inf


def test_counts_that_extrapolation_left_out_of_order_do_no_harm() -> None:
    found = overhead({0.1: 50.0, 0.2: 49.9, 0.4: 100.0, math.inf: 99.9})

    assert found
    assert 0.0 < found.percentiles[50] < 0.1 < found.percentiles[95] < found.percentiles[99] < 0.4


def test_all_figures_within_the_objective_meet_it() -> None:
    up = Share(99, 100)

    assert figures(GOOD_REQUESTS, {"exited": 1.0}, GOOD_OVERHEAD, up, up).met(OBJECTIVE) is True


@pytest.mark.parametrize(
    "missed",
    [
        figures({("POST", "/", "201"): 98.0, ("POST", "/", "500"): 2.0}, None, GOOD_OVERHEAD),
        figures(GOOD_REQUESTS, {"exited": 98.0, "engine_error": 2.0}, GOOD_OVERHEAD),
        figures(GOOD_REQUESTS, None, Overhead(9.0, {95: 0.501}, 60.0)),
        figures(GOOD_REQUESTS, None, Overhead(9.0, {95: math.inf}, 60.0)),
        figures(GOOD_REQUESTS, None, GOOD_OVERHEAD, Share(98, 100)),
        figures(GOOD_REQUESTS, None, GOOD_OVERHEAD, None, Share(98, 100)),
        figures(up=Share(0, 100)),
    ],
)
def test_one_figure_beyond_the_objective_misses_it(missed: Figures) -> None:
    assert missed.met(OBJECTIVE) is False


@pytest.mark.parametrize(
    "too_few", [figures(GOOD_REQUESTS), figures(took=GOOD_OVERHEAD), figures(up=Share(9, 9))]
)
def test_what_was_not_measured_meets_no_objective(too_few: Figures) -> None:
    assert too_few.met(OBJECTIVE) is None
    assert not too_few.is_empty


def test_nothing_measured_is_empty() -> None:
    assert figures().is_empty
    assert figures().met(OBJECTIVE) is None
