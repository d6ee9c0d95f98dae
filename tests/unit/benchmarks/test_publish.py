"""What is published of a measured run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.document import NotPublishableError
from benchmarks.publish import publish
from benchmarks.tables import tables
from tests.unit.benchmarks.run import FRONT_DOOR, RUN

ROOT = Path(__file__).parents[3]
ABOUT_THE_RUN = ("facts", "settings", "quick", "seconds")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """The documents as they are, to be written to."""
    shutil.copy(ROOT / "docs" / "performance.md", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("latency", "| ECS | 70 | 140 | 0.35 | 0.25 | 70 | 140 | 0.35 | 0.25 |"),
        ("warm", "| whole request, median | 8.4 ms |"),
        ("warm", "| hit rate | 0.99 |"),
        ("burst", "| 20 warm containers | 160 | 480 | 0.040 | 1.00 |"),
        ("burst", "| 20 sandboxes | 1800 | 5400 | 0.450 | 0.95 |"),
        ("burst", "| `docker run --rm`, 8 workers | 4000 | 12000 | 1 |  |"),
        ("throughput", "| 4 | 12.50 | 5.00 | 6.00 | 2.50 | 10.00 | 8.00 | 9.00 | 1.25 |"),
        (
            "throughput",
            "| bridge network, 3 times 80 tasks | 4 | 12.50 | 0.99 | 8 | 5.00 | 2.50 | 0 |",
        ),
        ("poisson", "12.34 tasks a second with 20 sandboxes, by 8 clients; 5.67 tasks a second"),
        ("poisson", "| 20 sandboxes | 25 % | 6.00 | 20 | 120 | 0.99 | 80 | 152 | 158 | 0 |"),
        ("poisson", "| 792 | 2 of 503, 1 of 429 |"),
        ("output", "| ECS, JSON (head and tail) | 0.66 | 5.1 MB |"),
        ("output", "| docker run --rm > /dev/null | 1.54 |  |"),
        ("noop", "| ECS _noop | 7,250 | 7,000 | 7,500 |"),
        ("sleepers", "| all running after | 12.3 s |"),
        ("sleepers", "| a short task, while all sleep | 30 | 2.0 | 4.0 | 6.0 |"),
        ("facts", "on 2026-01-02 03:04 UTC, 7 minutes: ECS 1.2.3, 2 cores"),
        ("facts", "default settings"),
    ],
)
def test_the_tables_tell_what_was_measured(section: str, line: str) -> None:
    assert line in tables(RUN)[section]


def test_settings_other_than_the_default_ones_are_told() -> None:
    told = tables(RUN | {"settings": {"ECS_INIT": "off"}})["facts"]

    assert "with `ECS_INIT=off`" in told


def test_a_step_without_any_right_answer_has_no_percentiles() -> None:
    first, *others = RUN["poisson"]["warm"]["steps"]
    refused = first | {"hit_rate": None, "latency": None, "errors": {"503": 120}}
    pool = RUN["poisson"]["warm"] | {"steps": [refused, *others]}
    told = tables(RUN | {"poisson": RUN["poisson"] | {"warm": pool}})["poisson"]

    assert "| 20 warm containers | 25 % | 6.00 | 20 | 120 |  |  |  |  | 120 of 503 |" in told


def test_a_whole_run_refreshes_every_document(docs: Path) -> None:
    publish(RUN, docs)

    written = (docs / "performance.md").read_text()
    assert all(table in written for table in tables(RUN).values())
    figures = json.loads((docs / "performance.json").read_text())
    assert figures["date"] == "2026-01-02"
    assert figures["throughput"][0]["default"] == {
        "ecs_tasks_per_second": 12.5,
        "docker_run_tasks_per_second": 5,
        "raw_tasks_per_second": 6,
    }
    assert figures["output"]["ways"][0]["service_growth_bytes"] == 5_100_000
    assert "throughput, bridge network" in (docs / "performance.svg").read_text()
    assert "hit rate 0.99" in (docs / "poisson.svg").read_text()


def test_the_figures_have_the_shape_of_those_that_are_published_now(docs: Path) -> None:
    publish(RUN, docs)

    now = json.loads((ROOT / "docs" / "performance.json").read_text())
    figures = json.loads((docs / "performance.json").read_text())
    assert figures.keys() == now.keys()
    assert figures["machine"].keys() == now["machine"].keys()
    assert figures["latency"]["ways"][0].keys() == now["latency"]["ways"][0].keys()
    assert figures["throughput"][0].keys() == now["throughput"][0].keys()
    assert figures["output"]["ways"][0].keys() == now["output"]["ways"][0].keys()


def test_the_front_door_is_published_by_itself(docs: Path) -> None:
    run = {**{name: RUN[name] for name in ABOUT_THE_RUN}, "front_door": FRONT_DOOR}
    before = (docs / "performance.md").read_text()

    publish(run, docs)

    written = (docs / "performance.md").read_text()
    assert "| `_noop` on 2026-01-02 03:04 UTC | median ms | min | max |" in written
    assert "| through nginx | 2.5 | 2.4 | 2.6 |" in written
    assert written.partition("## The front door")[0] == before.partition("## The front door")[0]
    assert not (docs / "performance.json").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"quick": True}, "leave --quick out"),
        ({"throughput": {"none": RUN["throughput"]["none"]}}, "leave --network out"),
    ],
)
def test_a_lesser_run_is_refused(docs: Path, change: dict[str, Any], why: str) -> None:
    with pytest.raises(NotPublishableError, match=why):
        publish(RUN | change, docs)


def test_a_run_of_some_sections_is_refused(docs: Path) -> None:
    some = {name: RUN[name] for name in (*ABOUT_THE_RUN, "latency", "warm")}

    with pytest.raises(NotPublishableError, match=r"no burst, noop, output, poisson, sleepers, t"):
        publish(some, docs)


def test_a_document_without_a_place_for_a_table_is_refused(docs: Path) -> None:
    (docs / "performance.md").write_text("nothing\n")

    with pytest.raises(NotPublishableError, match=r"benchmarks\.publish, "):
        publish(RUN, docs)
