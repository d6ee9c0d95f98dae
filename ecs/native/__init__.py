"""The compiled programs that go into containers; ``bin/build-native`` puts them here."""

from importlib import resources


def init_program(machine: str) -> bytes | None:
    """Return the ECS init for ``machine`` (as ``uname -m`` names it), ``None`` if there is none."""
    program = resources.files(__package__).joinpath(f"init-{machine}")
    return program.read_bytes() if program.is_file() else None
