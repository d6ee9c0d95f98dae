"""What a check of the node found; knows no check and no command line."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found and, unless all is well, what to do about it."""

    name: str
    level: Level
    found: str
    fix: str = ""
    is_made: bool = True
    """Whether the check could be made at all."""


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, found)


def warning(name: str, found: str, fix: str) -> Finding:
    """The node works, but somebody should look at this."""
    return Finding(name, Level.WARNING, found, fix)


def failure(name: str, found: str, fix: str) -> Finding:
    """The node does not work, or is open to whom it should not be."""
    return Finding(name, Level.FAILURE, found, fix)


def not_checked(name: str, why: str, fix: str) -> Finding:
    """Nothing is known: that is a warning, never a guess."""
    return Finding(name, Level.WARNING, f"cannot be checked: {why}", fix, is_made=False)
