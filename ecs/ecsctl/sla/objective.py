"""What is promised. These are the only places of its figures; docs/sla.md explains them."""

from dataclasses import dataclass, fields, replace

DAYS = 30
"""The window over which the promise holds."""


@dataclass(frozen=True)
class Objective:
    """The promise: how much of everything succeeds, and how much time ECS and the engine add."""

    availability_percent: float = 99.5
    overhead_p95_seconds: float = 1.0

    def __post_init__(self) -> None:
        # 100 % leaves no error budget to divide by, and nobody can keep it.
        if not 0 < self.availability_percent < 100:  # noqa: PLR2004
            raise ValueError("availability_percent takes a number above 0 and below 100")
        if not 0 < self.overhead_p95_seconds < float("inf"):
            raise ValueError("overhead_p95_seconds takes a number of seconds above 0")

    @property
    def availability_ratio(self) -> float:
        """The promised availability from 0 to 1."""
        return self.availability_percent / 100


def changed(objective: Objective, assignment: str) -> Objective:
    """Return the objective with one value changed by ``name=value``.

    Raises:
        ValueError: there is no such name, or its value is not allowed.
    """
    name, equals, value = assignment.partition("=")
    known = [field.name for field in fields(Objective)]
    if not equals or name not in known:
        raise ValueError(f"{assignment!r} is none of {', '.join(f'{one}=NUMBER' for one in known)}")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{name} = {value!r} is no number") from None
    return replace(objective, **{name: number})
