"""The service from its first breath to its last: sockets, parts, engine, signals, drain."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import tornado.httpserver
import tornado.netutil

import ecs
from ecs.composition import composed, max_running_tasks, request_rules
from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress, RequestObserver
from ecs.engine_watch import watch_engine
from ecs.logs import configure_logging
from ecs.request_handlers.application import make_application
from ecs.request_handlers.base import Services
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
from ecs.tasks.reaper import Reaper
from ecs.telemetry.telemetry import Telemetry

_log = structlog.get_logger()

_LAST_ANSWERS_SECONDS = 5.0
_LAST_CREATION_SECONDS = 10.0
_LAST_DELETIONS_SECONDS = 15.0
_STRAY_BODY_BYTES = 64 * 1024
_BODY_SECONDS = 30.0
_IDLE_CONNECTION_SECONDS = 120.0
"""Longer than nginx keeps an idle connection to its upstream, so that nginx is the one to close."""


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
    raise_open_files_limit(settings, running_tasks=max_running_tasks(settings))
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
        composition = await stack.enter_async_context(
            composed(
                settings,
                instance,
                api,
                store,
                observers=(telemetry.metrics, telemetry.tracing),
            )
        )
        telemetry.metrics.watch(
            dispatcher=composition.dispatcher,
            admission=composition.admission,
            reaper=composition.reaper,
            pools={"sandbox": composition.sandboxes, "warm": composition.warm_pool},
            runtime=composition.policy.runtime,
            directories={
                "spool": settings.spool_directory or Path(tempfile.gettempdir()),
                "state": settings.state_directory,
            },
        )
        rules = request_rules(settings, os.cpu_count() or 1)
        services = Services(settings, api, composition.dispatcher, rules, telemetry)
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
            watch = background.create_task(watch_engine(services, composition))
            keep_init = background.create_task(composition.init.keep())
            makers = [
                background.create_task(maker.run())
                for maker in (
                    composition.sandboxes,
                    composition.warm_pool,
                    composition.runtime_choice,
                )
            ]
            await stopped.wait()
            await composition.dispatcher.drain()
            for maker in makers:
                maker.cancel()
            await asyncio.gather(
                composition.sandboxes.close(),
                composition.warm_pool.close(),
                asyncio.wait(makers, timeout=_LAST_CREATION_SECONDS),
            )
            await _settle(services, composition.reaper)
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


def _server(settings: Settings, services: Services) -> tornado.httpserver.HTTPServer:
    return tornado.httpserver.HTTPServer(
        make_application(services),
        # POST /v1.1/tasks has a limit of its own; nothing else takes a body.
        max_body_size=_STRAY_BODY_BYTES,
        body_timeout=_BODY_SECONDS,
        idle_connection_timeout=_IDLE_CONNECTION_SECONDS,
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
