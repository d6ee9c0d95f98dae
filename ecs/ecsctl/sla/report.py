"""The figures as a document (docs/sla.json has this form) and as text."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ecs.ecsctl.sla.figures import FAULTS, Coverage, Figures, Gap, Overhead, Share
from ecs.ecsctl.sla.measure import Window
from ecs.ecsctl.sla.objective import Objective

_HOUR_SECONDS = 3600
_DAY_SECONDS = 86_400
_SHOWN_GAPS = 5
_NAMES = {
    "requests": ("requests", "not answered 5xx"),
    "tasks": ("tasks", "not failed by ECS or its engine"),
    "up_minutes": ("up", "minutes in which Prometheus reached the service"),
    "probe_minutes": ("probe", "minutes in which the probe succeeded"),
}
_VERDICTS = {True: "met", False: "MISSED", None: "unknown: too little was measured"}


def document(figures: Figures, objective: Objective, window: Window) -> dict[str, Any]:
    """Return what ``ecsctl sla --json`` prints; ``null`` stands for what was not measured."""
    return {
        "since": window.since.isoformat(timespec="seconds"),
        "until": window.until.isoformat(timespec="seconds"),
        "window_seconds": window.seconds,
        "coverage": _coverage(figures.coverage, window) if figures.coverage else None,
        "objective": {
            "availability_percent": objective.availability_percent,
            "overhead_p95_seconds": objective.overhead_p95_seconds,
        },
        "met": figures.met(objective),
        "availability": {
            name: _share(share, objective) if share else None
            for name, share in figures.availability.items()
        },
        "overhead": _overhead(figures.overhead) if figures.overhead else None,
        "requests": [
            {"method": method, "route": route, "code": code, "count": round(count)}
            for (method, route, code), count in sorted(figures.requests.items())
        ],
        "outcomes": {outcome: round(count) for outcome, count in sorted(figures.outcomes.items())},
    }


def _coverage(coverage: Coverage, window: Window) -> dict[str, Any]:
    return {
        "minutes": coverage.minutes,
        "window_minutes": coverage.window_minutes,
        "ratio": round(coverage.ratio, 6),
        "gaps": [
            {
                "since": since.isoformat(timespec="seconds"),
                "until": until.isoformat(timespec="seconds"),
            }
            for since, until in (_times(gap, window) for gap in coverage.gaps)
        ],
    }


def _times(gap: Gap, window: Window) -> tuple[datetime, datetime]:
    since, until = (
        datetime.fromtimestamp(time, window.until.tzinfo) for time in (gap.since, gap.until)
    )
    # The minutes are the clock's: one may have begun before the window.
    return max(since, window.since), until


def _share(share: Share, objective: Objective) -> dict[str, Any]:
    return {
        "good": round(share.good),
        "total": round(share.total),
        "ratio": round(share.ratio, 6),
        "error_budget_left_ratio": round(share.budget_left(objective), 4),
    }


def _overhead(overhead: Overhead) -> dict[str, Any]:
    return {
        "tasks": round(overhead.tasks),
        **{
            # null is more than largest_bucket_seconds
            f"p{percent}_seconds": None if math.isinf(seconds) else round(seconds, 6)
            for percent, seconds in overhead.percentiles.items()
        },
        "largest_bucket_seconds": overhead.largest_bound,
    }


def lines(figures: Figures, objective: Objective, window: Window) -> Iterator[str]:
    """Yield the lines of the report for people."""
    yield (
        f"From {window.since:%Y-%m-%d %H:%M %Z} ({window.since:%z}) "
        f"to {window.until:%Y-%m-%d %H:%M %Z} ({window.until:%z}), {_length(window.seconds)}"
    )
    yield from _coverage_lines(figures.coverage, window)
    yield f"\nAvailability; objective {objective.availability_percent:g} %"
    for name, share in figures.availability.items():
        label, meaning = _NAMES[name]
        yield f"  {label:9} {_share_line(share, meaning, objective)}"
    yield f"\nOverhead; objective p95 at most {objective.overhead_p95_seconds:g} s"
    yield f"  {_overhead_line(figures.overhead)}"
    if figures.outcomes:
        yield "\nTasks by outcome"
    for outcome, count in sorted(figures.outcomes.items()):
        remark = "  (counts against ECS)" if outcome in FAULTS else ""
        yield f"  {outcome:22} {round(count):>9,}{remark}"
    yield f"\nObjective {_VERDICTS[figures.met(objective)]}{_reservation(figures.coverage)}"


def _coverage_lines(coverage: Coverage | None, window: Window) -> Iterator[str]:
    if coverage is None:
        yield "Of how much of it there is data is not known: there is no metric `up` of this job"
        return
    yield (
        f"There is data of {_percent(coverage.ratio).strip()} of it: "
        f"{coverage.minutes:,} of {coverage.window_minutes:,} minutes"
    )
    longest = sorted(coverage.gaps, key=lambda gap: gap.since - gap.until)[:_SHOWN_GAPS]
    for gap in sorted(longest, key=lambda gap: gap.since):
        since, until = _times(gap, window)
        yield f"  none from {since:%Y-%m-%d %H:%M %Z} to {until:%Y-%m-%d %H:%M %Z}"
    if more := len(coverage.gaps) - len(longest):
        yield f"  and {more} gaps that are no longer than these"


def _reservation(coverage: Coverage | None) -> str:
    if coverage is None or coverage.ratio == 1:
        return ""
    return f", in the {_percent(coverage.ratio).strip()} of the window of which there is data"


def _length(seconds: int) -> str:
    if seconds < _DAY_SECONDS:
        return f"{seconds / _HOUR_SECONDS:.1f} hours"
    return f"{seconds / _DAY_SECONDS:.1f} days"


def _share_line(share: Share | None, meaning: str, objective: Objective) -> str:
    if share is None:
        return "nothing measured"
    left = share.budget_left(objective)
    budget = f"{left:.0%} of the error budget left" if left >= 0 else "error budget used up"
    counts = f"{round(share.good):,} of {round(share.total):,} {meaning}"
    return f"{_percent(share.ratio)}  {counts}; {budget}"


def _percent(ratio: float) -> str:
    # Cut, not rounded: 100 % is said of nothing but all.
    return f"{math.floor(ratio * 100_000) / 1000:7.3f} %"


def _overhead_line(overhead: Overhead | None) -> str:
    if overhead is None:
        return "nothing measured"
    percentiles = "  ".join(
        f"p{percent} {_seconds(seconds, overhead.largest_bound)}"
        for percent, seconds in overhead.percentiles.items()
    )
    return f"{percentiles}  of {round(overhead.tasks):,} tasks"


def _seconds(seconds: float, largest: float) -> str:
    return f"more than {largest:g} s" if math.isinf(seconds) else f"{seconds:.3f} s"
