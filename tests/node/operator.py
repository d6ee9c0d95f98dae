"""Somebody who follows docs/operations.md, word by word, from a machine beside the node."""

import os
import subprocess
import sys
from pathlib import Path

from tests.documents import section
from tests.node.provisioned import NUMBER, PORT, REGISTRY, ProvisionedNode

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "operations.md"
COMMAND_TIMEOUT_SECONDS = 120
REPLACED = {
    "registry.example.org": REGISTRY,
    "https://ecs.example.org": f"https://ecs.example.org:{PORT}",
    "127.0.0.1:443": f"127.0.0.1:{PORT}",
    "--node 1": f"--node {NUMBER}",
    "--key-file probe.json": "--key-file probe.json --network none",  # its profile is strict
}
"""What is otherwise here than in the document."""
SSH = """#!/bin/sh
# ssh HOST WORD...: joins the words, as the real one does, for a shell over there.
shift
exec nsenter --target={init} --all sh -c "$*"
"""
SUDO = """#!/bin/sh
exec env "$@"
"""
ECSCTL = """#!/bin/sh
# The probe's machine reaches the node, and knows its name and its authority.
[ "$1" = probe ] || exec {program} "$@"
exec nsenter --target={init} --net unshare --mount sh -c '
  mount --bind {hosts} /etc/hosts
  SSL_CERT_FILE={authority} exec {program} "$@"' sh "$@"
"""


class Operator:
    """Works in the directory of the deployment file."""

    def __init__(self, node: ProvisionedNode) -> None:
        self.directory = node.deployment.parent
        init = node.machine.init
        hosts = self.directory / "hosts"
        hosts.write_text("127.0.0.1 localhost ecs.example.org\n")
        for path, text in {
            self.directory / "programs/ssh": SSH.format(init=init),
            node.machine.path("/usr/local/bin/sudo"): SUDO,
            self.directory / "bin/ecsctl": ECSCTL.format(
                init=init,
                program=Path(sys.executable).parent / "ecsctl",
                hosts=hosts,
                authority=self.directory / "ca.pem",
            ),
        }.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def follow(self, title: str, number: int | None = None, **placeholders: str) -> str:
        """Run a section's blocks, or one, counted from 0; return standard output."""
        found = section(DOCUMENT, title)
        script = "\n".join(found if number is None else found[number : number + 1])
        assert script, f"{title} has no commands"
        for written, here in (REPLACED | placeholders).items():
            script = script.replace(written, here)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.directory,
            env=os.environ | {"PATH": f"{self.directory}/programs:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done}"
        return done.stdout
