"""What a task's container is created from: a pure function of task, image and policy.

Never privileged, no host namespace, no device, no socket of the daemon, nothing of the host but,
where there is no network, one file of ECS's own, read-only.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecs.docker_remote_api.images import LocalImage
from ecs.tasks.init_mount import InitMount
from ecs.tasks.model import Network, Profile, Task, TaskRequest
from ecs.tasks.runtime import EngineRuntime

LABEL_INSTANCE = "ecs.instance"
LABEL_TASK = "ecs.task"
LABEL_IMAGE = "ecs.image"
LABEL_DEADLINE = "ecs.deadline"
LABEL_PREFIX = "ecs."

NO_NETWORK = "none"

STRICT_USER = "65534:65534"
_DROPPED_CAPABILITIES = ["NET_RAW", "MKNOD", "AUDIT_WRITE", "SYS_CHROOT"]
_NANO = 1_000_000_000
_DEADLINE_MARGIN_SECONDS = 120
"""For what a task spends outside its own run: creating, starting, stopping, collecting."""


@dataclass(frozen=True)
class ContainerPolicy:
    """What the operator decides about every task's container."""

    instance: str
    network: str
    open_files: int
    strict_tmpfs_bytes: int
    runtime: EngineRuntime
    strict_runtime: str
    stop_grace_seconds: float


def command(request: TaskRequest, image: LocalImage) -> list[str]:
    """Return what is executed, as the engine would put it together."""
    entrypoint = image.entrypoint if request.entrypoint is None else request.entrypoint
    # To the engine one empty string means none.
    return [*(() if entrypoint == ("",) else entrypoint), *request.cmd]


def has_task_network(request: TaskRequest) -> bool:
    """Tell whether a task gets the operator's task network, rather than loopback alone."""
    return request.network is Network.DEFAULT and request.profile is not Profile.STRICT


def container_body(
    task: Task,
    image: LocalImage,
    policy: ContainerPolicy,
    init: InitMount | None,
    *,
    sandbox: str | None = None,
) -> dict[str, Any]:
    """Return the body of ``POST /containers/create`` for ``task``.

    With ``init`` that is what the engine starts, and the command comes to it over stdin.
    ``sandbox`` is the container whose network it joins, and with that its host name, hosts file
    and resolver; the engine refuses any of these to be asked for beside it.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
    """
    request = task.request
    run_seconds = request.timeout_seconds + policy.stop_grace_seconds
    labels = {
        **request.labels,
        **_own_labels(request, policy, run_seconds + _DEADLINE_MARGIN_SECONDS),
        LABEL_TASK: task.id,
    }
    return _body(
        request,
        image,
        policy,
        init,
        sandbox=sandbox,
        labels=labels,
        environment=environment(task),
    )


def warm_body(
    request: TaskRequest,
    image: LocalImage,
    policy: ContainerPolicy,
    init: InitMount,
    *,
    life_seconds: float,
) -> dict[str, Any]:
    """Return the body for a container that waits for a task which asks for the same as ``request``.

    ``life_seconds`` bounds its wait and the task's run together.
    """
    labels = _own_labels(request, policy, life_seconds)
    return _body(request, image, policy, init, sandbox=None, labels=labels, environment={})


def environment(task: Task) -> Mapping[str, str]:
    """Return what a task's environment has over that of its image."""
    trace = task.trace.environment() if task.trace else {}
    return {**trace, **task.request.env}


def container_user(request: TaskRequest) -> str | None:
    """Return who a task runs as; ``None`` leaves it to the image."""
    return STRICT_USER if request.profile is Profile.STRICT else request.user


def _body(
    request: TaskRequest,
    image: LocalImage,
    policy: ContainerPolicy,
    init: InitMount | None,
    *,
    sandbox: str | None,
    labels: Mapping[str, str],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    body: dict[str, Any] = {
        # The id, not the name: what was authorized is what runs, whatever the tag does meanwhile.
        "Image": image.image_id,
        "Cmd": [] if init else list(request.cmd),
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": labels,
        "HostConfig": _host_config(request, image, policy, init, sandbox),
        # A task does not live long enough to be asked how it is.
        "Healthcheck": {"Test": ["NONE"]},
    }
    if init and _leaves_the_network_to_the_kernel(request, policy, init):
        body["NetworkDisabled"] = True
        body["HostConfig"]["Mounts"].append(init.hosts_as_engine_mount())
    if init:
        body["Entrypoint"] = [init.program]
    elif request.entrypoint is not None:
        body["Entrypoint"] = list(request.entrypoint)
    if request.workdir is not None:
        body["WorkingDir"] = request.workdir
    if init or request.stdin is not None:
        body |= {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
    user = container_user(request)
    if user is not None:
        body["User"] = user
    return body


def _own_labels(
    request: TaskRequest, policy: ContainerPolicy, life_seconds: float
) -> Mapping[str, str]:
    return {
        LABEL_INSTANCE: policy.instance,
        LABEL_IMAGE: str(request.image),
        LABEL_DEADLINE: str(int(time.time() + life_seconds)),
    }


def _host_config(
    request: TaskRequest,
    image: LocalImage,
    policy: ContainerPolicy,
    init: InitMount | None,
    sandbox: str | None,
) -> dict[str, Any]:
    resources = request.resources
    config: dict[str, Any] = {
        "NetworkMode": _network_mode(request, policy, sandbox),
        "Memory": resources.memory_bytes,
        "MemorySwap": resources.memory_bytes,
        "NanoCpus": round(resources.cpus * _NANO),
        # The init's own process is not the task's.
        "PidsLimit": resources.pids + (init is not None),
        "CapDrop": _DROPPED_CAPABILITIES,
        "SecurityOpt": ["no-new-privileges"],
        "Ulimits": [
            {"Name": "nofile", "Soft": policy.open_files, "Hard": policy.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        # The attach is the only reader; a log file would cost time and fill the engine's disk.
        "LogConfig": {"Type": "none"},
        **policy.runtime.host_config(),
    }
    if init:
        config["Mounts"] = [init.as_engine_mount()]
    if request.profile is Profile.STRICT:
        config["CapDrop"] = ["ALL"]
        config["ReadonlyRootfs"] = True
        # In place of the image's volumes too, which would be writable without a bound.
        options = f"rw,nosuid,nodev,size={policy.strict_tmpfs_bytes},mode=1777"
        config["Tmpfs"] = dict.fromkeys(["/tmp", *sorted(image.volumes)], options)
        if policy.strict_runtime:
            config["Runtime"] = policy.strict_runtime
    return config


def _network_mode(request: TaskRequest, policy: ContainerPolicy, sandbox: str | None) -> str:
    if not has_task_network(request):
        return NO_NETWORK
    return policy.network if sandbox is None else f"container:{sandbox}"


def _leaves_the_network_to_the_kernel(
    request: TaskRequest, policy: ContainerPolicy, init: InitMount
) -> bool:
    """Tell whether a container without a network is made without the engine's part in that.

    The kernel gives it a namespace with loopback alone either way. What the engine adds is a hosts
    file, which the init's volume has, too, and 80 ms. A runtime such as gVisor's has a network
    stack of its own.
    """
    if _network_mode(request, policy, None) != NO_NETWORK or not init.mountpoint:
        return False
    if request.profile is Profile.STRICT and policy.strict_runtime:
        return False
    return policy.runtime.has_kernels_network
