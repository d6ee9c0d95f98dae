"""Meets the engine, whenever it comes, and tells the parts what it is."""

import asyncio

import structlog

from ecs.composition import Composition, request_rules, set_limits
from ecs.docker_remote_api.system import AsyncEngineInfoReader, AsyncNetworkInspector, EngineInfo
from ecs.errors import EngineError
from ecs.request_handlers.base import Services
from ecs.tasks.admission import Admission
from ecs.tasks.runtime import AUTO, check_runtime

_log = structlog.get_logger()

_ENGINE_RETRY_SECONDS = 1.0
_ICC_OPTION = "com.docker.network.bridge.enable_icc"


async def watch_engine(services: Services, composition: Composition) -> None:
    """Meet the engine, and then sweep for ever."""
    await _meet_engine(services, composition)
    await _warn_if_tasks_reach_each_other(services)
    await composition.sweep.run()


async def _meet_engine(services: Services, composition: Composition) -> None:
    reported = ""
    while True:
        try:
            info = await AsyncEngineInfoReader(services.api).read()
            check_runtime(services.settings.runtime, info.runtimes)
        except EngineError as error:
            if str(error) != reported:
                reported = str(error)
                _log.error("no engine", docker_host=services.settings.docker_host, error=reported)
            await asyncio.sleep(_ENGINE_RETRY_SECONDS)
        else:
            break
    if services.settings.init == "auto":
        await composition.init.prepare(info.machine)
    composition.policy.runtime.engines_default = info.default_runtime
    if composition.policy.runtime.has_kernels_network:
        composition.sandboxes.meet(info.machine)
    _take_engine(services, composition.admission, info)
    composition.warm_pool.meet(services.rules.default_resources, services.rules.profile)
    if services.settings.runtime == AUTO:
        composition.runtime_choice.meet(services.rules.default_resources)


def _take_engine(services: Services, admission: Admission, info: EngineInfo) -> None:
    settings = services.settings
    set_limits(admission, settings, engine_cpus=info.cpus, engine_memory_bytes=info.memory_bytes)
    services.rules = request_rules(settings, info.cpus)
    services.engine_met = True
    _log.info(
        "engine met",
        engine_version=info.server_version,
        cpus=info.cpus,
        memory_bytes=info.memory_bytes,
        max_starting_tasks=admission.max_starting,
        max_running_tasks=admission.max_running,
    )
    runtime = settings.strict_runtime
    if runtime and runtime not in info.runtimes:
        _log.error("the engine has no such runtime", strict_runtime=runtime)


async def _warn_if_tasks_reach_each_other(services: Services) -> None:
    network = services.settings.task_network
    try:
        options = await AsyncNetworkInspector(services.api).options(network)
    except EngineError as error:
        _log.error("the task network cannot be inspected", network=network, error=str(error))
        return
    if options.get(_ICC_OPTION, "true") != "false":
        _log.warning(
            "tasks can reach each other on this network; start the engine with --icc=false",
            network=network,
        )
