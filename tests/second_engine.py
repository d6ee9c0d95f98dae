"""A second Docker engine on this machine, with a bridge of its own, that tests may stop and start.

Like that of ``tests.tls_engine`` it has a network and a mount namespace of its own.
"""

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker

from tests.engines import EngineProbe
from tests.images import import_busybox
from tests.tls_engine import stop_dockerd
from tests.waiting import wait_until

START_TIMEOUT_SECONDS = 60

# dockerd would share a system-wide containerd, which does not see this mount namespace: hide it.
# Of cgroup version 1, crun wants every hierarchy that the kernel has to be mounted; hosts may do
# without some.
START_SCRIPT = """
ip link set lo up
mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
  while IFS=: read -r _ controllers _; do
    name=${controllers#name=}
    mkdir "/sys/fs/cgroup/${name:-unified}"
    case $controllers in
      '') mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
      name=*) mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/$name" ;;
      *) mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$name" ;;
    esac
  done </proc/self/cgroup
fi
exec dockerd "$@"
"""


class SecondEngine:
    """One engine and its containers; `probe` asks it.

    `runtimes`, beside runc, are programs by name; they count from the next start on.
    """

    def __init__(self, directory: Path, runtimes: Mapping[str, Path]) -> None:
        self._directory = directory
        self.runtimes = dict(runtimes)
        self.url = f"unix://{directory}/docker.sock"
        # The version is named: the engine is not there yet to be asked for it.
        self.probe = EngineProbe(docker.DockerClient(self.url, version="1.41", timeout=60))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        directory = self._directory
        options = {
            "host": self.url,
            "bip": "198.18.1.1/24",
            "iptables": "false",
            "ip-forward": "false",
            "data-root": directory / "data",
            "exec-root": directory / "exec",
            "pidfile": directory / "dockerd.pid",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        arguments += [f"--add-runtime={name}={path}" for name, path in self.runtimes.items()]
        with (directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--net", "bash", "-euc", START_SCRIPT, "-", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """Stop it as an operator does: its containers end, and stay."""
        if self._process is not None:
            stop_dockerd(self._process, self._directory)
            self._process = None

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self._directory / "log").read_text()[-4000:]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(START_TIMEOUT_SECONDS)
            try:
                client.connect(self.url.removeprefix("unix://"))
                client.sendall(b"HEAD /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in client.recv(64)
            except OSError:
                return False


@contextlib.contextmanager
def running_second_engine(runtimes: Mapping[str, Path] | None = None) -> Iterator[SecondEngine]:
    """Run the engine, with busybox in it."""
    # A short path: containerd's sockets lie below it, and a socket's path is limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="ecs-test-"))
    engine = SecondEngine(directory, runtimes or {})
    try:
        engine.start()
        import_busybox(engine.probe.client)
        yield engine
    finally:
        engine.stop()
        engine.probe.client.close()
        shutil.rmtree(directory)
