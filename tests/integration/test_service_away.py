"""The composed system when its service is silent for long, is away, and is started once more."""

import json
import subprocess

from tests.front_door import FrontDoor, assert_problem, docker
from tests.integration.conftest import SILENT_SECONDS
from tests.waiting import eventually

PATIENT_SECONDS = 30


def test_a_long_silent_task_succeeds(silent_client: subprocess.Popen[str]) -> None:
    printed, _ = silent_client.communicate(timeout=SILENT_SECONDS + PATIENT_SECONDS)

    answer = json.loads(printed)
    assert answer["exitCode"] == 0
    assert answer["timings"]["run_seconds"] > 60


async def test_a_service_that_is_away_is_told_as_such_and_found_again(
    front_door: FrontDoor,
) -> None:
    service = front_door.container("services")
    async with front_door.session() as session:

        async def status() -> int:
            async with session.get(f"{front_door.url}/v1.1/_noop") as answer:
                if answer.status != 200:
                    assert_problem(await answer.json(content_type=None), answer.status)
                return answer.status

        assert await status() == 200
        docker("stop", service)
        assert await status() in (502, 504)
        docker("start", service)

        async def is_back() -> bool:
            return await status() == 200

        await eventually(is_back, PATIENT_SECONDS)


def test_a_second_bin_up_keeps_what_runs_and_replaces_the_first_key(
    front_door: FrontDoor,
) -> None:
    before = {name: front_door.container(name) for name in ("nginx", "apidocs")}
    output = front_door.script("up")
    line = output.splitlines()[-1]
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["exitCode"] == 0
    assert {name: front_door.container(name) for name in before} == before
    old = subprocess.run(
        ["bash", "-c", front_door.line], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(old.stdout)["status"] == 401
