"""ecsctl probe, as a process, against the real service."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import StartService
from tests.images import BUSYBOX
from tests.network import free_port
from tests.textfiles import samples
from tests.waiting import eventually

PROGRAM = Path(sys.executable).parent / "ecsctl"


def probe(url: str, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [PROGRAM, "probe", "--url", url, "--image", BUSYBOX, "--json", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)}


async def test_a_service_that_is_well_answers_both(ecservice: StartService, tmp_path: Path) -> None:
    service = await ecservice()
    textfile = tmp_path / "ecs.prom"

    status, found = probe(service.url, "--textfile", str(textfile))

    assert status == 0
    assert {name: (one["success"], one["status"]) for name, one in found.items()} == {
        "noop": (True, 200),
        "task": (True, 201),
    }
    told = samples(textfile)
    assert told['ecs_probe_success{check="noop"}'] == 1
    assert told['ecs_probe_success{check="task"}'] == 1
    seconds = told['ecs_probe_duration_seconds{check="task"}']
    assert seconds == found["task"]["seconds"]
    assert told["ecs_probe_last_run_timestamp_seconds"] > textfile.stat().st_mtime - 60


async def test_a_service_without_its_engine_fails_the_task_alone(
    ecservice: StartService, tmp_path: Path
) -> None:
    service = await ecservice(ready=False, DOCKER_HOST=f"unix://{tmp_path}/none")
    await eventually(lambda: "no engine" in service.log_path.read_text(), timeout=30)
    textfile = tmp_path / "ecs.prom"

    status, found = probe(service.url, "--textfile", str(textfile))

    assert status == 1
    assert (found["noop"]["success"], found["task"]["success"]) == (True, False)
    assert found["task"]["status"] == 502
    assert "engine cannot be reached" in found["task"]["detail"]
    assert samples(textfile)['ecs_probe_success{check="task"}'] == 0


def test_a_dead_port_fails_both_and_the_textfile_says_so(tmp_path: Path) -> None:
    textfile = tmp_path / "ecs.prom"

    status, found = probe(f"http://127.0.0.1:{free_port()}", "--textfile", str(textfile))

    assert status == 1
    assert {one["status"] for one in found.values()} == {None}
    told = samples(textfile)
    assert told['ecs_probe_success{check="noop"}'] == told['ecs_probe_success{check="task"}'] == 0
