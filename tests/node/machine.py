"""Boots the Debian of ``debian`` with real systemd and cloud-init, in namespaces of its own.

No virtual machine: it shares the kernel, and has no network but its loopback.
"""

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import wait_until

BOOT = Path(__file__).parent / "boot"
BOOT_TIMEOUT_SECONDS = 60
COMMAND_TIMEOUT_SECONDS = 120
CGROUPS = Path("/sys/fs/cgroup")
SEED = Path("var/lib/cloud/seed/nocloud")


@dataclass
class Machine:
    """A booted Debian."""

    init: int
    """The process that is its init."""
    directory: Path

    def run(self, *command: str, check: bool = True, data: Path | None = None) -> str:
        """Run a command in it, and return all that it wrote."""
        with contextlib.ExitStack() as stack:
            done = subprocess.run(
                self.command(*command),
                stdin=stack.enter_context(data.open("rb")) if data else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_TIMEOUT_SECONDS,
                check=False,
            )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def command(self, *command: str) -> list[str]:
        """What runs a command in it."""
        return ["nsenter", f"--target={self.init}", "--all", *command]

    def succeeds(self, *command: str) -> bool:
        return (
            subprocess.run(
                self.command(*command), capture_output=True, check=False,
                timeout=COMMAND_TIMEOUT_SECONDS,
            ).returncode == 0
        )  # fmt: skip

    def path(self, path: str) -> Path:
        """A file of it, seen from here."""
        return Path(f"/proc/{self.init}/root{path}")


@contextmanager
def booted(root: Path, user_data: str, directory: Path) -> Iterator[Machine]:
    """Boot it with the user data; afterwards nothing of it is left but ``directory``."""
    seed = directory / "changes" / SEED
    seed.mkdir(parents=True)
    (seed / "user-data").write_text(user_data)
    (seed / "meta-data").write_text(f"instance-id: {directory.name}\n")
    with (
        cgroup(f"ecs-test-{secrets.token_hex(4)}") as join,
        (directory / "console").open("wb") as log,
    ):
        booting = subprocess.Popen(
            # Should this process be killed, all goes with it.
            ["bash", "-ec", f'{join}; exec setpriv --pdeathsig KILL "$@"', "bash",
             "unshare", "--fork", "--kill-child=KILL", "--pid", "--mount", "--uts", "--ipc",
             "--net", "--cgroup", BOOT, root, directory],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            machine = Machine(_init_of(booting), directory)
            try:
                yield machine
            except BaseException:
                print(machine.run("journalctl", "--no-pager", "--lines=200", check=False))
                raise
        finally:
            booting.kill()
            booting.wait()
            shutil.rmtree(directory / "docker", ignore_errors=True)


def _init_of(booting: "subprocess.Popen[bytes]") -> int:
    """Return the number, here, of the process that becomes its init, once it is systemd."""
    children = Path(f"/proc/{booting.pid}/task/{booting.pid}/children")
    found: list[int] = []

    def is_systemd() -> bool:
        assert booting.poll() is None, "the machine did not boot; its console is in the directory"
        with contextlib.suppress(FileNotFoundError):
            for child in map(int, children.read_text().split()):
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    found.append(child)
        return bool(found)

    wait_until(is_systemd, BOOT_TIMEOUT_SECONDS)
    return found[0]


@contextmanager
def cgroup(name: str) -> Iterator[str]:
    """Make a cgroup in every hierarchy, and give the shell command that joins them all."""
    made = []
    for hierarchy in [CGROUPS, *CGROUPS.iterdir()]:
        if not hierarchy.is_symlink() and (hierarchy / "cgroup.procs").exists():
            (hierarchy / name).mkdir()
            made.append(hierarchy / name)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                # Version 1 alone wants them before anybody joins.
                if (hierarchy / "cgroup.clone_children").exists() and (
                    hierarchy / setting
                ).exists():
                    (hierarchy / name / setting).write_text((hierarchy / setting).read_text())
        if (CGROUPS / "cgroup.procs").exists():
            break
    try:
        yield "; ".join(f"echo $$ >{path}/cgroup.procs" for path in made)
    finally:
        wait_until(lambda: all(_is_removed(path) for path in made), BOOT_TIMEOUT_SECONDS)


def _is_removed(path: Path) -> bool:
    # The kernel takes a moment to forget the last process.
    with contextlib.suppress(OSError):
        for inner in sorted(path.rglob("*/"), reverse=True):
            if inner.is_dir():
                inner.rmdir()
        path.rmdir()
    return not path.exists()
