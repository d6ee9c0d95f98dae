"""Does a series grow? A robust slope with an interval of confidence. No I/O.

The samples of a process's memory are no independent measurements around a line: the allocator
takes and gives back whole arenas (1 MiB each since Python 3.10, and glibc's heaps), so that a
series is flat, then takes a step, and neighbours repeat each other. Therefore:

- the time is cut into blocks, and each counts once: neighbours that repeat each other within a
  block do not make the interval narrower than it is;
- the slope is Theil and Sen's, the median of the slopes between all pairs of blocks: single
  outliers do not move it, nor does one step near the begin or the end;
- the interval is Sen's, from Kendall's test of a trend (95 %): a series with one step in its midst
  has a wide one, a series that grows all the time a narrow one.

What it misses: growth that begins after the run, or whose steps are rarer than the run is long.
What it may take for a leak: a cache that is still filling when the warm-up is over.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

SECONDS_PER_HOUR = 3600.0
# Longer than noise lasts: with twice as many, an interval of 95 % was one of 82 %.
BLOCKS = 12
# Below this a single arena taken would look like a leak of several MB an hour.
MIN_OBSERVED_SECONDS = 20 * 60.0
# Each block must be more than one glance.
MIN_SAMPLES_PER_BLOCK = 3
# Of a normal distribution: 95 % lie within.
Z_95 = 1.96

Series = Sequence[tuple[float, float]]
"""Pairs of seconds and value, in order of time."""


@dataclass(frozen=True)
class Slope:
    """A slope per hour, and the interval that holds the true one with 95 % confidence."""

    per_hour: float
    lower: float
    upper: float


def slope(series: Series) -> Slope | None:
    """Return the slope of what was sampled after the warm-up; None if it is too short to tell."""
    blocks = _blocks(series)
    if blocks is None:
        return None
    slopes = sorted(
        (later - earlier) / (end - begin) * SECONDS_PER_HOUR
        for (begin, earlier), (end, later) in combinations(blocks, 2)
    )
    # Sen 1968: how far, in ranks, the median may lie off.
    count = len(blocks)
    reach = Z_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    lowest = max(math.floor((len(slopes) - reach) / 2), 0)
    highest = min(math.ceil((len(slopes) + reach) / 2), len(slopes) - 1)
    return Slope(statistics.median(slopes), slopes[lowest], slopes[highest])


def _blocks(series: Series) -> list[tuple[float, float]] | None:
    """Return the middle and the median of each block."""
    if not series or series[-1][0] - series[0][0] < MIN_OBSERVED_SECONDS:
        return None
    begun = series[0][0]
    length = (series[-1][0] - begun) / BLOCKS
    values: list[list[float]] = [[] for _ in range(BLOCKS)]
    for seconds, value in series:
        values[min(int((seconds - begun) / length), BLOCKS - 1)].append(value)
    if min(map(len, values)) < MIN_SAMPLES_PER_BLOCK:
        return None
    return [
        (begun + (n + 0.5) * length, statistics.median(block)) for n, block in enumerate(values)
    ]
