"""Asks Prometheus for the figures of a window, in PromQL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ecs.ecsctl.sla.figures import (
    MINUTE_SECONDS,
    Coverage,
    Figures,
    Overhead,
    Share,
    answered,
    coverage,
    overhead,
    share,
)
from ecs.ecsctl.sla.prometheus import Labels, Prometheus, Series

_ROUTES = (("GET", "/v1.1/_noop"), ("POST", "/v1.1/tasks"))
"""The requests that the promise is about."""
_BIRTH_STEP = "5m"
"""As far as Prometheus looks back for a sample."""
_PROBE_STALE_SECONDS = 300
"""node_exporter goes on telling the outcome of a probe that runs no more."""
_PLOT_POINTS = 120
_MIN_PLOT_STEP_SECONDS = 300
"""Long enough for several scrapes, of which an increase needs two."""


class NothingMeasuredError(Exception):
    """Prometheus has none of the metrics, or none in this window; the text is one line."""


@dataclass(frozen=True)
class Window:
    """The time from ``since`` to ``until``, both with their time zone."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> int:
        """Length in whole seconds."""
        return int(self.until.timestamp() - self.since.timestamp())


@dataclass(frozen=True)
class History:
    """The course of the figures over a window: a point for each step, ``None`` where nothing is."""

    times: tuple[float, ...]
    overhead: tuple[Overhead | None, ...]
    requests: tuple[Share | None, ...]
    up: tuple[Share | None, ...]


async def measure(prometheus: Prometheus, job: str, window: Window) -> Figures:
    """Return the figures of the scrape job ``job`` in this window.

    Raises:
        NothingMeasuredError: there are none.
        PrometheusError: no answer, or none that can be used.
    """
    asked = _Asked(prometheus, job, window)
    requests: dict[tuple[str, str, str], float] = {}
    for method, route in _ROUTES:
        selector = _requests(job, method, route)
        for code, count in (await asked.counted(selector, "code")).items():
            requests[method, route, code] = count
    buckets = await asked.counted(f'ecs_task_overhead_seconds_bucket{{job="{job}"}}', "le")
    figures = Figures(
        coverage=await asked.coverage(),
        requests=requests,
        outcomes=await asked.counted(f'ecs_tasks_total{{job="{job}"}}', "outcome"),
        overhead=overhead({float(bound): count for bound, count in buckets.items()}),
        up_minutes=await asked.minutes(f'min_over_time(up{{job="{job}"}}[1m])'),
        probe_minutes=await asked.minutes(
            "min without (check) (ecs_probe_success) and ignoring (check) "
            f"(time() - ecs_probe_last_run_timestamp_seconds < {_PROBE_STALE_SECONDS})"
        ),
    )
    if figures.is_empty:
        raise NothingMeasuredError(await asked.why_nothing())
    return figures


