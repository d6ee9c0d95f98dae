"""The size of ``/metrics`` does not depend on what anybody asks for."""

from collections.abc import Iterator
from itertools import cycle

import pytest
from structlog.testing import capture_logs

from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.operations import operation_name
from ecs.tasks.model import Task
from ecs.tasks.states import Outcome
from ecs.telemetry.telemetry import Telemetry
from tests.unit import builders
from tests.unit.request_handlers.serving import Site, serving
from tests.unit.scripted_runner import dispatcher_of
from tests.unit.walked import WITH_A_PULL, end, walk

TASKS = 20_000
IMAGES = 500
TASKS_AT_A_TIME = 100
LOOK_EVERY_TASKS = 1000


def engine_paths(task: Task) -> Iterator[tuple[str, str]]:
    yield "GET", f"/images/{task.request.image}/json"
    yield "POST", "/containers/create"
    yield "POST", f"/containers/{task.container_name}/start"
    yield "DELETE", f"/containers/{task.container_name}"


@pytest.fixture
def _no_log() -> Iterator[None]:
    """Two lines a task would take longer than the tasks."""
    with capture_logs():
        yield


@pytest.mark.usefixtures("_no_log")
async def test_metrics_after_20000_tasks_of_500_images_are_as_large_as_after_the_first() -> None:
    telemetry = Telemetry()
    outcomes = cycle(Outcome)

    async def run(task: Task) -> None:
        walk(task, WITH_A_PULL)
        for method, path in engine_paths(task):
            telemetry.metrics.engine_request(operation_name(method, path), "200", 0.01)
        end(task, next(outcomes))

    images = cycle(
        ImageReference.parse(f"registry{number % 7}.example/team/image{number}:v{number}")
        for number in range(IMAGES)
    )
    requests = [builders.task_request(image=next(images)) for _ in range(TASKS)]
    sizes = []
    async with dispatcher_of(
        run,
        running=TASKS_AT_A_TIME,
        queued=TASKS_AT_A_TIME,
        observers=(telemetry.metrics, telemetry.tracing),
    ) as dispatcher:
        for first in range(0, TASKS, TASKS_AT_A_TIME):
            tasks = [
                dispatcher.submit(request, owner=f"key {number}", request_id=f"r{number}")
                for number, request in enumerate(requests[first : first + TASKS_AT_A_TIME], first)
            ]
            for task in tasks:
                await dispatcher.release(task)
            if first % LOOK_EVERY_TASKS == 0:
                sizes.append(len(telemetry.exposition().splitlines()))

    counted = telemetry.exposition().decode()
    assert f'ecs_task_duration_seconds_count{{phase="total"}} {TASKS}.0' in counted
    # The first hundred tasks have shown every outcome; after them only figures change.
    assert len(sizes) == TASKS // LOOK_EVERY_TASKS
    assert set(sizes) == {len(counted.splitlines())}
    assert sizes[-1] < 700
    for part in ("registry", "image1", "team", "key ", "ecs-task-", tasks[0].id, "r19999"):
        assert part not in counted


async def test_invented_paths_and_methods_add_one_line_each_kind() -> None:
    async def lines(site: Site) -> int:
        return len((await site.ask("GET", "/metrics")).body.splitlines())

    async with serving() as site:
        await site.ask("GET", "/invented")
        await site.ask("BREW", "/invented")
        await site.ask("GET", "/metrics")
        before = await lines(site)

        for number in range(50):
            await site.ask("GET", f"/invented/{number}")
            await site.ask(f"BREW{number}", f"/v1.1/_noop/{number}")

        assert await lines(site) == before
