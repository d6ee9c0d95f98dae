"""A task: what was asked, where it is, what it wrote, how it ended."""

import asyncio
import enum
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import PullProgress
from ecs.errors import EcsError
from ecs.tasks.changes import ChangeSignal
from ecs.tasks.output import OutputLimits, TaskOutput
from ecs.tasks.states import Outcome, StateMachine, TaskState, task_state

_KEPT_PROGRESS_LINES = 256
CONTAINER_NAME_PREFIX = "ecs-task-"


class Network(enum.StrEnum):
    """Which network a task gets."""

    DEFAULT = "default"
    NONE = "none"


class PullPolicy(enum.StrEnum):
    """When the registry is asked for the image."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


class Profile(enum.StrEnum):
    """How tightly a task's container is closed, from loose to tight."""

    STANDARD = "standard"
    STRICT = "strict"


class Start(enum.StrEnum):
    """By which way a task's container came to start."""

    WARM = "warm"
    """It was started ahead."""
    SANDBOXED = "sandboxed"
    """It joined a network that was ready."""
    COLD = "cold"


@dataclass(frozen=True)
class Resources:
    """Limits of one task's container."""

    memory_bytes: int
    cpus: float
    pids: int


@dataclass(frozen=True)
class TaskRequest:
    """What a caller asks for, checked and with every default filled in."""

    image: ImageReference
    cmd: tuple[str, ...]
    timeout_seconds: float
    resources: Resources
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    workdir: str | None = None
    user: str | None = None
    stdin: bytes | None = field(default=None, repr=False)
    network: Network = Network.DEFAULT
    pull: PullPolicy = PullPolicy.MISSING
    labels: Mapping[str, str] = field(default_factory=dict)
    profile: Profile = Profile.STANDARD
    credentials: RegistryCredentials | None = None


@dataclass(frozen=True)
class TraceContext:
    """A place in a trace, in the two headers that carry it (https://www.w3.org/TR/trace-context)."""

    traceparent: str
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """The trace's id, in 32 hexadecimal digits."""
        return self.traceparent.split("-")[1]

    def environment(self) -> dict[str, str]:
        """Return the variables that hand it to a process."""
        variables = {"TRACEPARENT": self.traceparent, "TRACESTATE": self.tracestate}
        return {name: value for name, value in variables.items() if value}


@dataclass(frozen=True)
class TaskResult:
    """How a task ended.

    ``exit_code`` is ``None`` when there was no process; ``error`` says why it ended so, where the
    outcome alone does not.
    """

    state: TaskState
    outcome: Outcome
    exit_code: int | None
    timings: Mapping[str, float]
    error: EcsError | None


class Task:
    """One task; every other part of ECS reads this object and keeps no copy of its facts."""

    def __init__(
        self,
        request: TaskRequest,
        *,
        owner: str,
        request_id: str,
        output_limits: OutputLimits,
        trace: TraceContext | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.request = request
        self.owner = owner
        """Who is served in turn with others: an API key, or an address."""
        self.request_id = request_id
        self.trace = trace
        """What the trace of the task's own process is to be a part of."""
        self.created_at = time.time()
        self.changes = ChangeSignal()
        self.output = TaskOutput(output_limits, self.changes)
        self.machine = StateMachine()
        self.states: list[TaskState] = [TaskState.QUEUED]
        """Every state so far; the last one is the present."""
        self.progress: deque[PullProgress] = deque(maxlen=_KEPT_PROGRESS_LINES)
        self.progress_count = 0
        self.start: Start | None = None
        """``None`` until there was an attempt; the last attempt counts."""
        self.result: TaskResult | None = None
        self._ended = asyncio.Event()

    @property
    def container_name(self) -> str:
        """The name of this task's container."""
        return CONTAINER_NAME_PREFIX + self.id

    def enter(self, state: TaskState) -> None:
        """Show ``state`` to those who follow."""
        if state is not self.states[-1]:
            self.states.append(state)
            self.changes.notify()

    def add_progress(self, progress: PullProgress) -> None:
        """Show a line of a pull's progress to those who follow."""
        self.progress.append(progress)
        self.progress_count += 1
        self.changes.notify()

    def end(self, outcome: Outcome, exit_code: int | None, error: EcsError | None = None) -> None:
        """State how the task ended; the first statement counts."""
        if self.result is not None:
            return
        state = task_state(outcome, exit_code)
        self.result = TaskResult(state, outcome, exit_code, self.machine.timings(), error)
        self.enter(state)
        self._ended.set()

    async def ended(self) -> TaskResult:
        """Return the result when there is one."""
        await self._ended.wait()
        assert self.result is not None
        return self.result
