"""What both kinds of run share: the service, started and stopped, and where things are written."""

import asyncio
import json
import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from benchmarks.facts import facts
from benchmarks.raw import raw_engine
from ecs.settings_help import default_text
from tests.engines import EngineProbe
from tests.load.generator import Generator
from tests.services import ECService

DEFAULT_OUTPUT = Path("build/load")


@dataclass(frozen=True)
class Session:
    """A running service and its surroundings."""

    probe: EngineProbe
    service: ECService
    service_directory: Path
    """Has everything that the service writes, and nothing else."""
    directory: Path
    facts: dict[str, Any]
    interrupted: asyncio.Event
    """Set by Ctrl-C or SIGTERM: the load ends, the report is made all the same."""

    async def drive(self, generator: Generator) -> None:
        """Run a crowd to its end, or until Ctrl-C.

        Raises:
            GeneratorError: it failed.
        """
        await generator.start()
        finished = asyncio.create_task(generator.finished())
        interruption = asyncio.create_task(self.interrupted.wait())
        try:
            await asyncio.wait((finished, interruption), return_when=asyncio.FIRST_COMPLETED)
        finally:
            interruption.cancel()
            await asyncio.shield(generator.stop())
        await finished


@asynccontextmanager
async def session(instance: str | None) -> AsyncIterator[Session]:
    """Start a service of its own; afterwards stop it and remove all that is its own."""
    _forget_own_settings()
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    instance = instance or f"load-{secrets.token_hex(4)}"
    client = docker.from_env()
    probe = EngineProbe(client)
    async with raw_engine() as engine:
        known = await facts(engine)
    with tempfile.TemporaryDirectory(prefix="ecs-load-") as name:
        directory = Path(name)
        service_directory = directory / "service"
        temporary = service_directory / "tmp"
        temporary.mkdir(parents=True)
        settings = {"TMPDIR": str(temporary), "ECS_SANDBOXES": default_text("sandboxes")}
        service = ECService(service_directory, instance, settings)
        try:
            await service.start()
            yield Session(probe, service, service_directory, directory, known, interrupted)
        finally:
            if service.is_running:
                await asyncio.shield(service.stop())
            probe.remove_containers(instance)
            client.close()


def _forget_own_settings() -> None:
    """A developer's own ECS_* variables configure nothing here."""
    for name in list(os.environ):
        if name.startswith("ECS_"):
            del os.environ[name]


def write(output: Path, name: str, run: dict[str, Any], page: str) -> None:
    """Write figures and page as NAME.json and NAME.html, and tell where."""
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (output / f"{name}.html").write_text(page, encoding="utf-8")
    print(f"\nreport: {output / name}.html; figures: {output / name}.json")
