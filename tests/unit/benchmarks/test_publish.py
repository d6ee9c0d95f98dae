"""What is published of a measured run."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.publish import publish, tables, with_table

ROOT = Path(__file__).parents[3]


def way(milliseconds: float, to_raw: float = 1.0, to_docker_run: float = 1.0) -> dict[str, Any]:
    return {
        "count": 30,
        "median_seconds": milliseconds / 1000,
        "p95_seconds": 2 * milliseconds / 1000,
        "median_to_raw": to_raw,
        "median_to_docker_run": to_docker_run,
    }


def on_both(**ways: dict[str, Any]) -> dict[str, Any]:
    named = {name.replace("_", " "): figures for name, figures in ways.items()}
    return {"default": named, "none": named}


def series(milliseconds: float) -> dict[str, Any]:
    return {
        "count": 30,
        "median_seconds": milliseconds / 1000,
        "p95_seconds": 2 * milliseconds / 1000,
    }


RUN: dict[str, Any] = {
    "latency": on_both(ECS=way(100, 0.5, 0.25), docker_run=way(400, 2.0)),
    "warm": {
        "containers": 20,
        "warm": series(8.44),
        "first_byte": series(7),
        "docker_run": series(400),
        "median_to_docker_run": 0.0211,
        "hits": 99,
        "misses": 1,
        "burst": {
            "requests": 20,
            "warm": series(200),
            "pairwise_to_docker_run": 0.04,
            "hit_rate": 1.0,
        },
    },
}
COLD = {"latency": on_both(ECS=way(200, 0.9, 0.6))}


def test_the_tables_tell_what_was_measured() -> None:
    told = tables(RUN, COLD)

    assert "| ECS | 100 | 200 | 0.50 | 0.25 | 100 | 200 | 0.50 | 0.25 |" in told["latency"]
    assert "| ECS, no sandboxes | 200 | 400 | 0.90 | 0.60 |" in told["latency"]
    assert "| whole request, median | 8.4 ms |" in told["warm"]
    assert "| hit rate, one at a time | 0.99 |" in told["warm"]


def test_a_table_takes_the_place_of_the_one_before() -> None:
    document = "above\n<!-- begin: benchmarks.publish, warm -->\nold\n<!-- end -->\nbelow\n"

    assert with_table(document, "warm", "new") == document.replace("old", "new")


def test_a_document_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"benchmarks\.publish, warm"):
        with_table("nothing\n", "warm", "new")


def test_the_document_has_a_place_for_each_table(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text((ROOT / "docs" / "performance.md").read_text())

    publish(RUN, COLD, document)

    written = document.read_text()
    assert all(table in written for table in tables(RUN, COLD).values())