async def history(prometheus: Prometheus, job: str, window: Window) -> History:
    """Return the same over time.

    Raises:
        PrometheusError: no answer, or none that can be used.
    """
    step = max(_MIN_PLOT_STEP_SECONDS, window.seconds // _PLOT_POINTS)

    async def steps(query: str, label: str) -> Mapping[float, Mapping[str, float]]:
        found = await prometheus.range(query, window.since, window.until, step)
        return _by_time(found, label)

    up = f'up{{job="{job}"}}'
    codes: dict[float, dict[str, float]] = {}
    for method, route in _ROUTES:
        for grown in _growths(_requests(job, method, route), up, step):
            for time, counts in (await steps(f"sum by (code) ({grown})", "code")).items():
                _add(codes.setdefault(time, {}), counts)
    bucket = f'ecs_task_overhead_seconds_bucket{{job="{job}"}}'
    bounds = await steps(f"sum by (le) (increase({bucket}[{step}s]))", "le")
    reached = await steps(f"avg by (job) (avg_over_time({up}[{step}s]))", "job")
    times = _times(window, step)
    return History(
        times=times,
        overhead=tuple(
            overhead({float(bound): count for bound, count in bounds.get(time, {}).items()})
            for time in times
        ),
        requests=tuple(
            answered({("", "", code): count for code, count in codes.get(time, {}).items()})
            for time in times
        ),
        up=tuple(Share(reached[time][job], 1.0) if time in reached else None for time in times),
    )


def _growths(selector: str, up: str, step: int) -> tuple[str, str]:
    """The growth of counters in a step, and the first values of series that begin in it.

    See ``_Asked.counted``; a series begins if it was not there before although its target was up.
    """
    before = f"last_over_time({selector}[1d] offset {step}s)"
    return (
        f"increase({selector}[{step}s])",
        f"(min_over_time({selector}[{step}s]) unless {before}) "
        f"and on (job, instance) ({up} offset {step}s == 1)",
    )


class _Asked:
    def __init__(self, prometheus: Prometheus, job: str, window: Window) -> None:
        self._prometheus = prometheus
        self._job = job
        self._window = window
        # One second less, so that the minute that ends where the window begins is not one of it.
        self._minutes = f"[{window.seconds - 1}s:{MINUTE_SECONDS}s]"

    async def counted(self, selector: str, label: str) -> dict[str, float]:
        """Return by how much counters grew in the window, for each value of a label.

        ``increase`` sees only what comes after a series' first sample, and the first 503 of all is
        its series' first sample. So the first value of a series that begins later than its target's
        good scrapes (by one step of the look at least) is added.
        """
        seconds = self._window.seconds
        up = f'up{{job="{self._job}"}}'
        born = (
            f"min_over_time({selector}[{seconds}s]) and "
            # Of an expression, as this product is one, timestamp() tells when it was evaluated.
            f"(min_over_time(timestamp({selector} * 1)[{seconds}s:{_BIRTH_STEP}]) > "
            "on (job, instance) group_left "
            f"min_over_time(timestamp({up} == 1)[{seconds}s:{_BIRTH_STEP}]))"
        )
        grown: dict[str, float] = {}
        for counts in (f"increase({selector}[{seconds}s])", born):
            found = await self._instant(f"sum by ({label}) ({counts})")
            _add(grown, {labels[label]: count for labels, count in found})
        return {value: count for value, count in grown.items() if count > 0}

    async def minutes(self, expression: str) -> Share | None:
        """Return the share of the minutes with a value in which an expression is 1."""
        steps = self._minutes
        good = await self._instant(f"sum(sum_over_time(({expression}){steps}))")
        known = await self._instant(f"sum(count_over_time(({expression}){steps}))")
        return share(_only(good), _only(known))

    async def coverage(self) -> Coverage | None:
        """Return of which minutes Prometheus knows whether it reached a target of the job."""
        window_minutes = await self._instant(f"count_over_time(vector(1){self._minutes})")
        found = await self._prometheus.steps(
            f'absent_over_time(up{{job="{self._job}"}}[1m]){self._minutes}', self._window.until
        )
        missing = [time for series in found for time, _ in series.points]
        return coverage(missing, int(_only(window_minutes)))

    async def why_nothing(self) -> str:
        prometheus = self._prometheus
        if not await prometheus.has_series(f'{{__name__=~"ecs_.+",job="{self._job}"}}'):
            return (
                f"Prometheus at {prometheus.name} holds no metric of ECS: let it scrape /metrics "
                f"under job_name {self._job!r}, or name the job with --job"
            )
        return (
            f"Prometheus at {prometheus.name} holds no metric of ECS between "
            f"{self._window.since.isoformat()} and {self._window.until.isoformat()}: ask for a "
            "time in which it scraped the service (--since, --until), or let it keep more "
            "(--storage.tsdb.retention.time)"
        )

    async def _instant(self, query: str) -> list[tuple[Labels, float]]:
        return await self._prometheus.instant(query, self._window.until)


def _requests(job: str, method: str, route: str) -> str:
    return f'ecs_http_requests_total{{job="{job}",method="{method}",route="{route}"}}'


def _add(sums: dict[str, float], counts: Mapping[str, float]) -> None:
    for name, count in counts.items():
        sums[name] = sums.get(name, 0.0) + count


def _only(vector: list[tuple[Labels, float]]) -> float:
    return vector[0][1] if vector else 0.0


def _times(window: Window, step: int) -> tuple[float, ...]:
    since = window.since.timestamp()
    return tuple(round(since + number * step, 3) for number in range(window.seconds // step + 1))


def _by_time(found: Iterable[Series], label: str) -> dict[float, dict[str, float]]:
    by_time: dict[float, dict[str, float]] = {}
    for series in found:
        for time, value in series.points:
            by_time.setdefault(round(time, 3), {})[series.labels[label]] = value
    return by_time
