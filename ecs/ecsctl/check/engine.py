"""Is the engine there, new enough, and set up for tasks that nobody trusts?"""

from pathlib import Path

from ecs.docker_remote_api.connection import (
    MIN_API_VERSION,
    DockerRemoteApi,
    EngineAddress,
    Version,
    format_version,
)
from ecs.docker_remote_api.system import AsyncEngineInfoReader, AsyncNetworkInspector, EngineFacts
from ecs.ecsctl.check.disk import check_disk
from ecs.ecsctl.check.findings import Finding, failure, not_checked, ok, warning
from ecs.errors import EngineError, EngineNotFoundError
from ecs.settings import Settings
from ecs.tasks.runtime import AUTO, DEFAULT
from ecs.tasks.runtime_choice import CANDIDATE, is_to_be_tried

_TIMEOUT_SECONDS = 10.0
_ICC_OPTION = "com.docker.network.bridge.enable_icc"
_GOOD_STORAGE_DRIVERS = frozenset({"overlay2", "overlayfs", "btrfs", "zfs"})
"""``overlayfs`` is containerd's name for what the engine's own store calls overlay2."""
_CGROUP_NAMESPACES = "name=cgroupns"
"""Among the engine's security options where its ``default-cgroupns-mode`` is ``private``."""
_API, _STORAGE, _CGROUP, _LIMITS = "engine", "storage driver", "cgroups", "resource limits"
_SECCOMP, _RUNTIME, _STRICT_RUNTIME = "seccomp", "runtime", "strict runtime"
_NETWORK, _DATA = "task network", "engine data"
_START_ENGINE = (
    "start it (systemctl start docker), or name it in DOCKER_HOST; may this user use it?"
)


async def check_engine(settings: Settings) -> list[Finding]:
    """Ask the engine that the service would use, and look at the disk that it writes to."""
    address = EngineAddress(settings.docker_host, settings.docker_cert_path)
    seconds = min(_TIMEOUT_SECONDS, settings.engine_timeout_seconds)
    try:
        api = DockerRemoteApi(address, timeout_seconds=seconds)
    except ValueError as error:
        found = f"{settings.docker_host} cannot be used: {error}"
        return [failure(_API, found, "correct DOCKER_HOST or DOCKER_CERT_PATH"), *_unknown()]
    async with api:
        try:
            version = await api.ping()
            facts = await AsyncEngineInfoReader(api).facts()
        except EngineError as error:
            found = f"{settings.docker_host}: {error}"
            return [failure(_API, found, _START_ENGINE), *_unknown()]
        return [
            _api_finding(facts, version),
            storage_finding(facts),
            cgroup_finding(facts),
            limits_finding(facts),
            seccomp_finding(facts),
            runtime_finding(facts, settings.runtime),
            *strict_runtime_findings(facts, settings.strict_runtime),
            await _network_finding(api, settings.task_network),
            *data_findings(facts, settings.docker_host),
        ]


def _unknown() -> list[Finding]:
    names = (_STORAGE, _CGROUP, _LIMITS, _SECCOMP, _RUNTIME, _NETWORK, f"{_DATA} disk")
    return [not_checked(name, "the engine does not answer", "see above") for name in names]


def _api_finding(facts: EngineFacts, version: Version) -> Finding:
    found = f"Docker {facts.server_version} answers, with API {format_version(version)}"
    return ok(_API, f"{found} (needed: {format_version(MIN_API_VERSION)})")


def storage_finding(facts: EngineFacts) -> Finding:
    """Judge the storage driver: some copy the whole image for each container."""
    driver = facts.storage_driver
    if driver in _GOOD_STORAGE_DRIVERS:
        return ok(_STORAGE, driver)
    return warning(
        _STORAGE,
        f"{driver} is slow, or no longer kept by anybody",
        'set "storage-driver": "overlay2" in daemon.json',
    )


