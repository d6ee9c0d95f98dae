import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.tasks import states
from ecs.tasks.states import (
    TASK_STATES,
    TRANSITIONS,
    IllegalTransitionError,
    Outcome,
    RunnerState,
    StateMachine,
    TaskState,
    phases,
    task_state,
)

PAIRS = list(itertools.product(RunnerState, RunnerState))
LEGAL = [(here, there) for here, there in PAIRS if there in TRANSITIONS[here]]
ILLEGAL = [(here, there) for here, there in PAIRS if there not in TRANSITIONS[here]]

PHASES = {
    "queued_seconds",
    "pull_seconds",
    "create_seconds",
    "start_seconds",
    "run_seconds",
    "collect_seconds",
}
NORMAL_WAY = [
    RunnerState.RESOLVING,
    RunnerState.PULLING,
    RunnerState.RESOLVING,
    RunnerState.CREATING,
    RunnerState.ATTACHING,
    RunnerState.STARTING,
    RunnerState.RUNNING,
    RunnerState.STOPPING,
    RunnerState.COLLECTING,
    RunnerState.ENDED,
]


def machine_in(state: RunnerState) -> StateMachine:
    machine = StateMachine()
    machine.state = state
    return machine


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the machine sees it, in a list of one that a test may change."""
    now = [1000.0]
    monkeypatch.setattr(states.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("here", "there"), LEGAL)
def test_a_way_in_the_table_is_open(here: RunnerState, there: RunnerState) -> None:
    machine = machine_in(here)

    machine.enter(there)

    assert machine.state is there


@pytest.mark.parametrize(("here", "there"), ILLEGAL)
def test_a_way_that_is_not_in_the_table_is_refused_and_nothing_changes(
    here: RunnerState, there: RunnerState
) -> None:
    machine = machine_in(here)

    with pytest.raises(IllegalTransitionError, match=f"no way from {here} to {there}"):
        machine.enter(there)

    assert machine.state is here


def test_the_table_has_every_state() -> None:
    assert set(TRANSITIONS) == set(RunnerState)


@pytest.mark.parametrize("state", [state for state in RunnerState if state != RunnerState.ENDED])
def test_the_end_can_be_reached_from_everywhere(state: RunnerState) -> None:
    assert RunnerState.ENDED in TRANSITIONS[state]


def test_nothing_follows_the_end() -> None:
    assert TRANSITIONS[RunnerState.ENDED] == frozenset()


def test_every_state_but_the_last_is_reached_from_another() -> None:
    reached = set().union(*TRANSITIONS.values())

    assert reached == set(RunnerState) - {RunnerState.QUEUED}


def test_a_user_sees_every_state_but_the_end_as_one_of_the_field() -> None:
    assert set(TASK_STATES) == set(RunnerState) - {RunnerState.ENDED}


def test_what_a_user_sees_never_goes_back() -> None:
    order = [TaskState.QUEUED, TaskState.INITIALIZING, TaskState.RUNNING]

    assert all(
        order.index(TASK_STATES[here]) <= order.index(TASK_STATES[there])
        for here, there in LEGAL
        if there is not RunnerState.ENDED
    )


def test_a_new_machine_is_in_the_queue_and_has_spent_no_time() -> None:
    machine = StateMachine()

    assert machine.state is RunnerState.QUEUED
    assert machine.timings() == dict.fromkeys(PHASES, 0.0) | {"total_seconds": 0.0}


def test_each_phase_has_the_seconds_of_its_states(clock: list[float]) -> None:
    machine = StateMachine()
    for seconds, state in enumerate(NORMAL_WAY, 1):  # 1 s in the queue, 2 in resolving, and so on
        clock[0] += seconds
        machine.enter(state)

    timings = machine.timings()

    assert timings == {
        "queued_seconds": 1,
        "pull_seconds": 3,
        "create_seconds": 2 + 4 + 5 + 6,
        "start_seconds": 7,
        "run_seconds": 8 + 9,
        "collect_seconds": 10,
        "total_seconds": 55,
    }


@given(data=st.data())
def test_the_phases_sum_to_the_total_whatever_the_way(data: st.DataObject) -> None:
    now = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states.time, "monotonic", lambda: now[0])
        machine = StateMachine()
        for _ in range(20):
            ways = sorted(TRANSITIONS[machine.state])
            if not ways:
                break
            now[0] += data.draw(st.floats(0, 1000))
            machine.enter(data.draw(st.sampled_from(ways)))

        timings = machine.timings()

    total = timings.pop("total_seconds")
    assert set(timings) == PHASES
    assert min(timings.values()) >= 0
    assert total == pytest.approx(sum(timings.values()), abs=len(PHASES) * 1e-6)


@pytest.mark.parametrize(
    ("outcome", "exit_code", "state"),
    [
        (Outcome.EXITED, 0, TaskState.COMPLETE),
        (Outcome.EXITED, 1, TaskState.EXECUTOR_ERROR),
        (Outcome.EXITED, 137, TaskState.EXECUTOR_ERROR),
        (Outcome.TIMED_OUT, 143, TaskState.EXECUTOR_ERROR),
        (Outcome.TIMED_OUT, 0, TaskState.EXECUTOR_ERROR),
        (Outcome.OOM_KILLED, 137, TaskState.EXECUTOR_ERROR),
        (Outcome.OUTPUT_LIMIT, 137, TaskState.EXECUTOR_ERROR),
        (Outcome.NOT_FOUND, 127, TaskState.EXECUTOR_ERROR),
        (Outcome.NOT_EXECUTABLE, 126, TaskState.EXECUTOR_ERROR),
        (Outcome.CANCELED, None, TaskState.CANCELED),
        (Outcome.IMAGE_NOT_FOUND, None, TaskState.SYSTEM_ERROR),
        (Outcome.IMAGE_ACCESS_DENIED, None, TaskState.SYSTEM_ERROR),
        (Outcome.IMAGE_PULL_FAILED, None, TaskState.SYSTEM_ERROR),
        (Outcome.IMAGE_PULL_TIMED_OUT, None, TaskState.SYSTEM_ERROR),
        (Outcome.ENGINE_ERROR, None, TaskState.SYSTEM_ERROR),
    ],
)
def test_an_outcome_has_its_final_state(
    outcome: Outcome, exit_code: int | None, state: TaskState
) -> None:
    assert task_state(outcome, exit_code) is state


def test_every_outcome_has_a_final_state() -> None:
    final = {TaskState.COMPLETE, TaskState.EXECUTOR_ERROR, TaskState.SYSTEM_ERROR}

    assert {task_state(outcome, 0) for outcome in Outcome} == final | {TaskState.CANCELED}


def test_the_machine_notes_when_it_came_to_each_state(clock: list[float]) -> None:
    machine = StateMachine()
    for state in NORMAL_WAY[:3]:
        clock[0] += 1.5
        machine.enter(state)

    assert machine.entered == [
        (RunnerState.QUEUED, 0.0),
        (RunnerState.RESOLVING, 1.5),
        (RunnerState.PULLING, 3.0),
        (RunnerState.RESOLVING, 4.5),
    ]


def test_the_phases_of_states_are_those_that_have_one_of_them() -> None:
    assert phases({RunnerState.QUEUED, RunnerState.RESOLVING}) == ("queued", "create")
    assert set(phases(RunnerState)) == {name.removesuffix("_seconds") for name in PHASES}
