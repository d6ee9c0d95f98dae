"""The create bodies of the raw sequence: with the service's own limits, and with the engine's.

The limits are read back from the engine, off a container that the service has just made: what is
compared is what is in force, whatever the service's code or settings say.
"""

import asyncio

from benchmarks.bench import DEFAULT_NETWORK, NO_NETWORK, Bench, Network
from benchmarks.raw import BENCHMARK_LABEL, JsonObject, RawEngine
from benchmarks.service import Service, is_task
from benchmarks.ways import COMMAND, ecs_request

# Long enough to be found and inspected while it runs.
PROBE_SLEEP_SECONDS = 3
PROBE_POLL_SECONDS = 0.05
# What the service brings into a container to do its own work is no limit.
NOT_LIMITS = {"Binds", "Mounts", "PortBindings", "VolumesFrom", "Links"}
BRIDGE = "bridge"
JOINED_NETWORK_PREFIX = "container:"


def hardened_body(bench: Bench, network: Network, cmd: list[str] = COMMAND) -> JsonObject:
    """Return a body with every limit that the service sets."""
    body = engine_default_body(bench, network, cmd)
    own_network = body["HostConfig"] if network == NO_NETWORK else {}
    body["HostConfig"] = bench.host_config | own_network
    return body


def engine_default_body(bench: Bench, network: Network, cmd: list[str] = COMMAND) -> JsonObject:
    """Return a body without any limit."""
    return {
        "Image": bench.image,
        "Cmd": cmd,
        "Labels": {BENCHMARK_LABEL: bench.run_id},
        "HostConfig": {"NetworkMode": "none" if network == NO_NETWORK else BRIDGE},
    }


async def task_host_config(service: Service, engine: RawEngine, image: str) -> JsonObject:
    """Let the service run one task, and read its container's limits while it runs."""
    request = ecs_request(image, DEFAULT_NETWORK, ["sleep", str(PROBE_SLEEP_SECONDS)])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(service.run(request))
        container = await _task_container(service, running)
        inspected = await engine.inspect(container)
    running.result().must_be(b"")
    await service.settle()
    known: JsonObject = inspected["HostConfig"]
    limits = {name: value for name, value in known.items() if value and name not in NOT_LIMITS}
    if limits["NetworkMode"].startswith(JOINED_NETWORK_PREFIX):
        limits["NetworkMode"] = BRIDGE
    return limits


async def _task_container(service: Service, running: "asyncio.Task[object]") -> str:
    while not running.done():
        for container in await service.containers():
            if is_task(container):
                return str(container["Id"])
        await asyncio.sleep(PROBE_POLL_SECONDS)
    raise LookupError("the service's container was never seen")
