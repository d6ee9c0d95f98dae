"""Statistics over measured seconds."""

import pytest

from benchmarks.report import percentile


@pytest.mark.parametrize(("percent", "value"), [(1, 2), (50, 51), (95, 96), (99, 100)])
def test_a_percentile_is_the_value_that_so_many_of_a_hundred_stay_below(
    percent: int, value: float
) -> None:
    assert percentile([float(each) for each in range(101, 0, -1)], percent) == value


def test_a_percentile_is_interpolated_within_the_values() -> None:
    assert percentile([1.0, 2.0], 99) == pytest.approx(1.99)


def test_every_percentile_of_one_value_is_that_value() -> None:
    assert percentile([3.0], 99) == 3.0
