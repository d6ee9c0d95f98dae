"""Every metric of the service: its name, kind, labels and meaning.

docs/telemetry.md prints this table; dashboards and alert rules rely on the names. A label's values
are few and fixed: never a task id, a key or an image.
"""

from dataclasses import dataclass

MILLISECONDS_TO_HOURS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    *(30, 60, 300, 900, 3600, 14400),
)
"""Bounds of what may end at once or last as long as a task may."""
MILLISECONDS_TO_MINUTE = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1, 1.5, 2.5, 5, 10, 30, 60),
)
"""Bounds of what ECS and the engine add: fine where they are when all is well (0.05 to 1 s)."""


@dataclass(frozen=True)
class Metric:
    """One metric; ``buckets`` are the upper bounds of a histogram, in its unit."""

    name: str
    kind: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


TASKS = Metric("ecs_tasks_total", "counter", "Tasks that ended, by why they did.", ("outcome",))
TASK_DURATION = Metric(
    "ecs_task_duration_seconds",
    "histogram",
    "Time that ended tasks spent in each phase they came to, and in all (total).",
    ("phase",),
    MILLISECONDS_TO_HOURS,
)
TASK_OVERHEAD = Metric(
    "ecs_task_overhead_seconds",
    "histogram",
    "Time that ECS and the engine added to the pull and the run of tasks that ran: queued, create, "
    "start and collect.",
    (),
    MILLISECONDS_TO_MINUTE,
)
TASKS_IN_PROGRESS = Metric(
    "ecs_tasks_in_progress", "gauge", "Tasks that have not ended, by state.", ("state",)
)
QUEUE_LENGTH = Metric("ecs_queue_length", "gauge", "Tasks that wait to begin.")
QUEUE_LIMIT = Metric("ecs_queue_limit", "gauge", "Tasks that may wait to begin (max_queued_tasks).")
DOCKER_REQUESTS = Metric(
    "ecs_docker_requests_total",
    "counter",
    "Requests to the engine, by operation and status code, or unreachable where none came.",
    ("operation", "code"),
)
DOCKER_REQUEST_DURATION = Metric(
    "ecs_docker_request_duration_seconds",
    "histogram",
    "Time until the head of the engine's answer, or until none was to be had.",
    ("operation",),
    MILLISECONDS_TO_MINUTE,
)
ENGINE_UP = Metric("ecs_engine_up", "gauge", "1 if the engine answered the last request to it.")
CONTAINERS_TO_DELETE = Metric(
    "ecs_containers_to_delete", "gauge", "Containers that wait to be deleted."
)
CONTAINERS_LEAKED = Metric(
    "ecs_containers_leaked",
    "gauge",
    "Containers whose deletion failed time and again and that are not known to be gone.",
)
POOL_CONTAINERS = Metric(
    "ecs_pool_containers",
    "gauge",
    "Containers held ready for tasks or in use by them, by kind (sandbox, warm) and state.",
    ("kind", "state"),
)
POOL_TASKS = Metric(
    "ecs_pool_tasks_total",
    "counter",
    "Tasks that asked for one of these, by whether there was one (hit) or not (miss).",
    ("kind", "result"),
)
POOL_REFILLS = Metric("ecs_pool_refills_total", "counter", "Containers of these made.", ("kind",))
POOL_REFILL_FAILURES = Metric(
    "ecs_pool_refill_failures_total", "counter", "Attempts that made none.", ("kind",)
)
POOL_REFILL_SECONDS = Metric(
    "ecs_pool_refill_seconds_total",
    "counter",
    "Time in the engine's lane that making them took.",
    ("kind",),
)
HTTP_REQUESTS = Metric(
    "ecs_http_requests_total",
    "counter",
    "Requests answered, by route (other: none of the service's), method and status code.",
    ("route", "method", "code"),
)
HTTP_REQUEST_DURATION = Metric(
    "ecs_http_request_duration_seconds",
    "histogram",
    "Time until the answer was sent; that of a task includes the task.",
    ("route",),
    MILLISECONDS_TO_HOURS,
)
DRAINING = Metric("ecs_draining", "gauge", "1 while the service takes no new tasks since it stops.")
DISK_FREE = Metric(
    "ecs_disk_free_bytes",
    "gauge",
    "Space left where output is spooled and where the state is kept.",
    ("directory",),
)
DISK_SIZE = Metric(
    "ecs_disk_size_bytes", "gauge", "Size of the file systems of these directories.", ("directory",)
)
RUNTIME_INFO = Metric(
    "ecs_runtime_info",
    "gauge",
    "Always 1; the label is the engine's runtime that containers get, default for its own.",
    ("runtime",),
)
BUILD_INFO = Metric(
    "ecs_build_info",
    "gauge",
    "Always 1; the labels say what runs.",
    ("version", "python_version"),
)

CATALOG = (
    TASKS,
    TASK_DURATION,
    TASK_OVERHEAD,
    TASKS_IN_PROGRESS,
    QUEUE_LENGTH,
    QUEUE_LIMIT,
    DOCKER_REQUESTS,
    DOCKER_REQUEST_DURATION,
    ENGINE_UP,
    CONTAINERS_TO_DELETE,
    CONTAINERS_LEAKED,
    POOL_CONTAINERS,
    POOL_TASKS,
    POOL_REFILLS,
    POOL_REFILL_FAILURES,
    POOL_REFILL_SECONDS,
    HTTP_REQUESTS,
    HTTP_REQUEST_DURATION,
    DRAINING,
    DISK_FREE,
    DISK_SIZE,
    RUNTIME_INFO,
    BUILD_INFO,
)