def cgroup_finding(facts: EngineFacts) -> Finding:
    """Judge the cgroup hierarchy that the engine uses, and how much of it tasks see.

    Of version 1 the engine shows each container its own cgroups alone, with or without a namespace.
    """
    used = f"version {facts.cgroup_version}, driver {facts.cgroup_driver}"
    if facts.cgroup_version != "2":
        return warning(
            _CGROUP,
            f"{used}: systemd and runc leave it",
            "start the kernel with systemd.unified_cgroup_hierarchy=1",
        )
    if _CGROUP_NAMESPACES not in facts.security_options:
        return warning(
            _CGROUP,
            f"{used}, no namespaces: a task sees what else runs on the machine, and its usage",
            'set "default-cgroupns-mode": "private" in daemon.json',
        )
    return ok(_CGROUP, used)


def limits_finding(facts: EngineFacts) -> Finding:
    """Judge whether the kernel can hold a task to its limits."""
    if facts.missing_limits:
        return failure(
            _LIMITS,
            f"the engine cannot limit {', '.join(facts.missing_limits)}: a task may starve others",
            "enable those cgroup controllers (swap: swapaccount=1) on the kernel's command line",
        )
    return ok(_LIMITS, "memory, swap, CPU and processes can be limited")


def seccomp_finding(facts: EngineFacts) -> Finding:
    """Judge whether a task's system calls are filtered."""
    if any(option.startswith("name=seccomp") for option in facts.security_options):
        return ok(_SECCOMP, "the system calls of tasks are filtered")
    return failure(
        _SECCOMP,
        "the engine filters no system calls",
        "take seccomp-profile=unconfined out of daemon.json, or use a kernel that has seccomp",
    )


def runtime_finding(facts: EngineFacts, setting: str) -> Finding:
    """Say which runtime tasks get, and judge whether the engine has it."""
    default = f"the engine's default, {facts.default_runtime}"
    if setting == DEFAULT:
        return ok(_RUNTIME, default)
    if setting != AUTO:
        return _named_runtime(facts, _RUNTIME, setting, "ECS_RUNTIME")
    if not is_to_be_tried(facts.default_runtime, facts.runtimes):
        return ok(_RUNTIME, f"{default}; {CANDIDATE} is tried only beside runc, where it is there")
    return ok(_RUNTIME, f"{CANDIDATE} or {default}: the service's log says which (runtime chosen)")


def strict_runtime_findings(facts: EngineFacts, runtime: str) -> list[Finding]:
    """Judge whether the engine has the runtime of the strict profile, where one is named."""
    if not runtime:
        return []
    return [_named_runtime(facts, _STRICT_RUNTIME, runtime, "ECS_STRICT_RUNTIME")]


def _named_runtime(facts: EngineFacts, name: str, runtime: str, variable: str) -> Finding:
    if runtime in facts.runtimes:
        return ok(name, f"the engine has {runtime}")
    found = f"the engine has no runtime {runtime!r}, it has {', '.join(sorted(facts.runtimes))}"
    return failure(name, found, f'add it to "runtimes" in daemon.json, or correct {variable}')


async def _network_finding(api: DockerRemoteApi, network: str) -> Finding:
    try:
        options = await AsyncNetworkInspector(api).options(network)
    except EngineNotFoundError:
        fix = f"docker network create -o {_ICC_OPTION}=false {network}, or correct ECS_TASK_NETWORK"
        return failure(_NETWORK, f"the engine has no network {network!r}", fix)
    except EngineError as error:
        return not_checked(_NETWORK, str(error), "see the engine's log")
    if options.get(_ICC_OPTION) == "false":
        return ok(_NETWORK, f"{network}: tasks cannot reach each other")
    fix = '"icc": false in daemon.json'
    if network != "bridge":
        fix = f"create it anew with -o {_ICC_OPTION}=false"
    return failure(_NETWORK, f"{network}: tasks can reach each other", fix)


def data_findings(facts: EngineFacts, docker_host: str) -> list[Finding]:
    """Look at the disk of the engine's data, if it is one of this machine."""
    if not docker_host.startswith("unix:"):
        why = f"the engine, {docker_host}, may be on another machine"
        return [not_checked(f"{_DATA} disk", why, "run this on the engine's machine")]
    fix = "remove images that nobody uses (docker image prune), or give it a larger disk"
    return check_disk(_DATA, Path(facts.data_root), fix)
