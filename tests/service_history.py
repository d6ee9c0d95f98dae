"""A day of a service's metrics, sample by sample, whose figures can be told by hand.

A scrape a minute, from 2024-05-01 00:00 UTC to the next midnight, both included. The service is
away from minute 720 to 749 and begins anew in minute 750, with all its counters at 0.
"""

from collections.abc import Callable
from datetime import UTC, datetime

BEGIN = datetime(2024, 5, 1, tzinfo=UTC)
SINCE, UNTIL = "2024-05-01 00:00 UTC", "2024-05-02 00:00 UTC"
LAST_MINUTE = 1440
AWAY = range(720, 750)
FIRST_503, VALUE_OF_FIRST_503 = 300, 3
PROBE_FAILS = range(100, 110)
PROBE_STOPS = 1380
"""The timer's last run; node_exporter tells of it ever after."""

ECS = 'job="ecs",instance="198.18.0.1:8448"'
BUCKETS = {"0.1": 0, "0.25": 1, "0.5": 3, "1.0": 4, "+Inf": 4}
"""Tasks a minute whose overhead was at most this."""


def history() -> str:
    """The day in OpenMetrics text, without its end mark."""
    return "".join(
        (
            _family("up", "gauge", {f"{{{ECS}}}": lambda m: 0 if m in AWAY else 1}),
            _family("ecs_http_requests", "counter", _requests()),
            _family("ecs_tasks", "counter", _tasks()),
            _family("ecs_task_overhead_seconds", "histogram", _overhead()),
            _family(
                "ecs_probe_success",
                "gauge",
                {
                    '{job="node",check="noop"}': lambda m: 1,
                    '{job="node",check="task"}': lambda m: 0 if m in PROBE_FAILS else 1,
                },
            ),
            _family(
                "ecs_probe_last_run_timestamp_seconds",
                "gauge",
                {'{job="node"}': lambda m: _time(min(m, PROBE_STOPS))},
            ),
        )
    )


Sample = Callable[[int], float | None]


def _requests() -> dict[str, Sample]:
    tasks = f'_total{{{ECS},method="POST",route="/v1.1/tasks"'
    noop = f'_total{{{ECS},method="GET",route="/v1.1/_noop"'
    health = f'_total{{{ECS},method="GET",route="/v1.1/_health"'
    return {
        f'{tasks},code="201"}}': _counter(4, at_begin=1000),
        f'{tasks},code="503"}}': _first_errors,
        f'{noop},code="200"}}': _counter(1, at_begin=0),
        f'{health},code="503"}}': _counter(9, at_begin=0),  # nothing that is promised
    }


def _first_errors(minute: int) -> float | None:
    """A series that begins with its first errors, and ends with the process."""
    if not FIRST_503 <= minute < AWAY.start:
        return None
    return VALUE_OF_FIRST_503


def _tasks() -> dict[str, Sample]:
    return {
        f'_total{{{ECS},outcome="exited"}}': _counter(3, at_begin=7),
        f'_total{{{ECS},outcome="timed_out"}}': _counter(1, at_begin=0),
        f'_total{{{ECS},outcome="engine_error"}}': lambda m: None if m in AWAY else int(m >= 1000),
    }


def _overhead() -> dict[str, Sample]:
    return {
        f'_bucket{{{ECS},le="{bound}"}}': _counter(tasks, at_begin=0)
        for bound, tasks in BUCKETS.items()
    }


def _counter(a_minute: int, *, at_begin: int) -> Sample:
    def value(minute: int) -> float | None:
        if minute in AWAY:
            return None
        since_start = minute - AWAY.stop if minute >= AWAY.stop else minute
        return a_minute * since_start + (at_begin if minute < AWAY.start else 0)

    return value


def growth(a_minute: int) -> int:
    """By how much such a counter grows in the day: what the restart cuts off is never seen."""
    return a_minute * (AWAY.start - 1 + LAST_MINUTE - AWAY.stop)


def _family(name: str, kind: str, series: dict[str, Sample]) -> str:
    samples = "".join(
        f"{name}{labels} {value} {_time(minute)}\n"
        for labels, sample in series.items()
        for minute in range(LAST_MINUTE + 1)
        if (value := sample(minute)) is not None
    )
    return f"# TYPE {name} {kind}\n{samples}"


def _time(minute: int) -> int:
    return int(BEGIN.timestamp()) + 60 * minute
