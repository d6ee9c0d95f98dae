"""A node with a Docker engine of its own, and the world around it.

Three network namespaces without a way to this machine, so their addresses meet nobody else's:

    services ── br-lab ─┐
                       node ── eth0 ── outside, which has every address that nobody else has
    task, other ── docker0

The engine runs with its default ``icc=true``: it is the firewall that has to keep tasks apart.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.models.containers import Container

from tests.images import BUSYBOX, import_busybox
from tests.network_namespaces import namespace, output_in, run_in
from tests.reachability import TCP, UDP, Listeners
from tests.tls_engine import START_TIMEOUT_SECONDS, stop_dockerd
from tests.waiting import wait_until

NODE, OUTSIDE = "20.0.0.1", "20.0.0.2"
NODE6, OUTSIDE6 = "2600:20::1", "2600:20::2"
NODE_LINK_LOCAL, OUTSIDE_LINK_LOCAL = "fe80::20:1", "fe80::20:2"
GATEWAY, SERVICES = "21.0.0.1", "21.0.0.2"
GATEWAY6, SERVICES6 = "2600:21::1", "2600:21::2"
# Public ones, too: it is not to be the rule for private ranges that keeps tasks apart.
BRIDGE, BRIDGE6 = "23.0.0.1", "2600:23::1"
OTHER, OTHER6 = "23.0.0.2", "2600:23::242:1700:2"
GROUP = "239.1.2.3"

DNS_PORT, OPEN_PORT, ANY_PORT, ALLOWED_PORT = 53, 443, 8000, 5000
DAEMON_PORT, PUBLISHED_PORT = 2375, 8080
GROUP_PORT = 5353
DHCP_CLIENT_PORT, DHCPV6_CLIENT_PORT = 68, 546

LISTENERS = (
    ("node", TCP, (DNS_PORT, OPEN_PORT, ANY_PORT)),
    ("node", UDP, (DNS_PORT, DHCP_CLIENT_PORT, DHCPV6_CLIENT_PORT)),
    ("outside", TCP, (DNS_PORT, ANY_PORT, ALLOWED_PORT)),
    ("outside", UDP, (DNS_PORT,)),
    ("services", TCP, (ANY_PORT,)),
    ("other", TCP, (ANY_PORT,)),
)

LINKS = f"""
-n {{node}} link add eth0 type veth peer name eth0 netns {{outside}}
-n {{node}} link add br-lab type bridge
-n {{node}} link add services master br-lab type veth peer name eth0 netns {{services}}
-n {{node}} address add {NODE}/24 dev eth0
-n {{node}} address add {NODE6}/64 dev eth0 nodad
-n {{node}} address add {NODE_LINK_LOCAL}/64 dev eth0 nodad
-n {{node}} address add {GATEWAY}/24 dev br-lab
-n {{node}} address add {GATEWAY6}/64 dev br-lab nodad
-n {{outside}} address add {OUTSIDE}/24 dev eth0
-n {{outside}} address add {OUTSIDE6}/64 dev eth0 nodad
-n {{outside}} address add {OUTSIDE_LINK_LOCAL}/64 dev eth0 nodad
-n {{services}} address add {SERVICES}/24 dev eth0
-n {{services}} address add {SERVICES6}/64 dev eth0 nodad
-n {{node}} link set lo up
-n {{node}} link set eth0 up
-n {{node}} link set br-lab up
-n {{node}} link set services up
-n {{outside}} link set lo up
-n {{outside}} link set eth0 up
-n {{services}} link set eth0 up
-n {{node}} route add default via {OUTSIDE}
-n {{node}} -6 route add default via {OUTSIDE6}
-n {{outside}} route add default via {NODE}
-n {{outside}} -6 route add default via {NODE6}
-n {{services}} route add default via {GATEWAY}
-n {{services}} -6 route add default via {GATEWAY6}
"""

# A containerd that is there already would be used, but does not see this mount namespace: hide it.
START_SCRIPT = """
mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd
exec dockerd "$@"
"""


@dataclass(frozen=True)
class Lab:
    """The places by their names above, as files of network namespaces, and what is in them."""

    places: dict[str, Path]
    task: Container
    listeners: Listeners

    @property
    def node(self) -> Path:
        return self.places["node"]

    def forget_neighbours(self) -> None:
        """Let nobody know anybody's link address."""
        for place in self.places.values():
            output_in(place, "ip", "neighbour", "flush", "all")


