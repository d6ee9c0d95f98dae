"""``bin/load`` as a person starts it: its figures are right, and it tells a leak."""

import asyncio
import json
import re
import secrets
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from ecs.tasks.model import CONTAINER_NAME_PREFIX
from tests.engines import INSTANCE_LABEL, EngineProbe
from tests.images import BUSYBOX
from tests.waiting import eventually

PROGRAM = Path(__file__).parents[2] / "bin" / "load"
RUN_SECONDS = 120


@asynccontextmanager
async def running(*words: str, output: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *words,
        "--output",
        output,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> str:
    """What it printed until its end."""
    async with asyncio.timeout(RUN_SECONDS):
        printed, _ = await process.communicate()
    return printed.decode()


@contextmanager
def creations(engine: EngineProbe, instance: str) -> Iterator[list[Any]]:
    """The engine's own word, as it comes, of each container that is created for an instance."""
    filters = {"event": "create", "label": f"{INSTANCE_LABEL}={instance}"}
    stream = engine.client.events(filters=filters, decode=True)
    seen: list[Any] = []
    thread = threading.Thread(target=seen.extend, args=(stream,))
    thread.start()
    try:
        yield seen
    finally:
        stream.close()
        thread.join()


def row(page: str, first_cell: str) -> list[str]:
    """The cells of a table's row, told by its first."""
    found = re.search(rf"<tr><td>{first_cell}</td>(.*?)</tr>", page)
    assert found, page
    return re.findall(r"<td>(.*?)</td>", found[1])


async def test_steps_report_the_figures_of_every_step_beside_the_previous_ones(
    engine: EngineProbe, tmp_path: Path
) -> None:
    instance = f"test-{secrets.token_hex(4)}"
    previous = tmp_path / "previous.json"
    latency = {"requests": 9, "failures": 0, "p50_seconds": 9.0, "p95_seconds": 9.0}
    latency["p99_seconds"] = 9.0
    step = {"users": 1, "requests_per_second": 99.0, "tasks_per_second": 77.0, "all": latency}
    step |= {"kinds": {"task": latency, "_noop": latency}}
    facts = {"date": "2001-01-01"}
    previous.write_text(json.dumps({"steps": [step], "facts": facts, "task": "task", "noop": ""}))

    words = ("steps", "--users", "1,4", "--seconds-per-step", "4", "--instance", instance)
    with creations(engine, instance) as seen:
        async with running(*words, "--previous", str(previous), output=tmp_path) as process:
            printed = await ended(process)

    assert process.returncode == 0, printed
    run: dict[str, Any] = json.loads((tmp_path / "steps.json").read_text())
    one, four = run["steps"]
    assert (one["users"], four["users"]) == (1, 4)
    for figures in (one, four):
        kinds = figures["kinds"].values()
        assert sum(kind["requests"] for kind in kinds) == figures["all"]["requests"] > 0
        assert figures["all"]["failures"] == 0
    assert 0 < one["requests_per_second"] * one["seconds"] < one["all"]["requests"] + 0.5
    assert {"task, unknown image", "task, bad body"} <= {*one["kinds"], *four["kinds"]}
    # The engine's own count; each user may have begun one more as the last step ended.
    tasks = sum(step["kinds"]["task"]["requests"] for step in run["steps"])
    names = [event["Actor"]["Attributes"]["name"] for event in seen]
    created = sum(name.startswith(CONTAINER_NAME_PREFIX) for name in names)
    assert tasks <= created <= tasks + 4
    assert created < len(names), "there were no sandboxes, which are a default"
    page = (tmp_path / "steps.html").read_text()
    assert row(page, "1")[1] == f"{one['tasks_per_second']:.2f} (77.00)"
    assert row(page, "4")[1] == f"{four['tasks_per_second']:.2f}"
    assert not engine.containers(instance)


async def test_a_soak_that_leaks_a_container_says_so_also_when_it_is_stopped_early(
    engine: EngineProbe, tmp_path: Path
) -> None:
    instance = f"test-{secrets.token_hex(4)}"
    leaked = f"leaked-{instance}"
    words = ("soak", "--minutes", "60", "--sample-seconds", "1", "--settle-seconds", "2")
    try:
        async with running(*words, "--instance", instance, output=tmp_path) as process:
            await eventually(lambda: has_task(engine, instance), 60)
            engine.client.api.create_container(
                BUSYBOX, name=leaked, labels={INSTANCE_LABEL: instance}
            )
            process.send_signal(signal.SIGINT)
            printed = await ended(process)
    finally:
        remove(engine, leaked)

    assert process.returncode == 1, printed
    assert re.search(rf"^containers +fail +1 left behind: {leaked}$", printed, re.MULTILINE)
    run = json.loads((tmp_path / "soak.json").read_text())
    outcomes = {verdict["subject"]: verdict["outcome"] for verdict in run["verdicts"]}
    assert (run["outcome"], outcomes["containers"]) == ("fail", "fail")
    assert outcomes["memory"] == "too short to tell"
    assert outcomes["answers"] == outcomes["volumes"] == "pass", printed
    assert f"1 left behind: {leaked}" in (tmp_path / "soak.html").read_text()
    assert not engine.containers(instance)
    assert not engine.has_image(f"ecs-load/volume-{instance}:latest")


def has_task(engine: EngineProbe, instance: str) -> bool:
    return any(name.startswith(CONTAINER_NAME_PREFIX) for name in engine.containers(instance))


def remove(engine: EngineProbe, container: str) -> None:
    with suppress(NotFound):  # bin/load removes what its instance left
        engine.client.api.remove_container(container, force=True)
