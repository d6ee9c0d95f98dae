"""Sending: what it says in the log, and how long it is waited for."""

import logging
import threading

import pytest

from ecs.telemetry import otlp


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("sender", logging.ERROR, "", 0, message, arguments, None)


def test_a_complaint_is_let_through_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(otlp.time, "monotonic", lambda: now)
    sometimes = otlp._Sometimes()
    passed = [sometimes.filter(record("failed: %s", 1)), sometimes.filter(record("failed: %s", 2))]
    passed.append(sometimes.filter(record("another")))
    now += 61

    passed.append(sometimes.filter(record("failed: %s", 3)))

    assert passed == [True, False, True, True]


def test_each_sender_s_log_is_filtered_once_however_often_it_is_set_up() -> None:
    otlp._quieten()
    otlp._quieten()

    for name in otlp._LOGGERS:
        filters = logging.getLogger(name).filters
        assert sum(isinstance(each, otlp._Sometimes) for each in filters) == 1


def test_the_loggers_are_those_of_the_libraries() -> None:
    used = {name for name in otlp._LOGGERS if name in logging.root.manager.loggerDict}

    assert used == set(otlp._LOGGERS)


def test_a_shutdown_that_hangs_is_left_behind_and_keeps_no_other_from_ending() -> None:
    for_ever, ended = threading.Event(), threading.Event()

    otlp.within(0.05, for_ever.wait, ended.set)

    assert ended.is_set()
    for_ever.set()
