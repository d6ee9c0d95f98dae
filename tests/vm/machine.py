"""A virtual machine of qemu: its power, its console, and ssh to it."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from tests.network import free_port
from tests.waiting import wait_until

CPUS = 2
MEMORY_MIB = 2048
# For an emulated processor.
BOOT_TIMEOUT_SECONDS = 600
POWER_OFF_TIMEOUT_SECONDS = 400
COMMAND_TIMEOUT_SECONDS = 1200
SSH_TIMEOUT_SECONDS = 60
USER = "debian"
"""Whom cloud-init makes on Debian."""
HOST = "10.0.2.2"
"""How the virtual machine reaches this one's loopback, through qemu's user network."""
RESOLVER = "10.0.2.3"
"""Of the same network: asks this machine's resolvers."""


def processor() -> list[str]:
    """Qemu's options for it: this machine's own if KVM lets it, else an emulated one.

    That /dev/kvm is there does not say so: the module kvm_pvm does without a processor's help, but
    only for kernels that were made for it; Debian's hangs.
    """
    flags = re.search(r"^flags\s*:.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    has_virtualization = bool(flags and re.search(r"\b(vmx|svm)\b", flags[0]))
    if has_virtualization and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["-accel", "kvm", "-cpu", "host"]
    print("no KVM for Debian's kernel here: the machine is emulated, which takes long")
    return ["-accel", "tcg,thread=multi", "-cpu", "max"]


class VirtualMachine:
    """The machine whose disk is in ``directory``, with its kernel: see ``debian_disk``."""

    def __init__(
        self, directory: Path, media: tuple[Path, ...], ssh_key: Path, ports: tuple[int, ...]
    ) -> None:
        self.directory = directory
        self.forwarded = {port: free_port() for port in (22, *ports)}
        """Its ports, each with one of 127.0.0.1 here that leads there."""
        self._media = media
        self._ssh_key = ssh_key
        self._qemu: subprocess.Popen[bytes] | None = None

    def names_in(self, directory: str) -> list[str]:
        """What is in a directory of its disk, while it is off."""
        listed = self._debugfs(f"ls -p {directory}")
        # /inode/mode/user/group/name/size/
        names = [line.split("/")[5] for line in listed.splitlines() if line]
        assert names[:2] == [".", ".."], listed
        return names[2:]

    def content(self, path: str) -> str:
        """A file of its disk, while it is off."""
        return self._debugfs(f"cat {path}")

    def _debugfs(self, request: str) -> str:
        return subprocess.run(
            ["debugfs", "-R", request, self.directory / "disk.raw"],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    @property
    def console(self) -> Path:
        """What its kernel and systemd say, of all boots."""
        return self.directory / "console"

    def device(self, medium: Path) -> str:
        """How the machine calls one of its ``media``, files that it has as disks to read."""
        return f"/dev/vd{'bcdef'[self._media.index(medium)]}"

    def power_on(self) -> None:
        """Start it; ``wait_for_ssh`` waits for the boot."""
        forwards = "".join(
            f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.forwarded.items()
        )
        media = [
            word
            for medium in self._media
            for word in ("-drive", f"file={medium},if=virtio,format=raw,readonly=on")
        ]
        with self.console.open("ab") as console:
            self._qemu = subprocess.Popen(
                ["nice", "-n", "10", "qemu-system-x86_64", "-nodefaults", "-display", "none",
                 *processor(),
                 "-smp", str(CPUS), "-m", str(MEMORY_MIB), "-device", "virtio-rng-pci",
                 "-serial", "stdio",
                 "-kernel", self.directory / "vmlinuz", "-initrd", self.directory / "initrd.img",
                 "-append", "root=LABEL=root ro console=ttyS0",
                 "-drive", f"file={self.directory}/disk.raw,if=virtio,format=raw",
                 *media,
                 "-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def shut_down(self, verb: str) -> None:
        """Begin its ``reboot`` or ``poweroff``."""
        # The session may be ended before it has the answer.
        self._ssh(f"sudo systemctl --no-block {verb}")

    def lose_power(self) -> None:
        """End it without a word; nothing happens if it is off."""
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    def wait_until_off(self) -> None:
        """Wait until it has switched itself off."""
        assert self._qemu
        assert self._qemu.wait(POWER_OFF_TIMEOUT_SECONDS) == 0
        self._qemu = None

    def wait_for_ssh(self, former_boot: str = "") -> None:
        """Wait until it takes commands, in another boot than ``former_boot``."""

        def is_there() -> bool:
            assert self._qemu and self._qemu.poll() is None, self.console.read_text()[-2000:]
            return self.boot() not in {"", former_boot}

        wait_until(is_there, BOOT_TIMEOUT_SECONDS)

    def boot(self) -> str:
        """The kernel's name of this boot; nothing while it does not answer."""
        done = self._ssh("cat /proc/sys/kernel/random/boot_id")
        return done.stdout if done.returncode == 0 else ""

    def run(self, *command: str) -> str:
        """Run a command as root, and return its standard output."""
        done = self._ssh(f"sudo {shlex.join(command)}")
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        return self._ssh(f"sudo {shlex.join(command)}").returncode == 0

    def story(self) -> str:
        """The end of its console, and of its journal of this boot if it answers."""
        console = self.console.read_text(errors="replace").splitlines()
        journal = self._ssh("sudo journalctl --boot --no-pager --lines=300").stdout
        return "\n".join(["Its console:", *console[-100:], "Its journal:", journal])

    def ssh(self) -> list[str]:
        """The command that runs what is behind it over there."""
        return [
            "ssh", "-q", "-i", str(self._ssh_key), "-p", str(self.forwarded[22]),
            "-o", "BatchMode=yes", "-o", f"ConnectTimeout={SSH_TIMEOUT_SECONDS}",
            # One connection for all: an emulated processor takes seconds for each.
            "-o", "ControlMaster=auto", "-o", f"ControlPath={self.directory}/control",
            "-o", "ControlPersist=60",
            # Notices that the machine was switched off under it.
            "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
            # Its host key is made at its first boot; nobody else is on this loopback.
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            f"{USER}@127.0.0.1",
        ]  # fmt: skip

    def _ssh(self, line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.ssh(), line], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=COMMAND_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
