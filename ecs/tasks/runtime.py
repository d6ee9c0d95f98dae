"""Which of the engine's runtimes ECS asks for: one choice for tasks, warm containers and sandboxes.

What the choice follows from is ``runtime_choice``'s to know.
"""

import asyncio
from collections.abc import Collection

from ecs.errors import EngineError

DEFAULT = "default"
AUTO = "auto"
"""The two values of the setting that are no runtime's name."""
_WITH_KERNELS_NETWORK = ("runc", "io.containerd.runc.v2", "crun", "nvidia")
ENGINES_OWN = ""
"""Stands for the engine's default, by not naming any."""


class EngineRuntime:
    """The runtime of the containers to come; ``ENGINES_OWN`` by default.

    With ``is_required`` no container is to have another one: the operator named it. Else it may
    change at any time. ``engines_default`` is what the engine has where none is named.
    """

    def __init__(self, name: str = ENGINES_OWN, *, is_required: bool = False) -> None:
        self.name = name
        self.engines_default = "runc"
        self.is_required = is_required
        self.doubted = asyncio.Event()

    @classmethod
    def of(cls, setting: str) -> "EngineRuntime":
        """Return what the setting ``runtime`` says, as far as it is known without the engine."""
        if setting in (DEFAULT, AUTO):
            return cls()
        return cls(setting, is_required=True)

    @property
    def has_kernels_network(self) -> bool:
        """Whether a container may join another one's network: others bring one of their own."""
        return (self.name or self.engines_default) in _WITH_KERNELS_NETWORK

    @property
    def may_be_left(self) -> bool:
        """Whether a container that does not start may be started with the engine's default."""
        return bool(self.name) and not self.is_required

    def doubt(self) -> None:
        """Have the choice looked at, since a container with it did not start."""
        if self.may_be_left:
            self.doubted.set()

    def host_config(self) -> dict[str, str]:
        """Return its part of a container's ``HostConfig``."""
        return {"Runtime": self.name} if self.name else {}


def check_runtime(setting: str, runtimes: Collection[str]) -> None:
    """See that the runtime that is named, if one is, is among the engine's ``runtimes``.

    Raises:
        EngineError: it is not; the text tells what to do.
    """
    if setting not in (DEFAULT, AUTO, *runtimes):
        raise EngineError(
            f"the engine has no runtime {setting!r} (ECS_RUNTIME), it has "
            f'{", ".join(sorted(runtimes))}; add it to "runtimes" in daemon.json and reload the '
            "engine, or correct ECS_RUNTIME"
        )
