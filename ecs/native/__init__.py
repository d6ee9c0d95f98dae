"""The compiled programs that go into containers; ``bin/build-native`` puts them here."""

from importlib import resources


def init_program(machine: str) -> bytes | None:
    """Return the ECS init for ``machine`` (as ``uname -m`` names it), ``None`` if there is none."""
    return _program("init", machine)


def sandbox_program(machine: str) -> bytes | None:
    """Return what a network sandbox runs on ``machine``, ``None`` if there is none."""
    return _program("sandbox", machine)


def _program(name: str, machine: str) -> bytes | None:
    program = resources.files(__package__).joinpath(f"{name}-{machine}")
    return program.read_bytes() if program.is_file() else None
