"""How a task ended is told, whatever ended it."""

import pytest

from tests.client import Caller
from tests.outcomes import outcome
from tests.ways import EVERY_WAY, EVERY_WAY_ON_DEMAND, THREE_WAYS, THREE_WAYS_ON_DEMAND, Way


@EVERY_WAY
async def test_a_missing_command_is_told_from_one_that_exits_with_127(caller: Caller) -> None:
    missing = await caller.run("no-such-command")
    itself = await caller.run("sh", "-c", "exit 127")

    assert outcome(missing) == ("EXECUTOR_ERROR", "not_found", 127)
    assert "no-such-command" in missing.document["detail"]
    assert outcome(itself) == ("EXECUTOR_ERROR", "exited", 127)


@EVERY_WAY
async def test_a_file_without_the_right_to_run_it_is_not_executable(caller: Caller) -> None:
    answer = await caller.run("/etc/passwd")

    assert outcome(answer) == ("EXECUTOR_ERROR", "not_executable", 126)


@EVERY_WAY
async def test_a_signal_shows_in_the_exit_code(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "sh -c 'kill -SEGV $$'; exit $?")

    assert outcome(answer) == ("EXECUTOR_ERROR", "exited", 139)


@EVERY_WAY
async def test_a_task_out_of_time_is_terminated_and_its_output_kept(caller: Caller) -> None:
    script = "trap 'echo got TERM; exit 7' TERM; echo began; while :; do sleep 0.1; done"

    answer = await caller.run("sh", "-c", script, timeout_seconds=1)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", 7)
    assert answer.stdout == b"began\ngot TERM\n"


@EVERY_WAY
async def test_a_task_that_ignores_sigterm_is_killed(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "trap '' TERM; sleep 60", timeout_seconds=0.5)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", 137)


@THREE_WAYS
async def test_a_task_out_of_time_has_the_signal_in_its_exit_code(caller: Caller) -> None:
    answer = await caller.run("sleep", "60", timeout_seconds=0.5)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", 143)


@THREE_WAYS
@pytest.mark.parametrize(
    ("trap", "exit_code", "stdout"),
    [("echo got TERM; exit 7", 7, b"got TERM\n"), ("", 137, b"")],
    ids=["has a last word", "ignores it"],
)
async def test_a_stopped_task_is_terminated_in_time_all_the_same(
    caller: Caller, trap: str, exit_code: int, stdout: bytes
) -> None:
    script = f"trap '{trap}' TERM; kill -STOP $$; sleep 60"

    answer = await caller.run("sh", "-c", script, timeout_seconds=0.5)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", exit_code)
    assert answer.stdout == stdout


@EVERY_WAY_ON_DEMAND
async def test_a_task_out_of_memory_is_told_from_one_that_was_killed(
    caller: Caller, way: Way
) -> None:
    little = {"memory_bytes": 16_777_216}
    hungry = await caller.run("sh", "-c", "exec tail /dev/zero", resources=little)
    killed = await caller.run("sh", "-c", "sh -c 'kill -KILL $$'; exit $?", resources=little)
    killed_itself = await caller.run("sh", "-c", "kill -KILL $$; exit 137", resources=little)

    # The engine's own flag comes through another process, and now and then after the exit.
    told = {"oom_killed", "exited"} if way is Way.WITHOUT_INIT else {"oom_killed"}
    assert outcome(hungry)[1] in told
    assert outcome(hungry)[2] == 137
    assert outcome(killed) == ("EXECUTOR_ERROR", "exited", 137)
    assert outcome(killed_itself) == ("EXECUTOR_ERROR", "exited", 137)


@THREE_WAYS_ON_DEMAND
async def test_a_child_out_of_memory_does_not_make_its_parent_so(caller: Caller) -> None:
    script = "tail /dev/zero; echo $?; exit 137"

    answer = await caller.run("sh", "-c", script, resources={"memory_bytes": 16_777_216})

    assert outcome(answer) == ("EXECUTOR_ERROR", "exited", 137)
    assert answer.stdout == b"137\n"


@EVERY_WAY
async def test_a_background_child_that_holds_stdout_delays_nothing(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "sleep 600 & echo done")

    assert outcome(answer) == ("COMPLETE", "exited", 0)
    assert answer.stdout == b"done\n"


@EVERY_WAY
async def test_a_task_that_closes_its_output_runs_on(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "exec >&- 2>&-; sleep 1; exit 5")

    assert outcome(answer) == ("EXECUTOR_ERROR", "exited", 5)
