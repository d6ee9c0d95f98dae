"""What the ways to start are to reach, beside what was measured."""

from typing import Any

from benchmarks.targets import target_rows
from tests.unit.benchmarks.run import COLD, RUN, step


def verdicts(run: dict[str, Any]) -> dict[str, list[str]]:
    return {name: cells for name, *cells in target_rows(run)}


def test_a_target_is_met_at_its_limit_and_missed_beyond_it() -> None:
    told = verdicts(RUN)

    assert told["in a sandbox: median / `docker run --rm`"] == ["0.33", "", "0.25", "met"]
    assert told["burst of 20, 20 sandboxes / `docker run --rm`"] == ["0.5", "", "0.45", "met"]
    throughput = "throughput with sandboxes / `docker run --rm`, each at its best"
    assert told[throughput] == ["", "2", "2.5", "met"]
    assert told["warm: p95 at random, at half of what is sustained"] == [
        "25 ms",
        "",
        "190 ms",
        "missed",
    ]


def test_a_rate_below_its_target_is_missed() -> None:
    throughput = RUN["throughput"]["default"]
    slow = throughput | {"batch": throughput["batch"] | {"pairwise_to_docker_run": 1.99}}

    (row,) = target_rows({"throughput": {"default": slow}})

    assert row[-2:] == ["1.99", "missed"]


def test_where_all_was_refused_the_target_is_missed() -> None:
    refused = step(0.5, 1) | {"latency": None}

    (row,) = target_rows({"poisson": {"warm": {"steps": [refused]}}})

    assert row[-2:] == ["", "missed"]


def test_nothing_is_told_of_what_was_not_measured() -> None:
    assert target_rows({"noop": RUN["noop"]}) == []


def test_nothing_is_told_of_a_network_that_was_left_out() -> None:
    told = verdicts({"latency": {"none": RUN["latency"]["none"] | {"ECS, no sandboxes": COLD}}})

    assert list(told) == ["without a sandbox, no network: median / `docker run --rm`"]
