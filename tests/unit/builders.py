"""Objects with every field filled in, so that a test names only those that it is about."""

from typing import Any

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.request_handlers.task_request import RequestRules
from ecs.tasks.admission import Admission
from ecs.tasks.container_spec import ContainerPolicy
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Profile, Resources, Task, TaskRequest
from ecs.tasks.output import OutputLimits
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime import EngineRuntime
from ecs.tasks.sandbox import SandboxPolicy
from ecs.tasks.sandbox_rules import PoolRules, SandboxReuse
from ecs.tasks.sandboxes import Sandboxes
from ecs.tasks.warm_pool import WarmPool
from ecs.tasks.warm_targets import WarmRules

POOL_RULES = PoolRules(
    maximum=4,
    minimum=2,
    reuse=SandboxReuse.SAME_KEY,
    max_tasks=100,
    max_age_seconds=600.0,
    idle_seconds=60.0,
)
MIB = 1024 * 1024
RESOURCES = Resources(memory_bytes=64 * MIB, cpus=0.5, pids=32)
OUTPUT_LIMITS = OutputLimits(
    excerpt_bytes=1024, total_bytes=1024 * 1024, memory_bytes=256, directory=None
)


def task_request(**fields: Any) -> TaskRequest:
    """A request for `busybox:latest`."""
    defaults: dict[str, Any] = {
        "image": ImageReference.parse("busybox:latest"),
        "cmd": ("echo", "hello"),
        "timeout_seconds": 60.0,
        "resources": RESOURCES,
    }
    return TaskRequest(**defaults | fields)


def task(limits: OutputLimits = OUTPUT_LIMITS, **fields: Any) -> Task:
    """A task in the queue; `fields` are its request's."""
    return Task(task_request(**fields), owner="somebody", request_id="r1", output_limits=limits)


def request_rules(**fields: Any) -> RequestRules:
    """An operator's rules that no default value comes near."""
    defaults: dict[str, Any] = {
        "allowed_registries": (),
        "default_timeout_seconds": 60.0,
        "max_timeout_seconds": 3600.0,
        "default_resources": RESOURCES,
        "max_resources": Resources(memory_bytes=2048 * MIB, cpus=4.0, pids=1024),
        "profile": Profile.STANDARD,
    }
    return RequestRules(**defaults | fields)


def no_sandboxes(api: DockerRemoteApi, admission: Admission, reaper: Reaper) -> Sandboxes:
    """A pool that never has one."""
    return Sandboxes(
        api,
        admission,
        reaper,
        policy=sandbox_policy(),
        rules=POOL_RULES,
        program_for=lambda _: None,
    )


def sandbox_policy() -> SandboxPolicy:
    """An operator's policy for sandboxes."""
    return SandboxPolicy(
        "here", EngineRuntime(), "bridge", max_age_seconds=600.0, max_run_seconds=60.0
    )


def container_policy(**fields: Any) -> ContainerPolicy:
    """An operator's policy."""
    defaults: dict[str, Any] = {
        "instance": "here:8448",
        "network": "bridge",
        "open_files": 4096,
        "strict_tmpfs_bytes": 64 * MIB,
        "runtime": EngineRuntime(),
        "strict_runtime": "",
        "stop_grace_seconds": 2.0,
    }
    return ContainerPolicy(**defaults | fields)


def no_warm_pool(api: DockerRemoteApi, admission: Admission, reaper: Reaper) -> WarmPool:
    """A pool that has never met an engine, and so has no container."""
    return WarmPool(
        api,
        admission,
        reaper,
        InitVolume(api, reaper, lambda _: None),
        policy=container_policy(),
        rules=WarmRules(named={}, memory_bytes=0, max_age_seconds=60.0, max_run_seconds=60.0),
    )
