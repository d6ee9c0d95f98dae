"""The host firewall: a task reaches public addresses, and nothing that lies between it and them.

Renders files for nftables or for iptables; loads nothing, and knows no deployment file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_network,
)
from pathlib import Path
from typing import Literal, NamedTuple

import jinja2

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Version = Literal[4, 6]

KERNEL_MODULE = "br_netfilter"
"""Shows the firewall what passes between two tasks on one bridge: nothing else does."""

KERNEL_SETTINGS = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
"""Must be 1, as they are once the module is loaded. Whatever the names say: for nftables too."""

# IFNAMSIZ allows 15 bytes; what is left out here would be syntax in one of the files.
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}|[A-Za-z0-9_.-]{1,14}\*")
_MAX_PORT = 65535


@dataclass(frozen=True)
class Destination:
    """Where tasks may go although it is private: every host of the network.

    ``ports`` are TCP ports; without any, everything is allowed.
    """

    network: Network
    ports: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_ports("allowed_destinations", self.ports)


@dataclass(frozen=True)
class Firewall:
    """The parameters; an interface may end with ``*`` for all that begin so.

    Raises:
        ValueError: a value cannot stand in a firewall file.
    """

    task_bridges: tuple[str, ...] = ("docker0",)
    """Bridges that tasks are on. Every container there counts as one."""
    service_bridges: tuple[str, ...] = ("br-*",)
    """Bridges of the front door, the service and the like: closed to tasks, open to the host."""
    dns_servers: tuple[Address, ...] = ()
    """What tasks may ask on port 53 alone: the engine hands the host's resolvers on to them."""
    allowed_destinations: tuple[Destination, ...] = ()
    """A registry or package mirror within. Never opens the host, services or metadata."""
    denied_networks: tuple[Network, ...] = ()
    """Own networks with public addresses, as an IPv6 subnet of a cloud is."""
    open_tcp_ports: tuple[int, ...] = (22, 80, 443)
    """Ports of the host that everybody but a task may reach."""

    def __post_init__(self) -> None:
        if not self.task_bridges:
            raise ValueError("task_bridges: name the bridge that tasks are on, such as docker0")
        for field in ("task_bridges", "service_bridges"):
            for name in getattr(self, field):
                if not _INTERFACE.fullmatch(name):
                    raise ValueError(
                        f"{field}: {name!r} is no name of an interface: at most 15 letters, "
                        "digits, '_', '.' and '-', and '*' only at the end"
                    )
        _check_ports("open_tcp_ports", self.open_tcp_ports)


class Ranges(NamedTuple):
    """Addresses that tasks do not reach, for one reason."""

    name: str
    why: str
    networks: tuple[Network, ...]

    def of(self, version: Version) -> list[Network]:
        """The networks of one IP version, without those that another contains."""
        if version == 4:  # noqa: PLR2004 # IPv4 explains itself
            return list(collapse_addresses(n for n in self.networks if isinstance(n, IPv4Network)))
        return list(collapse_addresses(n for n in self.networks if isinstance(n, IPv6Network)))


def _ranges(name: str, why: str, networks: str) -> Ranges:
    return Ranges(name, why, tuple(ip_network(network) for network in networks.split()))


METADATA = _ranges(
    "metadata",
    "Credentials lie there: link-local in most clouds, and beside it what Alibaba, Azure, Oracle, "
    "Amazon, Google, Scaleway and Akamai use.",
    "169.254.0.0/16 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32 fd00:ec2::/32 "
    "fd20:ce::254/128 fd00:100::100:200/128 fd00:c1::a9fe:a9fe/128 fd00:42::42/128 "
    "fd00:a9fe:a9fe::1/128",
)
PRIVATE = _ranges(
    "private",
    "Other machines of the operator: RFC 1918, shared address space (overlay networks use it too), "
    "unique and site local.",
    "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7 fec0::/10",
)
# What the kernel forwards for no task needs no rule: loopback, link-local IPv6, multicast, and
# IPv4-mapped addresses, which leave a task as IPv4.
SPECIAL = _ranges(
    "special",
    "What else IANA's special-purpose registries do not call globally reachable; reserved; 6to4 "
    "and Teredo, which wrap other addresses. No public service is there, and a network that "
    "borrows such numbers is a private one.",
    "0.0.0.0/8 192.0.0.0/24 192.0.2.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 "
    "::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 "
    "5f00::/16",
)


def _translated(*groups: Ranges) -> Ranges:
    """All these IPv4 ranges as a NAT64 gateway reaches them (RFC 6052's well-known prefix)."""
    prefix = IPv6Network("64:ff9b::/96")
    return Ranges(
        "translated",
        "The same IPv4 addresses behind a NAT64 gateway, which leaves public ones reachable.",
        tuple(
            IPv6Network((int(prefix[0]) + int(network[0]), prefix.prefixlen + network.prefixlen))
            for group in groups
            for network in group.of(4)
        ),
    )


TRANSLATED = _translated(METADATA, PRIVATE, SPECIAL)


class IptablesFiles(NamedTuple):
    """Files that must lie in one directory under these names, ``load`` being executable."""

    rules_v4: str
    """``iptables.rules``, for ``iptables-restore --noflush``: chains that nothing jumps to yet."""
    rules_v6: str
    """``ip6tables.rules``."""
    load: str
    """``load``: loads both and makes INPUT and DOCKER-USER jump there; may be run again."""


def nftables_file(firewall: Firewall) -> str:
    """Return a file for ``nft -f``; loading it again replaces table ``inet ecs`` in one step."""
    return _template("firewall.nft.j2").render(**_context(firewall))


def iptables_files(firewall: Firewall) -> IptablesFiles:
    """Return the same firewall for iptables, with chains whose names begin with ``ECS-``."""
    template = _template("firewall.iptables.j2")
    context = _context(firewall)
    return IptablesFiles(
        rules_v4=template.render(version=4, **context),
        rules_v6=template.render(version=6, **context),
        load=(_DIRECTORY / "load-iptables.sh").read_text(),
    )


_DIRECTORY = Path(__file__).parent


def _template(name: str) -> jinja2.Template:
    # Nothing is HTML here; every value was checked or is a number.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_DIRECTORY),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _context(firewall: Firewall) -> dict[str, object]:
    denied = Ranges(
        "denied", "Own networks with public addresses, as listed.", firewall.denied_networks
    )
    return {
        "firewall": firewall,
        "metadata": METADATA,
        "unreachable": (denied, PRIVATE, SPECIAL, TRANSLATED),
        "dns_servers": sorted(set(firewall.dns_servers), key=lambda a: (a.version, a)),
    }


def _check_ports(field: str, ports: Sequence[int]) -> None:
    for port in ports:
        if not 0 < port <= _MAX_PORT:
            raise ValueError(f"{field}: {port} is no port: from 1 to {_MAX_PORT}")
