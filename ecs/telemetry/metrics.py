"""The instruments behind the catalog, and what is counted where.

Counters and histograms are told of events; gauges read the parts themselves when they are asked,
so that they cannot drift from the truth.
"""

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import prometheus_client
from opentelemetry.metrics import Histogram, Meter, Observation
from prometheus_client import CollectorRegistry

import ecs
from ecs.docker_remote_api.connection import UNREACHABLE
from ecs.docker_remote_api.operations import OPERATIONS
from ecs.tasks.admission import Admission
from ecs.tasks.dispatcher import TaskDispatcher
from ecs.tasks.model import Task
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime import DEFAULT, EngineRuntime
from ecs.tasks.sandboxes import Sandboxes
from ecs.tasks.states import Outcome, RunnerState, TaskState, phases
from ecs.tasks.warm_pool import WarmPool
from ecs.telemetry import catalog
from ecs.telemetry.catalog import Metric

OTHER_ROUTE = "other"
_SECONDS = "s"
_STATES_IN_PROGRESS = (TaskState.QUEUED, TaskState.INITIALIZING, TaskState.RUNNING)
_NO_OVERHEAD = frozenset({"pull", "run"})
Observe = Callable[[], Iterable[Observation]]
Pools = Mapping[str, Sandboxes | WarmPool]


class Tally:
    """A counter that is kept here and read by the readers: a tenth of the cost of the SDK's own."""

    def __init__(self, meter: Meter, metric: Metric) -> None:
        self._labels = metric.labels
        self._counts: Counter[tuple[str, ...]] = Counter()
        meter.create_observable_counter(
            metric.name, [lambda _: self._observe()], description=metric.description
        )

    def add(self, *values: str, count: int = 1) -> None:
        """Count one for these values of the labels; none, to begin them at 0."""
        self._counts[values] += count

    def _observe(self) -> Iterator[Observation]:
        for values, count in tuple(self._counts.items()):
            yield Observation(count, dict(zip(self._labels, values, strict=True)))


