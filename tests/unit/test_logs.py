"""Logging is set up for a whole process, so each test has a process of its own."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

PREAMBLE = """
import logging, warnings
import structlog
from ecs.logs import configure_logging
configure_logging({level!r})
log = structlog.get_logger()
"""


def logged(script: str, level: str = "info") -> list[dict[str, Any]]:
    """Run the script with logging set up, and return what it wrote: JSON lines alone."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE.format(level=level) + script],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_an_event_is_one_line_with_level_and_utc_time() -> None:
    (event,) = logged("log.info('listening', port=8448)")

    assert (event["event"], event["level"], event["port"]) == ("listening", "info", 8448)
    assert datetime.fromisoformat(event["timestamp"]).tzinfo == UTC


def test_what_is_bound_to_the_context_is_on_every_line() -> None:
    (event,) = logged("structlog.contextvars.bind_contextvars(task_id='t1'); log.info('x')")

    assert event["task_id"] == "t1"


def test_a_librarys_line_is_as_one_of_ours_and_names_the_library() -> None:
    (event,) = logged("logging.getLogger('tornado.general').warning('%s is %d', 'it', 1)")

    assert (event["event"], event["level"]) == ("it is 1", "warning")
    assert event["logger"] == "tornado.general"
    assert datetime.fromisoformat(event["timestamp"]).tzinfo == UTC


@pytest.mark.parametrize(
    "logger", ["log", "logging.getLogger('asyncio')"], ids=["ours", "a library's"]
)
def test_an_exception_is_on_the_same_line(logger: str) -> None:
    (event,) = logged(f"""
try:
    1 / 0
except ZeroDivisionError:
    {logger}.exception('it\\nbroke')
""")

    assert event["event"] == "it\nbroke"
    assert event["exception"].startswith("Traceback")
    assert event["exception"].endswith("ZeroDivisionError: division by zero")


def test_what_is_no_json_is_shown_as_text() -> None:
    (event,) = logged("log.info('x', value={1}, text='\\ud800 \\u2028 ä')")

    assert event["value"] == "{1}"
    assert event["text"] == "\ud800 \u2028 ä"


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_less_severe_than_the_level_is_not_logged(level: str, events: list[str]) -> None:
    lines = logged(
        "for severity in ('debug', 'info', 'warning', 'error'): getattr(log, severity)(severity)",
        level,
    )

    assert [line["event"] for line in lines] == events


@pytest.mark.parametrize(
    ("level", "events"),
    [("debug", ["warning", "error"]), ("info", ["warning", "error"]), ("error", ["error"])],
)
def test_of_libraries_nothing_below_a_warning_is_logged(level: str, events: list[str]) -> None:
    lines = logged(
        "for severity in ('debug', 'info', 'warning', 'error'):\n"
        "    getattr(logging.getLogger('aiohttp'), severity)(severity)",
        level,
    )

    assert [line["event"] for line in lines] == events
