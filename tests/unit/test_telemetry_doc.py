"""docs/telemetry.md names every metric there is, and no other."""

from pathlib import Path

import pytest

import ecs
from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.tasks.admission import Admission
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime import EngineRuntime
from ecs.telemetry.catalog import CATALOG
from ecs.telemetry.telemetry import Telemetry
from tests.expositions import families, labels
from tests.unit import builders
from tests.unit.metrics_table import BEGIN_MARKER, END_MARKER, metrics_table
from tests.unit.scripted_runner import dispatcher_of, succeed
from tests.unit.walked import TO_THE_END, end, walk


@pytest.fixture
def document() -> str:
    path = Path(ecs.__file__).parent.parent / "docs" / "telemetry.md"
    return path.read_text(encoding="utf-8")


@pytest.fixture
async def exposition(no_engine: DockerRemoteApi, tmp_path: Path) -> str:
    """What is exposed once everything has happened."""
    telemetry, admission = Telemetry(), Admission(max_starting=1, max_running=1, max_queued=1)
    reaper = Reaper(no_engine, admission)
    telemetry.metrics.watch(
        dispatcher=dispatcher_of(succeed, admission),
        admission=admission,
        reaper=reaper,
        pools={
            "sandbox": builders.no_sandboxes(no_engine, admission, reaper),
            "warm": builders.no_warm_pool(no_engine, admission, reaper),
        },
        runtime=EngineRuntime(),
        directories={"spool": tmp_path},
    )
    task = builders.task()
    walk(task, TO_THE_END)
    end(task)
    telemetry.metrics.ended(task)
    telemetry.metrics.engine_request("ping", "200", 0.1)
    telemetry.metrics.http_request("/v1.1/tasks", "POST", 201, 0.1)
    return telemetry.exposition().decode()


def test_the_table_is_the_one_that_the_code_makes(document: str) -> None:
    _, _, behind = document.partition(f"{BEGIN_MARKER}\n")
    table, _, _ = behind.partition(f"\n{END_MARKER}\n")

    assert table == metrics_table()


def test_what_is_exposed_is_what_the_catalog_says(exposition: str) -> None:
    own = {
        name: (family.type, family.documentation, set(found))
        for name, family, found in (
            (name, family, labels(exposition)[name])
            for name, family in families(exposition).items()
            if name.startswith("ecs_")
        )
    }

    assert own == {
        metric.name: (metric.kind, metric.description, set(metric.labels)) for metric in CATALOG
    }


def test_the_table_has_every_metric_that_is_exposed(exposition: str) -> None:
    names = {row.split("`")[1] for row in metrics_table().splitlines()[2:]}

    assert names == families(exposition).keys()


def test_histograms_have_the_bounds_of_the_catalog(exposition: str) -> None:
    for metric in CATALOG:
        if metric.kind == "histogram":
            bounds = {
                float(sample.labels["le"])
                for sample in families(exposition)[metric.name].samples
                if "le" in sample.labels
            }
            assert bounds == {*metric.buckets, float("inf")}
