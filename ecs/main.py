"""The composition root: settings → engine → store → dispatcher → application; signals, drain."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import tornado.httpserver
import tornado.netutil

import ecs
from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress, RequestObserver
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.system import AsyncEngineInfoReader, AsyncNetworkInspector, EngineInfo
from ecs.errors import EngineError
from ecs.logs import configure_logging
from ecs.native import init_program, sandbox_program
from ecs.request_handlers.application import make_application
from ecs.request_handlers.base import Services
from ecs.request_handlers.task_request import RequestRules
from ecs.settings import Settings, SettingsError
from ecs.settings_loading import load, unknown_variables
from ecs.start_checks import (
    check_exposure,
    check_folders,
    instance_lock,
    raise_open_files_limit,
    unusable_state_directory,
)
from ecs.store.private_images import PrivateImageStore
from ecs.tasks.admission import Admission
from ecs.tasks.container_spec import ContainerPolicy
from ecs.tasks.dispatcher import TaskDispatcher
from ecs.tasks.images import Images
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Profile, Resources, Task
from ecs.tasks.observer import TaskObserver
from ecs.tasks.output import OutputLimits
from ecs.tasks.reaper import Reaper
from ecs.tasks.runner import AsyncEndToEndContainerRunner
from ecs.tasks.sandbox import SandboxPolicy
from ecs.tasks.sandbox_rules import PoolRules, SandboxReuse
from ecs.tasks.sandboxes import Sandboxes
from ecs.tasks.sweep import OrphanSweep
from ecs.tasks.warm_pool import WarmPool
from ecs.tasks.warm_targets import WarmRules
from ecs.telemetry.telemetry import Telemetry

_log = structlog.get_logger()

_STARTING_TASKS_PER_CPU = 3
_RUNNING_TASKS_PER_CPU = 64
_MEMORY_BYTES_PER_RUNNING_TASK = 64 * 1024 * 1024
_ENGINE_RETRY_SECONDS = 1.0
_LAST_ANSWERS_SECONDS = 5.0
_LAST_DELETIONS_SECONDS = 15.0
_STRAY_BODY_BYTES = 64 * 1024
_BODY_SECONDS = 30.0
_IDLE_CONNECTION_SECONDS = 120.0
"""Longer than nginx keeps an idle connection to its upstream, so that nginx is the one to close."""
_ICC_OPTION = "com.docker.network.bridge.enable_icc"


def main() -> None:
    """Run the service until SIGTERM or SIGINT."""
    try:
        settings = load()
        configure_logging(settings.log_level)
        asyncio.run(_serve(settings))
    except SettingsError as error:
        sys.exit(f"ecservice: {error}")


async def _serve(settings: Settings) -> None:
    check_exposure(settings)
    check_folders(settings)
    raise_open_files_limit(
        settings,
        running_tasks=settings.max_running_tasks or _RUNNING_TASKS_PER_CPU * (os.cpu_count() or 1),
    )
    for name in unknown_variables():
        _log.warning("this variable is no setting; ecservice --help lists all", variable=name)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        sockets = _listen(settings)
        for listening in sockets:
            stack.callback(listening.close)
        port = sockets[0].getsockname()[1]
        instance = settings.instance_name(port)
        stack.enter_context(instance_lock(settings, instance))
        store = _open_store(settings)
        stack.callback(store.close)
        telemetry = _telemetry(settings, instance)
        stack.callback(telemetry.close)
        api = await stack.enter_async_context(_engine(settings, telemetry.metrics.engine_request))
        admission = Admission(
            max_starting=settings.max_starting_tasks or _STARTING_TASKS_PER_CPU,
            max_running=settings.max_running_tasks or _RUNNING_TASKS_PER_CPU,
            max_queued=settings.max_queued_tasks,
        )
        reaper = await stack.enter_async_context(Reaper(api, admission))
        images = await stack.enter_async_context(
            Images(
                api,
                store,
                pull_timeout_seconds=settings.pull_timeout_seconds,
                proof_seconds=settings.private_image_proof_seconds,
            )
        )
        init = InitVolume(api, reaper, init_program)
        sandboxes = await stack.enter_async_context(
            _sandboxes(settings, instance, api, admission=admission, reaper=reaper)
        )
        policy = _container_policy(settings, instance)
        warm_pool = await stack.enter_async_context(
            WarmPool(api, admission, reaper, init, policy=policy, rules=_warm_rules(settings))
        )
        dispatcher = await stack.enter_async_context(
            _dispatcher(
                settings,
                policy,
                api,
                images=images,
                admission=admission,
                reaper=reaper,
                init=init,
                sandboxes=sandboxes,
                warm_pool=warm_pool,
                observers=(telemetry.metrics, telemetry.tracing),
            )
        )
        telemetry.metrics.watch(
            dispatcher=dispatcher,
            admission=admission,
            reaper=reaper,
            pools={"sandbox": sandboxes, "warm": warm_pool},
            directories={
                "spool": settings.spool_directory or Path(tempfile.gettempdir()),
                "state": settings.state_directory,
            },
        )
        sweep = OrphanSweep(
            api,
            reaper,
            instance=instance,
            is_live=lambda name: any(
                name in live for live in (dispatcher, sandboxes.containers, warm_pool.containers)
            ),
            interval_seconds=settings.sweep_interval_seconds,
        )
        rules = _rules(settings, os.cpu_count() or 1)
        services = Services(settings, api, dispatcher, rules, telemetry)
        server = _server(settings, services)
        server.add_sockets(sockets)
        _log.info(
            "listening",
            address=settings.address,
            port=port,
            instance=instance,
            version=ecs.__version__,
        )
        async with asyncio.TaskGroup() as background:
            watch = background.create_task(
                _watch_engine(
                    services,
                    admission,
                    sweep,
                    init=init,
                    sandboxes=sandboxes,
                    warm_pool=warm_pool,
                )
            )
            keep_init = background.create_task(init.keep())
            keep_sandboxes = background.create_task(sandboxes.run())
            keep_warm = background.create_task(warm_pool.run())
            await stopped.wait()
            await dispatcher.drain()
            keep_sandboxes.cancel()
            keep_warm.cancel()
            await asyncio.gather(sandboxes.close(), warm_pool.close())
            await _settle(services, reaper)
            watch.cancel()
            keep_init.cancel()
        server.stop()
        await server.close_all_connections()
        _log.info("stopped")


def _listen(settings: Settings) -> list[socket.socket]:
    try:
        return tornado.netutil.bind_sockets(settings.port, settings.address)
    except OSError as error:
        raise SettingsError(
            f"port = {settings.port} (ECS_PORT) cannot be listened on at {settings.address}: "
            f"{error.strerror}; choose another, or stop what uses it"
        ) from error


def _open_store(settings: Settings) -> PrivateImageStore:
    folder = settings.state_directory
    try:
        return PrivateImageStore(folder / "private-images.sqlite3")
    except (OSError, sqlite3.Error) as error:
        raise unusable_state_directory(folder, error) from error


def _telemetry(settings: Settings, instance: str) -> Telemetry:
    return Telemetry(
        endpoint=settings.otlp_endpoint,
        headers=settings.otlp_header_fields(),
        instance=instance,
    )


def _engine(settings: Settings, observe: RequestObserver) -> DockerRemoteApi:
    try:
        return DockerRemoteApi(
            EngineAddress(settings.docker_host, settings.docker_cert_path),
            timeout_seconds=settings.engine_timeout_seconds,
            observe=observe,
        )
    except ValueError as error:
        raise SettingsError(
            f"docker_host = {settings.docker_host!r} (DOCKER_HOST) cannot be used: {error}"
        ) from error


def _container_policy(settings: Settings, instance: str) -> ContainerPolicy:
    return ContainerPolicy(
        instance=instance,
        network=settings.task_network,
        open_files=settings.open_files,
        strict_tmpfs_bytes=settings.strict_tmpfs_bytes,
        strict_runtime=settings.strict_runtime,
        stop_grace_seconds=settings.stop_grace_seconds,
    )


def _warm_rules(settings: Settings) -> WarmRules:
    named: Counter[ImageReference] = Counter()
    for name, count in settings.warm_images:
        try:
            named[ImageReference.parse(name)] += count
        except ValueError as error:
            raise SettingsError(
                f"warm_images = {name!r} (ECS_WARM_IMAGES) is not allowed: {error}"
            ) from error
    return WarmRules(
        named=named,
        memory_bytes=settings.warm_memory_bytes,
        max_age_seconds=settings.warm_max_age_seconds,
        max_run_seconds=settings.max_timeout_seconds + settings.stop_grace_seconds,
    )


def _dispatcher(
    settings: Settings,
    policy: ContainerPolicy,
    api: DockerRemoteApi,
    *,
    images: Images,
    admission: Admission,
    reaper: Reaper,
    init: InitVolume,
    sandboxes: Sandboxes,
    warm_pool: WarmPool,
    observers: Sequence[TaskObserver] = (),
) -> TaskDispatcher:
    def new_runner(task: Task) -> AsyncEndToEndContainerRunner:
        return AsyncEndToEndContainerRunner(
            task,
            api,
            images=images,
            admission=admission,
            reaper=reaper,
            policy=policy,
            init=init,
            sandboxes=sandboxes,
            warm_pool=warm_pool,
            queue_timeout_seconds=settings.queue_timeout_seconds,
        )

    return TaskDispatcher(
        admission,
        new_runner,
        output_limits=OutputLimits(
            excerpt_bytes=settings.max_output_bytes,
            total_bytes=settings.output_limit_bytes,
            memory_bytes=settings.spool_memory_bytes,
            directory=settings.spool_directory,
        ),
        queue_timeout_seconds=settings.queue_timeout_seconds,
        drain_timeout_seconds=settings.drain_timeout_seconds,
        observers=observers,
    )


def _sandboxes(
    settings: Settings,
    instance: str,
    api: DockerRemoteApi,
    *,
    admission: Admission,
    reaper: Reaper,
) -> Sandboxes:
    return Sandboxes(
        api,
        admission,
        reaper,
        policy=SandboxPolicy(
            instance=instance,
            network=settings.task_network,
            max_age_seconds=settings.sandbox_max_age_seconds,
            max_run_seconds=settings.max_timeout_seconds + settings.stop_grace_seconds,
        ),
        rules=PoolRules(
            maximum=settings.sandboxes,
            minimum=settings.min_sandboxes,
            reuse=SandboxReuse(settings.sandbox_reuse),
            max_tasks=settings.sandbox_max_tasks,
            max_age_seconds=settings.sandbox_max_age_seconds,
            idle_seconds=settings.sandbox_idle_seconds,
        ),
        program_for=sandbox_program,
    )


def _rules(settings: Settings, engine_cpus: int) -> RequestRules:
    max_cpus = settings.max_cpus or float(engine_cpus)
    return RequestRules(
        allowed_registries=settings.allowed_registries,
        default_timeout_seconds=settings.default_timeout_seconds,
        max_timeout_seconds=settings.max_timeout_seconds,
        default_resources=Resources(
            memory_bytes=settings.default_memory_bytes,
            cpus=min(settings.default_cpus, max_cpus),
            pids=settings.default_pids,
        ),
        max_resources=Resources(
            memory_bytes=settings.max_memory_bytes, cpus=max_cpus, pids=settings.max_pids
        ),
        profile=Profile(settings.profile),
    )


def _server(settings: Settings, services: Services) -> tornado.httpserver.HTTPServer:
    return tornado.httpserver.HTTPServer(
        make_application(services),
        # POST /v1.1/tasks has a limit of its own; nothing else takes a body.
        max_body_size=_STRAY_BODY_BYTES,
        body_timeout=_BODY_SECONDS,
        idle_connection_timeout=_IDLE_CONNECTION_SECONDS,
    )


async def _watch_engine(
    services: Services,
    admission: Admission,
    sweep: OrphanSweep,
    *,
    init: InitVolume,
    sandboxes: Sandboxes,
    warm_pool: WarmPool,
) -> None:
    """Meet the engine, whenever it comes, and then sweep for ever."""
    reported = ""
    while not services.engine_met:
        try:
            info = await AsyncEngineInfoReader(services.api).read()
        except EngineError as error:
            if str(error) != reported:
                reported = str(error)
                _log.error("no engine", docker_host=services.settings.docker_host, error=reported)
            await asyncio.sleep(_ENGINE_RETRY_SECONDS)
        else:
            if services.settings.init == "auto":
                await init.prepare(info.machine)
            sandboxes.meet(info.machine)
            _take_engine(services, admission, info)
            warm_pool.meet(services.rules.default_resources, services.rules.profile)
    await _warn_if_tasks_reach_each_other(services)
    await sweep.run()


def _take_engine(services: Services, admission: Admission, info: EngineInfo) -> None:
    settings = services.settings
    automatic = min(
        _RUNNING_TASKS_PER_CPU * info.cpus, info.memory_bytes // _MEMORY_BYTES_PER_RUNNING_TASK
    )
    admission.set_limits(
        max_starting=settings.max_starting_tasks or _STARTING_TASKS_PER_CPU * info.cpus,
        max_running=settings.max_running_tasks or max(1, automatic),
    )
    services.rules = _rules(settings, info.cpus)
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


async def _settle(services: Services, reaper: Reaper) -> None:
    """Let the last answers go out and the last containers be deleted, within a bound."""
    try:
        async with asyncio.timeout(_LAST_ANSWERS_SECONDS):
            await services.answers.all_sent()
    except TimeoutError:
        _log.warning("answers cut off by the stop", answers=services.answers.count)
    try:
        async with asyncio.timeout(_LAST_DELETIONS_SECONDS):
            await reaper.drained()
    except TimeoutError:
        _log.error("containers left to the next start", containers=reaper.pending_count)
