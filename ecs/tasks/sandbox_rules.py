"""How many sandboxes there are, who may have one again, and how long one serves."""

import enum
from dataclasses import dataclass

from ecs.tasks.sandbox import Sandbox


class SandboxReuse(enum.StrEnum):
    """To whom a sandbox is handed that has served a task."""

    NEVER = "never"
    SAME_KEY = "same_key"
    ANY = "any"


@dataclass(frozen=True)
class PoolRules:
    """The operator's rules."""

    maximum: int
    """Of all, those that tasks hold among them; 0: there are none."""
    minimum: int
    """Ready for whoever comes, as long as ``maximum`` allows it."""
    reuse: SandboxReuse
    max_tasks: int
    max_age_seconds: float
    idle_seconds: float
    """After which a sandbox goes that nobody has taken, down to ``minimum``."""

    def is_for_anybody(self, sandbox: Sandbox) -> bool:
        """Tell whether every owner's task may have an idle sandbox."""
        return sandbox.owner is None or self.reuse is SandboxReuse.ANY

    def may_have(self, sandbox: Sandbox, owner: str) -> bool:
        """Tell whether a task of ``owner`` may have an idle sandbox."""
        return self.is_for_anybody(sandbox) or (
            self.reuse is SandboxReuse.SAME_KEY and sandbox.owner == owner
        )

    def is_too_old(self, sandbox: Sandbox) -> bool:
        """Tell whether a sandbox is to serve no more."""
        return sandbox.age_seconds > self.max_age_seconds

    def wear(self, sandbox: Sandbox) -> str:
        """Return why a sandbox that has served a task is not to serve another, or ``""``."""
        if self.reuse is SandboxReuse.NEVER or sandbox.tasks >= self.max_tasks:
            return "used up"
        return "age" if self.is_too_old(sandbox) else ""
