"""What is told of a soak."""

from dataclasses import replace

import pytest

from tests.load.verdicts import (
    FAIL,
    IDLE_DESCRIPTORS,
    IDLE_THREADS,
    PASS,
    UNDECIDED,
    Sample,
    Soak,
    Verdict,
    is_settled,
    judge,
    overall,
)

MB = 1_000_000
IDLE = Sample(
    seconds=-2,
    containers=(),
    volumes=("another's",),
    networks=("bridge", "host", "none"),
    files=("log",),
    sandboxes=2,
    descriptors=12,
    threads=2,
    resident_bytes=60 * MB,
    proportional_bytes=50 * MB,
    log_bytes=600,
)
MINUTES = 60


def loaded(minutes: float = MINUTES) -> list[Sample]:
    """Samples of a service that does its work and keeps nothing."""
    return [
        replace(
            IDLE,
            seconds=at,
            containers=("ecs-task-1",) * (at % 3),
            descriptors=18 + at % 7,
            threads=6,
            resident_bytes=66 * MB + at % 11 * 1000,
            log_bytes=600 + 500 * at,
        )
        for at in range(0, int(minutes * 60), 5)
    ]


def soak(samples: list[Sample] | None = None, settled: Sample | None = None, **fields) -> Soak:
    chosen = loaded() if samples is None else samples
    return Soak(
        idle=IDLE,
        loaded=chosen,
        settled=settled or replace(IDLE, threads=6, log_bytes=1_800_000),
        warm_up_seconds=600,
        **{"requests": 4000, "wrong": {}, **fields},
    )


def verdict(soaked: Soak, subject: str) -> Verdict:
    return next(v for v in judge(soaked) if v.subject == subject)


def test_a_service_that_keeps_nothing_passes() -> None:
    verdicts = judge(soak())
    assert {v.outcome for v in verdicts} == {PASS}
    assert overall(verdicts) == PASS


@pytest.mark.parametrize("subject", ["containers", "volumes", "networks", "files"])
def test_what_is_left_behind_is_named(subject: str) -> None:
    names = (*getattr(IDLE, subject), "left")
    found = verdict(soak(settled=replace(IDLE, **{subject: names})), subject)
    assert (found.outcome, found.says) == (FAIL, "1 left behind: left")


def test_what_was_there_before_and_went_is_no_leak() -> None:
    assert verdict(soak(settled=replace(IDLE, volumes=())), "volumes").outcome == PASS


def test_much_that_is_left_is_counted_and_some_of_it_named() -> None:
    names = tuple(f"c{n}" for n in range(20))
    found = verdict(soak(settled=replace(IDLE, containers=names)), "containers")
    assert found.says.startswith("20 left behind: c0, c1, ")
    assert found.says.endswith(", …")


def test_memory_that_grows_is_a_leak() -> None:
    samples = [
        replace(s, resident_bytes=s.resident_bytes + int(2 * MB * s.seconds / 3600))
        for s in loaded()
    ]
    found = verdict(soak(samples), "memory")
    assert found.outcome == FAIL
    assert found.says.startswith("+2.00 MB an hour")


def test_memory_that_grows_in_the_warm_up_alone_is_none() -> None:
    samples = [
        replace(s, resident_bytes=s.resident_bytes + int(20 * MB * min(s.seconds, 600) / 600))
        for s in loaded()
    ]
    assert verdict(soak(samples), "memory").outcome == PASS


def test_memory_that_takes_one_step_in_the_middle_is_not_judged() -> None:
    samples = [
        replace(s, resident_bytes=66 * MB + (1_048_576 if s.seconds > 2100 else 0))
        for s in loaded()
    ]
    assert verdict(soak(samples), "memory").outcome == UNDECIDED


def test_a_soak_of_ten_minutes_is_too_short_to_tell_of_memory() -> None:
    found = verdict(soak(loaded(10)), "memory")
    assert found.outcome == UNDECIDED
    assert "minutes after a warm-up of 10.0" in found.says


def test_a_soak_that_was_too_short_does_not_pass() -> None:
    assert overall(judge(soak(loaded(10)))) == UNDECIDED


def test_a_leak_is_a_leak_in_a_short_soak_too() -> None:
    settled = replace(IDLE, containers=("left",))
    assert overall(judge(soak(loaded(10), settled))) == FAIL


def test_descriptors_that_a_slower_engine_keeps_open_for_longer_are_no_leak() -> None:
    samples = [replace(s, descriptors=s.descriptors + int(s.seconds / 100)) for s in loaded()]
    assert verdict(soak(samples), "descriptors").outcome == PASS


def test_descriptors_that_an_idle_service_still_has_are_a_leak() -> None:
    at_most = replace(IDLE, descriptors=12 + IDLE_DESCRIPTORS)
    more = replace(IDLE, descriptors=13 + IDLE_DESCRIPTORS)
    assert verdict(soak(settled=at_most), "descriptors").outcome == PASS
    assert verdict(soak(settled=more), "descriptors").outcome == FAIL


def test_more_threads_than_the_pool_may_have_are_a_leak() -> None:
    more = replace(IDLE, threads=IDLE.threads + IDLE_THREADS + 1)
    assert verdict(soak(settled=more), "threads").outcome == FAIL


def test_a_wrong_answer_is_told_with_what_was_wrong() -> None:
    found = verdict(soak(wrong={"task: status 502": 2}), "answers")
    assert (found.outcome, found.says) == (FAIL, "2 of 4000 wrong: 2 times task: status 502")


def test_no_answers_are_no_success() -> None:
    assert verdict(soak(requests=0), "answers").outcome == FAIL


def test_a_log_that_says_much_of_each_request_fails() -> None:
    assert verdict(soak(requests=1000), "log").outcome == FAIL


def test_a_service_is_settled_once_nothing_is_left_and_connections_are_closed() -> None:
    assert is_settled(IDLE, replace(IDLE, threads=6, log_bytes=9999))
    assert not is_settled(IDLE, replace(IDLE, containers=("ecs-task-1",)))
    assert not is_settled(IDLE, replace(IDLE, descriptors=40))
