"""Which files of a directory this process has open, also those without a name."""

from pathlib import Path


def open_files(directory: Path) -> list[str]:
    """The targets of this process's file descriptors that lie in the directory."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the descriptor of this very look
            continue
    return [target for target in targets if target.startswith(f"{directory}/")]


def named_files(directory: Path) -> list[str]:
    """What a look into the directory shows."""
    return [path.name for path in directory.iterdir()]
