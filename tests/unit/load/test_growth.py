"""The slope that tells a leak from an allocator's ways."""

import random

import pytest

from tests.load.growth import MIN_OBSERVED_SECONDS, Slope, slope

MB = 1_000_000
SAMPLE_SECONDS = 5
HOUR = 3600
SEEDS = range(40)


def memory(seed: int, *, leak_per_hour: float = 0.0, seconds: int = 50 * 60) -> list[list[float]]:
    """Resident memory as it was measured: some 100 KB of noise that lasts for a while, now and then
    a peak of megabytes while long output passes, on top of what leaks."""
    rng = random.Random(seed)
    drift = 0.0
    series = []
    for at in range(0, seconds, SAMPLE_SECONDS):
        drift = 0.95 * drift + rng.gauss(0, 0.03 * MB)
        peak = rng.uniform(1, 4) * MB if rng.random() < 0.05 else 0.0
        series.append([at, 66 * MB + leak_per_hour * at / HOUR + drift + peak])
    return series


def found(series: list[list[float]]) -> Slope:
    result = slope([(at, value) for at, value in series])
    assert result is not None
    return result


def test_a_leak_of_2_mb_an_hour_is_found_within_its_interval() -> None:
    slopes = [found(memory(seed, leak_per_hour=2 * MB)) for seed in SEEDS]
    assert all(s.lower > 1 * MB for s in slopes)
    assert sum(s.lower <= 2 * MB <= s.upper for s in slopes) >= 0.9 * len(SEEDS)


def test_noise_of_a_realistic_size_is_surely_below_1_mb_an_hour() -> None:
    assert all(found(memory(seed)).upper < 1 * MB for seed in SEEDS)


def with_a_step(part: float) -> list[list[float]]:
    """Memory with one arena taken after this part of the time."""
    series = memory(1)
    for sample in series[int(part * len(series)) :]:
        sample[1] += 1.05 * MB
    return series


@pytest.mark.parametrize("part", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_one_step_of_an_arena_is_never_surely_a_leak(part: float) -> None:
    assert found(with_a_step(part)).lower < 1 * MB


@pytest.mark.parametrize("part", [0.05, 0.95])
def test_one_step_at_an_end_does_not_keep_from_a_pass(part: float) -> None:
    assert found(with_a_step(part)).upper < 1 * MB


def test_a_staircase_of_arenas_is_a_leak() -> None:
    series = memory(1)
    for sample in series:
        sample[1] += 1.05 * MB * (sample[0] // 600)
    result = found(series)
    assert result.lower > 1 * MB
    assert result.per_hour == pytest.approx(6.3 * MB, rel=0.2)


def test_a_falling_series_has_a_negative_slope() -> None:
    assert found(memory(1, leak_per_hour=-5 * MB)).upper < 0


def test_a_short_series_does_not_tell() -> None:
    seconds = int(MIN_OBSERVED_SECONDS) - SAMPLE_SECONDS
    assert slope([(at, v) for at, v in memory(1, seconds=seconds)]) is None


def test_few_samples_do_not_tell() -> None:
    assert slope([(n * 120.0, 1.0) for n in range(25)]) is None


def test_samples_that_miss_for_a_while_do_not_tell() -> None:
    series = [(at, v) for at, v in memory(1) if not 1000 < at < 1500]
    assert slope(series) is None


def test_nothing_does_not_tell() -> None:
    assert slope([]) is None
