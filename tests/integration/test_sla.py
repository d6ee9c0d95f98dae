"""ecsctl sla against a real Prometheus that holds a day whose figures can be told by hand."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dateutil import parser
from yarl import URL

from ecs.ecsctl.main import ecsctl
from ecs.ecsctl.sla.measure import History, Window, history
from ecs.ecsctl.sla.prometheus import Prometheus
from tests import service_history as day
from tests.prometheus import running_prometheus

DAY = ("--since", day.SINCE, "--until", day.UNTIL)
WINDOW = Window(parser.parse(day.SINCE), parser.parse(day.UNTIL))
MINUTES = 1440


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), day.history()) as url:
        yield url


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(ecsctl, ["sla", "--prometheus", url, *arguments])


@pytest.fixture(scope="module")
def document(prometheus: str) -> dict[str, Any]:
    result = run(prometheus, *DAY, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def counts(document: dict[str, Any], name: str) -> tuple[int, int]:
    share = document["availability"][name]
    assert share["ratio"] == pytest.approx(share["good"] / share["total"], abs=1e-6)
    assert share["error_budget_left_ratio"] == pytest.approx(
        1 - (1 - share["good"] / share["total"]) / 0.005, abs=1e-4
    )
    return share["good"], share["total"]


def test_requests_are_counted_over_restarts_and_from_the_first_error_on(
    document: dict[str, Any],
) -> None:
    asked = {
        (one["method"], one["route"], one["code"]): one["count"] for one in document["requests"]
    }
    assert asked == {
        ("POST", "/v1.1/tasks", "201"): day.growth(4),
        ("POST", "/v1.1/tasks", "503"): day.VALUE_OF_FIRST_503,
        ("GET", "/v1.1/_noop", "200"): day.growth(1),
    }
    good = day.growth(4) + day.growth(1)
    assert counts(document, "requests") == (good, good + day.VALUE_OF_FIRST_503)


def test_what_was_counted_before_the_first_scrape_is_of_no_window(prometheus: str) -> None:
    earlier = ("--since", "2024-04-30 12:00 UTC", "--until", day.UNTIL)

    requests = json.loads(run(prometheus, *earlier, "--json").stdout)["requests"]

    assert {one["code"]: one["count"] for one in requests} == {
        "200": pytest.approx(day.growth(1), rel=0.01),
        "201": pytest.approx(day.growth(4), rel=0.01),
        "503": day.VALUE_OF_FIRST_503,
    }


def test_what_was_counted_behind_scrapes_that_failed_is_of_no_window(tmp_path: Path) -> None:
    """The window begins while a service that has run for long cannot be reached."""
    minutes, unreached = 120, 30
    begin = int(day.BEGIN.timestamp())
    up = "".join(
        f"up{{{day.ECS}}} {int(minute >= unreached)} {begin + 60 * minute}\n"
        for minute in range(minutes + 1)
    )
    labels = f'{day.ECS},method="POST",route="/v1.1/tasks",code="201"'
    requests = "".join(
        f"ecs_http_requests_total{{{labels}}} {10**6 + minute} {begin + 60 * minute}\n"
        for minute in range(unreached, minutes + 1)
    )
    history = f"# TYPE up gauge\n{up}# TYPE ecs_http_requests counter\n{requests}"

    with running_prometheus(tmp_path, history) as url:
        until = ("--until", "2024-05-01 02:00 UTC")
        found = json.loads(run(url, "--since", day.SINCE, *until, "--json").stdout)

    assert found["availability"]["requests"]["total"] == pytest.approx(minutes - unreached, abs=1)


def test_tasks_are_counted_by_outcome_and_the_engines_faults_against_ecs(
    document: dict[str, Any],
) -> None:
    assert document["outcomes"] == {
        "exited": day.growth(3),
        "timed_out": day.growth(1),
        "engine_error": 1,
    }
    assert counts(document, "tasks") == (day.growth(4), day.growth(4) + 1)


def test_the_minutes_in_which_the_service_was_away_are_not_good(document: dict[str, Any]) -> None:
    # One more than failed scrapes: the minute behind the last of them begins with it.
    assert counts(document, "up_minutes") == (MINUTES - len(day.AWAY) - 1, MINUTES)


def test_a_probe_that_runs_no_more_proves_nothing(document: dict[str, Any]) -> None:
    known = day.PROBE_STOPS + 4  # its last word is believed for less than five minutes

    assert counts(document, "probe_minutes") == (known - len(day.PROBE_FAILS), known)


def test_the_overhead_is_what_prometheus_itself_makes_of_the_histogram(
    document: dict[str, Any], prometheus: str
) -> None:
    async def theirs(percent: int) -> float:
        async with Prometheus(URL(prometheus)) as asked:
            found = await asked.instant(
                f"histogram_quantile({percent / 100}, "
                "sum by (le) (increase(ecs_task_overhead_seconds_bucket[1d])))",
                WINDOW.until,
            )
        return found[0][1]

    overhead = document["overhead"]

    # By hand: of 4 tasks a minute 1 took up to 0.25 s, 2 up to 0.5 s and 1 up to 1 s.
    assert overhead["tasks"] == day.growth(4)
    assert overhead["p50_seconds"] == 0.25 + 0.25 * (2 - 1) / 2
    assert overhead["p95_seconds"] == pytest.approx(0.5 + 0.5 * (3.8 - 3) / 1)
    assert overhead["largest_bucket_seconds"] == 1.0
    for percent in (50, 95, 99):
        expected = asyncio.run(theirs(percent))
        assert overhead[f"p{percent}_seconds"] == pytest.approx(expected, abs=1e-6)


def test_the_objective_is_judged(document: dict[str, Any], prometheus: str) -> None:
    assert document["objective"] == {"availability_percent": 99.5, "overhead_p95_seconds": 1.0}
    assert document["met"] is False  # it was away for half an hour

    lower = ("--objective", "availability_percent=97")
    assert json.loads(run(prometheus, *DAY, "--json", *lower).stdout)["met"] is True
    faster = (*lower, "--objective", "overhead_p95_seconds=0.8")
    assert json.loads(run(prometheus, *DAY, "--json", *faster).stdout)["met"] is False


def test_people_get_the_same_in_words(prometheus: str) -> None:
    told = run(prometheus, *DAY).stdout

    assert told.startswith("From 2024-05-01 00:00 UTC (+0000) to 2024-05-02 00:00 UTC (+0000)")
    assert "p50 0.375 s  p95 0.900 s  p99 0.980 s  of 5,636 tasks" in told
    assert "1,409 of 1,440 minutes in which Prometheus reached the service" in told
    assert told.endswith("Objective MISSED\n")


def test_a_window_without_data_makes_no_figures(prometheus: str) -> None:
    result = run(prometheus, "--since", "2024-04-01", "--until", "2024-04-02", "--json")

    assert result.exit_code == 1
    assert "holds no metric of ECS between 2024-04-01T00:00:00" in result.stderr
    assert "ask for a time in which it scraped the service" in result.stderr
    assert result.stdout == ""


def test_a_prometheus_without_data_makes_no_figures(tmp_path: Path) -> None:
    with running_prometheus(tmp_path) as url:
        result = run(url)

    assert result.exit_code == 1
    assert f"Prometheus at {url} holds no metric of ECS: let it scrape" in result.stderr


def test_a_window_of_which_all_is_known_has_no_gaps(document: dict[str, Any]) -> None:
    # Minutes in which the service was away are known too.
    assert document["coverage"] == {
        "minutes": MINUTES, "window_minutes": MINUTES, "ratio": 1.0, "gaps": []
    }  # fmt: skip


def test_what_was_before_the_first_scrape_is_a_gap(prometheus: str) -> None:
    earlier = ("--since", "2024-04-30 12:00 UTC", "--until", day.UNTIL)

    found = json.loads(run(prometheus, *earlier, "--json").stdout)
    told = run(prometheus, *earlier).stdout

    # The minute that ends at midnight has the first scrape in it.
    assert found["coverage"] == {
        "minutes": MINUTES + 1,
        "window_minutes": MINUTES + 720,
        "ratio": pytest.approx((MINUTES + 1) / (MINUTES + 720), abs=1e-6),
        "gaps": [{"since": "2024-04-30T12:00:00+00:00", "until": "2024-04-30T23:59:00+00:00"}],
    }
    assert "There is data of 66.712 % of it: 1,441 of 2,160 minutes\n" in told
    assert "  none from 2024-04-30 12:00 UTC to 2024-04-30 23:59 UTC\n" in told
    assert told.endswith("Objective MISSED, in the 66.712 % of the window of which there is data\n")


def test_times_in_which_prometheus_was_away_are_gaps_and_one_target_of_two_is_enough(
    tmp_path: Path,
) -> None:
    begin = int(day.BEGIN.timestamp())
    one, other = (f'job="ecs",instance="198.18.0.{number}:8448"' for number in (1, 2))
    # The ends of the minutes in the middle of which each was scraped.
    scraped = {
        one: {*range(1, 20), *range(40, 61)},
        other: {*range(1, 25), *range(50, 55), *range(56, 61)},
    }
    up = "".join(
        f"up{{{labels}}} 1 {begin + 60 * minute - 30}\n"
        for labels, minutes in scraped.items()
        for minute in sorted(minutes)
    )
    away = {"since": "2024-05-01T00:24:00+00:00", "until": "2024-05-01T00:39:00+00:00"}

    with running_prometheus(tmp_path, f"# TYPE up gauge\n{up}") as url:
        until = ("--until", "2024-05-01 01:00 UTC")
        whole = json.loads(run(url, "--since", day.SINCE, *until, "--json").stdout)
        # Half a minute later, so are the window's minutes.
        later = ("--since", "2024-05-01 00:30:30 UTC", "--until", "2024-05-01 00:59:30 UTC")
        part = json.loads(run(url, *later, "--json").stdout)

    assert whole["coverage"] == {
        "minutes": 45, "window_minutes": 60, "ratio": 0.75, "gaps": [away]
    }  # fmt: skip
    assert part["coverage"] == {
        "minutes": 20,
        "window_minutes": 29,
        "ratio": pytest.approx(20 / 29, abs=1e-6),
        "gaps": [away | {"since": "2024-05-01T00:30:30+00:00"}],
    }


def test_without_scrapes_of_its_own_prometheus_does_not_know_the_coverage(tmp_path: Path) -> None:
    """As where the metrics came over OTLP."""
    begin = int(day.BEGIN.timestamp())
    tasks = "".join(
        f'ecs_tasks_total{{job="ecs",outcome="exited"}} {minute} {begin + 60 * minute}\n'
        for minute in range(61)
    )

    with running_prometheus(tmp_path, f"# TYPE ecs_tasks counter\n{tasks}") as url:
        window = ("--since", day.SINCE, "--until", "2024-05-01 01:00 UTC")
        result = run(url, *window, "--json")

    assert json.loads(result.stdout)["coverage"] is None


def test_hours_without_tasks_are_not_called_available(prometheus: str) -> None:
    away = ("--since", "2024-05-01 12:05 UTC", "--until", "2024-05-01 12:25 UTC")

    found = json.loads(run(prometheus, *away, "--json").stdout)

    assert found["availability"]["requests"] is found["availability"]["tasks"] is None
    assert found["overhead"] is None
    assert found["availability"]["up_minutes"]["ratio"] == 0.0
    assert found["met"] is False


@pytest.fixture(scope="module")
def course(prometheus: str) -> History:
    async def asked() -> History:
        async with Prometheus(URL(prometheus)) as client:
            return await history(client, "ecs", WINDOW)

    return asyncio.run(asked())


def at(course: History, minute: int) -> int:
    """The index of the step that ends behind this minute."""
    when = day.BEGIN.timestamp() + minute * 60
    return next(index for index, time in enumerate(course.times) if time >= when)


def test_the_course_shows_the_first_errors_where_they_were(course: History) -> None:
    bad = [index for index, share in enumerate(course.requests) if share and share.ratio < 1]

    assert bad == [at(course, day.FIRST_503)]


def test_the_course_has_a_gap_where_the_service_was_away(course: History) -> None:
    middle = at(course, day.AWAY.start + len(day.AWAY) // 2)

    assert course.requests[middle] is None
    assert course.overhead[middle] is None
    assert course.up[middle] is not None
    assert course.up[middle].ratio == 0.0
    last = course.overhead[-1]
    assert last is not None
    assert last.percentiles[95] == pytest.approx(0.9)


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_course_is_drawn(suffix: str, prometheus: str, tmp_path: Path) -> None:
    picture = tmp_path / f"sla.{suffix}"

    result = run(prometheus, *DAY, "--plot", str(picture))

    assert result.exit_code == 0
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("reason", ["no matplotlib", "no directory"])
def test_a_picture_that_cannot_be_drawn_is_told_in_one_line(
    reason: str, prometheus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "none" / "sla.svg"
    if reason == "no matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    result = run(prometheus, *DAY, "--plot", str(picture))

    assert (result.exit_code, result.stdout) == (1, "")
    told = {
        "no matplotlib": "--plot needs matplotlib: pip install matplotlib",
        "no directory": f"the picture '{picture}' cannot be written: No such file or directory",
    }
    assert result.stderr == f"Error: {told[reason]}\n"
