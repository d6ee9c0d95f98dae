"""From the crowd's lines to figures."""

import json

import pytest

from tests.load.records import Request, Stage, over_time, parse, percentile, stage_figures


def lines(*records: dict[str, object]) -> list[str]:
    return [json.dumps(record) for record in records]


def request(
    name: str = "task", begun: float = 0.0, seconds: float = 0.1, wrong: str | None = None
) -> dict[str, object]:
    return {"name": name, "begun": begun, "seconds": seconds, "wrong": wrong}


def mark(number: int, users: int, time: float) -> dict[str, object]:
    return {"stage": number, "users": users, "time": time}


def test_stages_lie_between_their_marks() -> None:
    records = parse(lines(mark(0, 1, 100), request(), mark(1, 2, 110), mark(2, 0, 130)))
    assert records.stages == [Stage(1, 100, 110), Stage(2, 110, 130)]
    assert records.requests == [Request("task", 0.0, 0.1, None)]


def test_a_stage_that_was_cut_short_ends_with_its_last_request() -> None:
    records = parse(lines(mark(0, 4, 100), request(begun=103, seconds=2)))
    assert records.stages == [Stage(4, 100, 105)]


def test_a_request_belongs_to_the_stage_it_was_begun_in_and_a_rate_to_the_time_itself() -> None:
    records = parse(
        lines(
            mark(0, 1, 100),
            request(begun=101, seconds=1),
            request(begun=109, seconds=3),
            request("_noop", begun=105, seconds=0.5),
            request(begun=106, seconds=1, wrong="status 502"),
            mark(1, 2, 110),
            mark(2, 0, 120),
        )
    )
    first, second = (stage_figures(records, s, frozenset({"task"})) for s in records.stages)
    assert first["tasks_per_second"] == pytest.approx(0.1)
    assert first["requests_per_second"] == pytest.approx(0.2)
    assert first["kinds"]["task"]["requests"] == 3
    assert first["kinds"]["task"]["p99_seconds"] == 3
    assert first["all"]["failures"] == 1
    assert first["failures"] == {"task: status 502": 1}
    assert second["tasks_per_second"] == pytest.approx(0.1)
    assert second["all"] == {
        "requests": 0,
        "failures": 0,
        "p50_seconds": None,
        "p95_seconds": None,
        "p99_seconds": None,
    }


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_a_percentile_is_a_measured_value(percent: float, value: float) -> None:
    assert percentile(range(100, 0, -1), percent) == value


def test_latency_over_time_leaves_wrong_answers_out() -> None:
    requests = [
        Request("task", 100, 1, None),
        Request("task", 130, 3, None),
        Request("task", 131, 9, "status 502"),
        Request("task", 170, 2, None),
    ]
    assert over_time(requests, 100, 60) == [
        {"seconds": 30, "requests": 2, "p50_seconds": 1, "p95_seconds": 3},
        {"seconds": 90, "requests": 1, "p50_seconds": 2, "p95_seconds": 2},
    ]
