"""Hosts of the tests' own, beside this machine: network namespaces with an address each."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """A host that reaches this machine at ``gateway``, from the address ``address``."""

    namespace: str
    address: str
    gateway: str

    def command(self, *words: str) -> list[str]:
        """The command that runs these words on the host."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def run(self, *words: str) -> str:
        """Run a command there, and return what it wrote to standard output."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=True, timeout=120
        ).stdout


@contextmanager
def host(number: int) -> Iterator[Host]:
    """Make a host; numbers from 0 to 63 give addresses of RFC 2544's range for tests."""
    name = f"ecs-{secrets.token_hex(4)}"
    gateway, address = f"198.18.0.{4 * number + 1}", f"198.18.0.{4 * number + 2}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("address", "add", f"{gateway}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "address", "add", f"{address}/30", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "route", "add", "default", "via", gateway)
        yield Host(name, address, gateway)
    finally:
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)
