"""What settings make of the parts that run tasks, from the admission to the sweep."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.native import init_program, sandbox_program
from ecs.request_handlers.task_request import RequestRules
from ecs.settings import Settings, SettingsError
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
from ecs.tasks.runtime import EngineRuntime
from ecs.tasks.runtime_choice import RuntimeChoice
from ecs.tasks.runtime_trial import RuntimeTrial
from ecs.tasks.sandbox import SandboxPolicy
from ecs.tasks.sandbox_rules import PoolRules, SandboxReuse
from ecs.tasks.sandboxes import Sandboxes
from ecs.tasks.sweep import OrphanSweep
from ecs.tasks.warm_pool import WarmPool
from ecs.tasks.warm_targets import WarmRules

_STARTING_TASKS_PER_CPU = 3
_RUNNING_TASKS_PER_CPU = 64
_MEMORY_BYTES_PER_RUNNING_TASK = 64 * 1024 * 1024


@dataclass(frozen=True)
class Composition:
    """The parts that run tasks."""

    api: DockerRemoteApi
    policy: ContainerPolicy
    admission: Admission
    reaper: Reaper
    images: Images
    init: InitVolume
    sandboxes: Sandboxes
    warm_pool: WarmPool
    runtime_choice: RuntimeChoice
    dispatcher: TaskDispatcher
    sweep: OrphanSweep


@asynccontextmanager
async def composed(
    settings: Settings,
    instance: str,
    api: DockerRemoteApi,
    store: PrivateImageStore,
    *,
    observers: Sequence[TaskObserver] = (),
) -> AsyncIterator[Composition]:
    """Put the parts together; leaving cancels what still runs, and waits for no deletion.

    Raises:
        SettingsError: a warm image has no valid name.
    """
    async with AsyncExitStack() as stack:
        admission = Admission(
            max_starting=settings.max_starting_tasks or _STARTING_TASKS_PER_CPU,
            max_running=max_running_tasks(settings),
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
        policy = _container_policy(settings, instance)
        trial = RuntimeTrial(api, admission, reaper, init, policy=policy)
        runtime_choice = RuntimeChoice(api, policy.runtime, trial.compare)
        sandboxes = await stack.enter_async_context(
            Sandboxes(
                api,
                admission,
                reaper,
                policy=_sandbox_policy(settings, policy),
                rules=_pool_rules(settings),
                program_for=sandbox_program,
            )
        )
        warm_pool = await stack.enter_async_context(
            WarmPool(api, admission, reaper, init, policy=policy, rules=_warm_rules(settings))
        )

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

        dispatcher = await stack.enter_async_context(
            TaskDispatcher(
                admission,
                new_runner,
                output_limits=_output_limits(settings),
                queue_timeout_seconds=settings.queue_timeout_seconds,
                drain_timeout_seconds=settings.drain_timeout_seconds,
                has_container=warm_pool.has_one_for,
                observers=observers,
            )
        )
        live = (dispatcher, sandboxes.containers, warm_pool.containers)
        sweep = OrphanSweep(
            api,
            reaper,
            instance=instance,
            is_live=lambda container: any(container in those for those in live),
            interval_seconds=settings.sweep_interval_seconds,
        )
        yield Composition(
            api,
            policy,
            admission,
            reaper,
            images,
            init,
            sandboxes,
            warm_pool,
            runtime_choice,
            dispatcher,
            sweep,
        )


def max_running_tasks(settings: Settings) -> int:
    """Return how many tasks may run before the engine has told its size."""
    return settings.max_running_tasks or _RUNNING_TASKS_PER_CPU * (os.cpu_count() or 1)


def set_limits(
    admission: Admission, settings: Settings, *, engine_cpus: int, engine_memory_bytes: int
) -> None:
    """Take the limits that fit the engine's size, where the settings leave them open."""
    automatic = min(
        _RUNNING_TASKS_PER_CPU * engine_cpus, engine_memory_bytes // _MEMORY_BYTES_PER_RUNNING_TASK
    )
    admission.set_limits(
        max_starting=settings.max_starting_tasks or _STARTING_TASKS_PER_CPU * engine_cpus,
        max_running=settings.max_running_tasks or max(1, automatic),
    )


def request_rules(settings: Settings, engine_cpus: int) -> RequestRules:
    """Return what requests may ask for, on an engine of so many CPUs."""
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


def _container_policy(settings: Settings, instance: str) -> ContainerPolicy:
    return ContainerPolicy(
        instance=instance,
        network=settings.task_network,
        open_files=settings.open_files,
        strict_tmpfs_bytes=settings.strict_tmpfs_bytes,
        runtime=EngineRuntime.of(settings.runtime),
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


def _sandbox_policy(settings: Settings, policy: ContainerPolicy) -> SandboxPolicy:
    return SandboxPolicy(
        instance=policy.instance,
        runtime=policy.runtime,
        network=policy.network,
        max_age_seconds=settings.sandbox_max_age_seconds,
        max_run_seconds=settings.max_timeout_seconds + settings.stop_grace_seconds,
    )


def _pool_rules(settings: Settings) -> PoolRules:
    return PoolRules(
        maximum=settings.sandboxes,
        minimum=settings.min_sandboxes,
        reuse=SandboxReuse(settings.sandbox_reuse),
        max_tasks=settings.sandbox_max_tasks,
        max_age_seconds=settings.sandbox_max_age_seconds,
        idle_seconds=settings.sandbox_idle_seconds,
    )


def _output_limits(settings: Settings) -> OutputLimits:
    return OutputLimits(
        excerpt_bytes=settings.max_output_bytes,
        total_bytes=settings.output_limit_bytes,
        memory_bytes=settings.spool_memory_bytes,
        directory=settings.spool_directory,
    )
