"""What was measured in a window, set against the objective: arithmetic alone, no I/O."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ecs.ecsctl.sla.objective import Objective
from ecs.tasks.states import Outcome

FAULTS = frozenset({Outcome.ENGINE_ERROR, Outcome.QUEUE_TIMED_OUT})
"""The outcomes that are held against ECS; every other is the task's, its image's or its owner's."""
_SERVER_ERROR = "5"
MINUTE_SECONDS = 60


@dataclass(frozen=True)
class Share:
    """How many of how many were good; ``total`` is above 0. Counts may be fractions."""

    good: float
    total: float

    @property
    def ratio(self) -> float:
        """From 0 to 1."""
        return self.good / self.total

    def budget_left(self, objective: Objective) -> float:
        """Return how much of the failures that the objective allows is left.

        1 is all of it, 0 none, below 0 the objective is missed.
        """
        return 1 - (1 - self.ratio) / (1 - objective.availability_ratio)


@dataclass(frozen=True)
class Overhead:
    """Percentiles of the seconds added to a task; infinite above the largest bucket's bound."""

    tasks: float
    percentiles: Mapping[int, float]
    largest_bound: float


@dataclass(frozen=True)
class Gap:
    """A time, in Unix seconds, of which nothing is known."""

    since: float
    until: float


@dataclass(frozen=True)
class Coverage:
    """Of how many of the window's minutes there is data; ``gaps`` are the others, in order."""

    minutes: int
    window_minutes: int
    gaps: tuple[Gap, ...]

    @property
    def ratio(self) -> float:
        """From 0 to 1."""
        return self.minutes / self.window_minutes


@dataclass(frozen=True)
class Figures:
    """All that the metrics say; ``None`` and an empty mapping mean that they say nothing.

    ``requests`` are by method, route and status code, ``outcomes`` are numbers of tasks.
    """

    coverage: Coverage | None

    requests: Mapping[tuple[str, str, str], float]
    outcomes: Mapping[str, float]
    overhead: Overhead | None
    up_minutes: Share | None
    probe_minutes: Share | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was measured."""
        return self.overhead is None and not any(self.availability.values())

    @property
    def availability(self) -> Mapping[str, Share | None]:
        """The four ways to look at availability, by their names."""
        return {
            "requests": answered(self.requests),
            "tasks": run_through(self.outcomes),
            "up_minutes": self.up_minutes,
            "probe_minutes": self.probe_minutes,
        }

    def met(self, objective: Objective) -> bool | None:
        """Tell whether the objective was met, or ``None`` if too little was measured to say so."""
        shares = [share for share in self.availability.values() if share]
        if any(share.ratio < objective.availability_ratio for share in shares):
            return False
        if self.overhead and self.overhead.percentiles[95] > objective.overhead_p95_seconds:
            return False
        return True if self.availability["requests"] and self.overhead else None


def share(good: float, total: float) -> Share | None:
    """Return the share, or ``None`` of nothing."""
    return Share(good, total) if total > 0 else None


def coverage(missing: Sequence[float], window_minutes: int) -> Coverage | None:
    """Return of what there is data, or ``None`` if of nothing.

    ``missing`` are the ends of the minutes without, in Unix seconds and in order.
    """
    known = window_minutes - len(missing)
    if known <= 0:
        return None
    gaps: list[Gap] = []
    for end in missing:
        begin = end - MINUTE_SECONDS
        if gaps and gaps[-1].until == begin:
            gaps[-1] = Gap(gaps[-1].since, end)
        else:
            gaps.append(Gap(begin, end))
    return Coverage(known, window_minutes, tuple(gaps))


def answered(requests: Mapping[tuple[str, str, str], float]) -> Share | None:
    """Return the share of requests that were not answered with a status from 500 on."""
    total = sum(requests.values())
    failed = sum(
        count for (_, _, code), count in requests.items() if code.startswith(_SERVER_ERROR)
    )
    return share(total - failed, total)


def run_through(outcomes: Mapping[str, float]) -> Share | None:
    """Return the share of tasks that did not fail through ECS or its engine."""
    total = sum(outcomes.values())
    return share(total - sum(outcomes.get(fault, 0.0) for fault in FAULTS), total)


def overhead(buckets: Mapping[float, float]) -> Overhead | None:
    """Return the percentiles of a histogram, or ``None`` of an empty one.

    ``buckets`` holds, for each upper bound in seconds (the last is infinite), the tasks up to it.
    """
    tasks = buckets.get(math.inf, 0.0)
    if tasks <= 0:
        return None
    finite = [bound for bound in buckets if bound != math.inf]
    return Overhead(
        tasks,
        {percent: _quantile(buckets, percent / 100) for percent in (50, 95, 99)},
        max(finite, default=0.0),
    )


def _quantile(buckets: Mapping[float, float], quantile: float) -> float:
    """Interpolate within the bucket, as Prometheus's histogram_quantile does."""
    rank = quantile * buckets[math.inf]
    bounds = sorted(buckets)
    # Extrapolation may leave a count smaller than that of the bucket before.
    counts = list(accumulate((buckets[bound] for bound in bounds), max))
    index = bisect_left(counts, rank)
    if bounds[index] == math.inf:
        return math.inf
    lower_bound, lower_count = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    share_of_bucket = (rank - lower_count) / (counts[index] - lower_count)
    return lower_bound + (bounds[index] - lower_bound) * share_of_bucket
