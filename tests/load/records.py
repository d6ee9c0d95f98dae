"""What the crowd wrote down, and the figures of each stage. No I/O."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PERCENTILES = (50, 95, 99)
# Different wrong answers that are told of each stage.
TOLD_FAILURES = 10


@dataclass(frozen=True)
class Request:
    """One request: begun when (seconds since the epoch), how long it took, what was wrong."""

    name: str
    begun: float
    seconds: float
    wrong: str | None

    @property
    def ended(self) -> float:
        return self.begun + self.seconds


@dataclass(frozen=True)
class Stage:
    """A time with a constant number of users."""

    users: int
    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


@dataclass(frozen=True)
class Records:
    """Everything that a crowd did."""

    stages: list[Stage]
    requests: list[Request]


def parse(lines: Iterable[str]) -> Records:
    """Read the crowd's lines. A stage that was cut short ends with the last request."""
    marks: list[tuple[int, float]] = []
    requests: list[Request] = []
    for line in lines:
        fields = json.loads(line)
        if "stage" in fields:
            marks.append((fields["users"], fields["time"]))
        else:
            requests.append(Request(**fields))
    if marks and marks[-1][0]:
        last = max((request.ended for request in requests), default=marks[-1][1])
        marks.append((0, max(last, marks[-1][1])))
    stages = [
        Stage(users, begun, ended) for (users, begun), (_, ended) in itertools.pairwise(marks)
    ]
    return Records(stages, requests)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: a value that was really measured."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def latency(requests: Sequence[Request]) -> dict[str, Any]:
    """Return count, failures and percentiles of some requests, wrong answers left out of these."""
    right = [request.seconds for request in requests if request.wrong is None]
    figures: dict[str, Any] = {"requests": len(requests), "failures": len(requests) - len(right)}
    for percent in PERCENTILES:
        figures[f"p{percent}_seconds"] = percentile(right, percent) if right else None
    return figures


def stage_figures(records: Records, stage: Stage, task_names: frozenset[str]) -> dict[str, Any]:
    """Return the figures of one stage.

    A request belongs to the stage in which it was begun; a rate counts the right answers that came
    within the stage, and no others.
    """
    mine = [r for r in records.requests if stage.begun <= r.begun < stage.ended]
    came = [r for r in records.requests if r.wrong is None and stage.begun <= r.ended < stage.ended]
    kinds = sorted({request.name for request in mine})
    wrong = Counter(f"{r.name}: {r.wrong}" for r in mine if r.wrong is not None)
    return {
        "users": stage.users,
        "seconds": stage.seconds,
        "requests_per_second": len(came) / stage.seconds,
        "tasks_per_second": sum(r.name in task_names for r in came) / stage.seconds,
        "all": latency(mine),
        "kinds": {name: latency([r for r in mine if r.name == name]) for name in kinds},
        "failures": dict(wrong.most_common(TOLD_FAILURES)),
    }


def over_time(
    requests: Sequence[Request], begun: float, window_seconds: float
) -> list[dict[str, float]]:
    """Return the latency of right answers in windows of time since ``begun``."""
    windows: dict[int, list[float]] = {}
    for request in requests:
        if request.wrong is None:
            windows.setdefault(int((request.begun - begun) // window_seconds), []).append(
                request.seconds
            )
    return [
        {
            "seconds": (number + 0.5) * window_seconds,
            "requests": len(values),
            "p50_seconds": percentile(values, 50),
            "p95_seconds": percentile(values, 95),
        }
        for number, values in sorted(windows.items())
    ]
