"""Pages, tables and published documents, from made-up figures."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.document import NotPublishableError
from tests.load.page import soak_page, steps_page
from tests.load.publish import publish
from tests.load.tables import steps_table

FACTS = {
    "date": "2026-11-26 07:00 UTC",
    "ecs": "1",
    "cores": 2,
    "kernel": "6.1",
    "engine": "20.10",
    "runtime": "runc 1.1",
}
LATENCY = {
    "requests": 10,
    "failures": 1,
    "p50_seconds": 0.25,
    "p95_seconds": 0.3,
    "p99_seconds": None,
}


def steps_run(tasks_per_second: float = 4.5) -> dict:
    step = {
        "users": 2,
        "seconds": 30,
        "requests_per_second": 9.0,
        "tasks_per_second": tasks_per_second,
        "all": LATENCY,
        "kinds": {"task": LATENCY, "_noop": LATENCY},
        "failures": {"task: <b>status 502</b>": 1},
    }
    return {
        "kind": "steps",
        "facts": FACTS,
        "task": "task",
        "noop": "_noop",
        "seconds_per_step": 30,
        "steps": [step, step | {"users": 4}],
        "outcome": "fail",
    }


def soak_run() -> dict:
    samples = [
        {
            "seconds": 5.0 * n,
            "containers": 1,
            "volumes": 0,
            "files": 3,
            "sandboxes": 4,
            "descriptors": 20,
            "threads": 6,
            "resident_bytes": 66_000_000 + n,
            "proportional_bytes": None,
            "log_bytes": 100 * n,
            "engine_descriptors": 60,
        }
        for n in range(10)
    ]
    slope = {"per_hour": 720.0, "lower": 0.0, "upper": 800.0}
    return {
        "kind": "soak",
        "facts": FACTS,
        "minutes": 60.0,
        "warm_up_seconds": 10,
        "tasks": 3600,
        "tasks_per_second": 1.0,
        "requests": 7000,
        "kinds": {"task": LATENCY},
        "task_latency": [{"seconds": 30, "p50_seconds": 0.25, "p95_seconds": 0.3}],
        "failures": {},
        "samples": samples,
        "verdicts": [
            {"subject": "memory", "outcome": "pass", "says": "+0.00 MB an hour", "slope": slope}
        ],
        "outcome": "pass",
    }


def test_a_step_stands_beside_the_previous_runs() -> None:
    row = steps_table(steps_run(), steps_run(4.25)).rows[0]
    assert row[:4] == ["2", "9.0 (9.0)", "4.50 (4.25)", "250 (250)"]
    assert row[-1] == "1 of 10 (1 of 10)"


def test_a_step_that_the_previous_run_had_not_stands_alone() -> None:
    previous = steps_run()
    del previous["steps"][1:]
    assert "(" not in "".join(steps_table(steps_run(), previous).rows[1])


def test_the_page_needs_nothing_beside_it_and_escapes_what_others_wrote() -> None:
    page = steps_page(steps_run(), steps_run(4.25))
    assert page.count("<svg") == 4
    assert "&lt;b&gt;status 502&lt;/b&gt;" in page
    assert 'src="' not in page
    assert "currentColor" in page
    assert "In brackets and dotted: the run of" in page


def test_the_page_of_a_soak_tells_its_verdict_and_draws_its_slope() -> None:
    page = soak_page(soak_run())
    assert '<span class="outcome pass">pass</span>' in page
    assert page.count("<svg") == 6
    assert "slope +0.00 MB an hour" in page


def test_publishing_replaces_its_own_place_alone_and_draws(tmp_path: Path) -> None:
    place = "<!-- begin: bin/load publish, {} -->\nold\n<!-- end -->\n"
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{place.format('steps')}between\n{place.format('soak')}after\n")
    for run in (steps_run(), soak_run()):
        (tmp_path / f"{run['kind']}.json").write_text(json.dumps(run))

    publish([tmp_path / "steps.json", tmp_path / "soak.json"], tmp_path)

    text = document.read_text()
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| 2 | 9.0 | 4.50 | 250 | 300 | - | 250 | 300 | 1 of 10 |" in text
    assert "| memory | pass | +0.00 MB an hour |" in text
    for name in ("load.svg", "soak.svg"):
        ElementTree.parse(tmp_path / name)
        assert "currentColor" not in (tmp_path / name).read_text()


def test_a_document_without_the_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text("nothing\n")
    (tmp_path / "soak.json").write_text(json.dumps(soak_run()))

    with pytest.raises(NotPublishableError, match="bin/load publish, soak"):
        publish([tmp_path / "soak.json"], tmp_path)