class Metrics:
    """Counts; a ``TaskObserver``, and the engine's ``RequestObserver``."""

    def __init__(self, meter: Meter, registry: CollectorRegistry) -> None:
        """Count through ``meter``; what every request pays for, straight into ``registry``."""
        self._meter = meter
        self._tasks = Tally(meter, catalog.TASKS)
        # What begins at 0 shows the first of its kind as an increase, which alert rules look for.
        for outcome in Outcome:
            self._tasks.add(outcome.value, count=0)
        self._task_duration = self._histogram(catalog.TASK_DURATION)
        self._task_overhead = self._histogram(catalog.TASK_OVERHEAD)
        self._docker_requests = Tally(meter, catalog.DOCKER_REQUESTS)
        for operation in OPERATIONS:
            for code in (UNREACHABLE, "500"):
                self._docker_requests.add(operation, code, count=0)
        self._docker_duration = self._histogram(catalog.DOCKER_REQUEST_DURATION)
        self._http_requests = Tally(meter, catalog.HTTP_REQUESTS)
        self._http_durations: dict[str, prometheus_client.Histogram] = {}
        self._http_duration = prometheus_client.Histogram(
            catalog.HTTP_REQUEST_DURATION.name,
            catalog.HTTP_REQUEST_DURATION.description,
            catalog.HTTP_REQUEST_DURATION.labels,
            buckets=catalog.HTTP_REQUEST_DURATION.buckets,
            registry=registry,
        )
        self._engine_up = False
        build = {"version": ecs.__version__, "python_version": platform.python_version()}
        self._gauge(catalog.BUILD_INFO, lambda: [Observation(1, build)])
        self._gauge(catalog.ENGINE_UP, lambda: [Observation(int(self._engine_up))])

    def watch(
        self,
        *,
        dispatcher: TaskDispatcher,
        admission: Admission,
        reaper: Reaper,
        pools: Pools,
        runtime: EngineRuntime,
        directories: Mapping[str, Path],
    ) -> None:
        """Read the gauges from these parts; pools and directories are named as in the labels."""
        self._gauge(catalog.TASKS_IN_PROGRESS, lambda: _by_state(dispatcher.in_progress()))
        self._gauge(catalog.QUEUE_LENGTH, lambda: [Observation(admission.queue_length)])
        self._gauge(catalog.QUEUE_LIMIT, lambda: [Observation(admission.max_queued)])
        self._gauge(catalog.CONTAINERS_TO_DELETE, lambda: [Observation(reaper.pending_count)])
        self._gauge(catalog.CONTAINERS_LEAKED, lambda: [Observation(reaper.left_behind_count)])
        self._gauge(catalog.POOL_CONTAINERS, lambda: _pool_states(pools))
        self._counter(catalog.POOL_TASKS, lambda: _pool_tasks(pools))
        self._counter(
            catalog.POOL_REFILLS, lambda: _of_pools(pools, lambda pool: float(pool.containers.made))
        )
        self._counter(
            catalog.POOL_REFILL_FAILURES,
            lambda: _of_pools(pools, lambda pool: float(pool.containers.failed)),
        )
        self._counter(
            catalog.POOL_REFILL_SECONDS,
            lambda: _of_pools(pools, lambda pool: pool.containers.making_seconds),
        )
        self._gauge(catalog.DRAINING, lambda: [Observation(int(dispatcher.draining))])
        self._gauge(
            catalog.RUNTIME_INFO, lambda: [Observation(1, {"runtime": runtime.name or DEFAULT})]
        )
        self._gauge(catalog.DISK_FREE, lambda: _disks(directories, _free_bytes))
        self._gauge(catalog.DISK_SIZE, lambda: _disks(directories, _size_bytes))

    def engine_request(self, operation: str, code: str, seconds: float) -> None:
        """Count a request to the engine."""
        self._engine_up = code != UNREACHABLE
        self._docker_requests.add(operation, code)
        self._docker_duration.record(seconds, {"operation": operation})

    def expect_http(self, route: str, method: str, codes: Iterable[int]) -> None:
        """Begin to count such requests at 0."""
        for code in codes:
            self._http_requests.add(route, method, str(code), count=0)

    def http_request(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count an answered request; this is on every request's way, and costs microseconds."""
        self._http_requests.add(route, method, str(code))
        duration = self._http_durations.get(route)
        if duration is None:
            duration = self._http_durations[route] = self._http_duration.labels(route)
        duration.observe(seconds)

    def taken_in(self, task: Task) -> None:
        """Tasks under way are read from the dispatcher."""

    def ended(self, task: Task) -> None:
        """Count a task, and where its time went."""
        if task.result is None:
            return
        self._tasks.add(task.result.outcome.value)
        entered = {state for state, _ in task.machine.entered}
        durations = {name: task.result.timings[f"{name}_seconds"] for name in phases(entered)}
        for phase, seconds in durations.items():
            self._task_duration.record(seconds, {"phase": phase})
        self._task_duration.record(task.result.timings["total_seconds"], {"phase": "total"})
        if RunnerState.RUNNING in entered:
            overhead = sum(durations[phase] for phase in durations if phase not in _NO_OVERHEAD)
            self._task_overhead.record(overhead)

    def _histogram(self, metric: Metric) -> Histogram:
        return self._meter.create_histogram(
            metric.name,
            unit=_SECONDS,
            description=metric.description,
            explicit_bucket_boundaries_advisory=metric.buckets,
        )

    def _counter(self, metric: Metric, observe: Observe) -> None:
        self._meter.create_observable_counter(
            metric.name, [lambda _: observe()], description=metric.description
        )

    def _gauge(self, metric: Metric, observe: Observe) -> None:
        self._meter.create_observable_gauge(
            metric.name, [lambda _: observe()], description=metric.description
        )


def _by_state(counts: Mapping[TaskState, int]) -> Iterator[Observation]:
    for state in _STATES_IN_PROGRESS:
        yield Observation(counts.get(state, 0), {"state": state.value})


def _pool_states(pools: Pools) -> Iterator[Observation]:
    for kind, pool in pools.items():
        for state, count in pool.counts.items():
            yield Observation(count, {"kind": kind, "state": state})


def _pool_tasks(pools: Pools) -> Iterator[Observation]:
    for kind, pool in pools.items():
        for result, count in (("hit", pool.hits), ("miss", pool.misses)):
            yield Observation(count, {"kind": kind, "result": result})


def _of_pools(
    pools: Pools, figure: Callable[[Sandboxes | WarmPool], float]
) -> Iterator[Observation]:
    for kind, pool in pools.items():
        yield Observation(figure(pool), {"kind": kind})


def _disks(
    directories: Mapping[str, Path], size: Callable[[os.statvfs_result], int]
) -> Iterator[Observation]:
    for name, path in directories.items():
        try:
            figures = os.statvfs(path)
        except OSError:
            continue  # no figure is better than a wrong one
        yield Observation(size(figures), {"directory": name})


def _free_bytes(figures: os.statvfs_result) -> int:
    return figures.f_bavail * figures.f_frsize


def _size_bytes(figures: os.statvfs_result) -> int:
    return figures.f_blocks * figures.f_frsize
