"""What the figures were measured on."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import tornado

from benchmarks.bench import Section
from benchmarks.raw import JsonObject, RawEngine
from ecs import __version__

KIB_BYTES = 1024
GIB_BYTES = 1 << 30


async def facts(engine: RawEngine) -> Section:
    """Collect the versions and sizes that explain a figure."""
    version, info = await engine.version(), await engine.info()
    components = {part["Name"]: part["Version"] for part in version.get("Components", [])}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "memory_gib": round(_memory_bytes() / GIB_BYTES, 1),
        "kernel": platform.release().split("-")[0],
        "operating_system": info["OperatingSystem"],
        "engine": version["Version"],
        "api": version["ApiVersion"],
        "containerd": components.get("containerd"),
        "runtime": _runtime(info, components),
        "storage_driver": info["Driver"],
        "cgroup_version": info.get("CgroupVersion"),
        "python": platform.python_version(),
        "tornado": tornado.version,
        "ecs": __version__,
    }


def _runtime(info: JsonObject, components: dict[str, str]) -> str:
    name = str(info["DefaultRuntime"])
    return f"{name} {components.get(name, '')}".strip()


def _memory_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    total = next(line for line in lines if line.startswith("MemTotal:"))
    return int(total.split()[1]) * KIB_BYTES