@contextlib.contextmanager
def running_lab(load_firewall: Callable[[Path], None], addresses: Iterable[str]) -> Iterator[Lab]:
    """Build it all, with these addresses outside; the firewall is loaded first, as at boot."""
    with contextlib.ExitStack() as stack:
        places = _connected(stack)
        for address in addresses:
            length = ip_address(address).max_prefixlen
            output_in(places["outside"], "ip", "address", "add", f"{address}/{length}", "dev", "lo")
        _set_kernel(places)
        load_firewall(places["node"])
        client = stack.enter_context(_engine(places["node"]))
        import_busybox(client)
        other, places["other"] = _start(client, ports={f"{ANY_PORT}/tcp": PUBLISHED_PORT})
        stack.callback(other.remove, force=True)
        assert other.attrs["NetworkSettings"]["IPAddress"] == OTHER
        assert other.attrs["NetworkSettings"]["GlobalIPv6Address"] == OTHER6
        task, places["task"] = _start(client)
        stack.callback(task.remove, force=True)
        yield Lab(places, task, stack.enter_context(_listeners(places)))


def _connected(stack: contextlib.ExitStack) -> dict[str, Path]:
    places = {place: stack.enter_context(namespace()) for place in ("node", "outside", "services")}
    names = {place: path.name for place, path in places.items()}
    for command in LINKS.format(**names).strip().splitlines():
        subprocess.run(["ip", *command.split()], check=True)
    return places


def _set_kernel(places: dict[str, Path]) -> None:
    settings = {
        # By default the kernel sends an error once a second: let it send every one.
        "node": {"ipv4/icmp_ratemask": "0", "ipv6/icmp/ratelimit": "0"},
        # Root may ping from an ordinary socket, as it may in a container.
        "outside": {"ipv4/ping_group_range": "0 0"},
    }
    for place, values in settings.items():
        for name, value in values.items():
            run_in(places[place], Path("/proc/sys/net", name).write_text, value)


@contextlib.contextmanager
def _engine(node: Path) -> Iterator[docker.DockerClient]:
    """Run a Docker engine on the node, which also listens where none ever should."""
    # A short path: containerd's sockets lie below it, and theirs are limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="ecs-test-"))
    url = f"unix://{directory / 'docker.sock'}"
    options = (
        f"--host={url}",
        f"--host=tcp://[::]:{DAEMON_PORT}",
        "--tls=false",
        f"--bip={BRIDGE}/16",
        "--ipv6",
        f"--fixed-cidr-v6={BRIDGE6}/64",
        f"--data-root={directory / 'data'}",
        f"--exec-root={directory / 'exec'}",
        f"--pidfile={directory / 'dockerd.pid'}",
    )
    # Not `ip netns exec`, which hides the control groups.
    enter = ("nsenter", f"--net={node}", "unshare", "--mount", "--uts")
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*enter, "bash", "-euc", START_SCRIPT, "dockerd", *options],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until((directory / "docker.sock").exists, START_TIMEOUT_SECONDS)
        client = docker.DockerClient(url, version="auto", timeout=START_TIMEOUT_SECONDS)
        with contextlib.closing(client):
            yield client
    except (DockerException, AssertionError):
        print(log.read_text()[-4000:])
        raise
    finally:
        stop_dockerd(process, directory)
        shutil.rmtree(directory)


def _start(client: docker.DockerClient, **options: Any) -> tuple[Container, Path]:
    """Run a container that only waits; return it and its network namespace."""
    container = client.containers.run(BUSYBOX, ["sleep", "3600"], detach=True, **options)
    container.reload()
    return container, Path(f"/proc/{container.attrs['State']['Pid']}/ns/net")


@contextlib.contextmanager
def _listeners(places: dict[str, Path]) -> Iterator[Listeners]:
    with Listeners() as listeners:
        for name, protocol, ports in LISTENERS:
            for port in ports:
                listeners.listen(places[name], name, port, protocol)
        for name, interface in (("node", "docker0"), ("other", "eth0")):
            listeners.listen_to_group(places[name], name, GROUP_PORT, GROUP, interface)
        yield listeners
