"""Who reaches whom through the host firewall, and which of its rules decides that."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from ecs.ecsctl.provisioning.firewall import Destination, Firewall
from tests.firewall_lab import (
    ALLOWED_PORT,
    ANY_PORT,
    BRIDGE,
    BRIDGE6,
    DAEMON_PORT,
    DHCP_CLIENT_PORT,
    DHCPV6_CLIENT_PORT,
    DNS_PORT,
    GATEWAY,
    GATEWAY6,
    GROUP,
    GROUP_PORT,
    NODE,
    NODE6,
    NODE_LINK_LOCAL,
    OPEN_PORT,
    OTHER,
    OTHER6,
    OUTSIDE,
    OUTSIDE6,
    OUTSIDE_LINK_LOCAL,
    PUBLISHED_PORT,
    SERVICES,
    SERVICES6,
)
from tests.reachability import ECHO, TCP, UDP, Probe

PRIVATE_DNS, ALLOWED, ALLOWED6, DENIED = "10.9.0.53", "10.9.1.1", "fd00:a110::1", "22.0.0.7"
PRIVATE6 = "fd12::7"

FIREWALL = Firewall(
    service_bridges=("br-*",),
    dns_servers=(ip_address(PRIVATE_DNS), ip_address(BRIDGE)),
    allowed_destinations=(
        Destination(ip_network("10.9.1.0/24"), (ALLOWED_PORT,)),
        Destination(ip_network("fd00::/16")),
        # As the one before, each contains a metadata address, which stays closed.
        Destination(ip_network("fd20::/16")),
        Destination(ip_network("100.100.0.0/16")),
        Destination(ip_network("192.0.0.128/25")),
    ),
    denied_networks=(ip_network("22.0.0.0/24"),),
    open_tcp_ports=(OPEN_PORT,),
)

PRIVATE = (ALLOWED, "172.20.0.7", "192.168.7.7", "100.64.0.7", "fc00::7", PRIVATE6, "fec0::7")
METADATA = (
    *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
    *("fd00:ec2::254", "fd20:ce::254", "fd00:100::100:200", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
    "fd00:a9fe:a9fe::1",
)
SPECIAL = (
    *("192.0.0.8", "192.0.2.7", "198.18.0.7", "198.51.100.7", "203.0.113.7", "240.0.0.7"),
    *("::a00:7", "64:ff9b:1::7", "100::7", "100:0:0:1::7", "2001:2::7", "2001:db8::7"),
    *("2002:a00:7::7", "3fff::7", "5f00::7"),
)
ZERO = "0.1.2.3"  # No answer may come from there; but what comes from a task would get there.
TRANSLATED = (
    *("64:ff9b::1", "64:ff9b::a00:7", "64:ff9b::6440:7", "64:ff9b::a83f:8110", "64:ff9b::ac10:7"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::c000:7", "64:ff9b::c000:207", "64:ff9b::c0a8:7"),
    *("64:ff9b::c612:7", "64:ff9b::c633:6407", "64:ff9b::cb00:7107", "64:ff9b::f000:7"),
)
TRANSLATED_PUBLIC = "64:ff9b::808:808"


@dataclass(frozen=True)
class Case:
    """A probe, whether it arrives, and the rules that decide it: without one it is the reverse."""

    probe: Probe
    arrives: bool
    rules: frozenset[str]


def task_reaches(to: str, address: str, port: int, *rules: str, protocol: str = TCP) -> Case:
    return Case(Probe("task", to, address, port, protocol), True, frozenset(rules))


def task_does_not_reach(to: str, address: str, port: int, *rules: str, protocol: str = TCP) -> Case:
    return Case(Probe("task", to, address, port, protocol), False, frozenset(rules))


def open_to_all(probe: Probe, *rules: str) -> Case:
    return Case(probe, True, frozenset(rules))


CASES = [
    # Public addresses, and what the operator allows.
    task_reaches("outside", OUTSIDE, ANY_PORT),
    task_reaches("outside", OUTSIDE6, ANY_PORT, "neighbours"),
    task_reaches("outside", TRANSLATED_PUBLIC, ANY_PORT, "neighbours"),
    task_reaches("outside", PRIVATE_DNS, DNS_PORT, "dns"),
    task_reaches("outside", PRIVATE_DNS, DNS_PORT, "dns", protocol=UDP),
    task_reaches("node", BRIDGE, DNS_PORT, "dns", "tasks"),
    task_reaches("node", BRIDGE, DNS_PORT, "dns", "tasks", protocol=UDP),
    task_reaches("outside", ALLOWED, ALLOWED_PORT, "allowed"),
    task_reaches("outside", ALLOWED6, ANY_PORT, "allowed", "neighbours"),
    task_reaches("outside", "fd20::7", ANY_PORT, "allowed", "neighbours"),
    task_reaches("outside", "100.100.0.7", ANY_PORT, "allowed"),
    task_reaches("outside", "192.0.0.200", ANY_PORT, "allowed"),
    # Nothing of the host. What is closed to everybody stays so without the rules for tasks.
    *(
        task_does_not_reach("node", address, port, "host")
        for address in (BRIDGE, BRIDGE6, NODE, NODE6)
        for port in (ANY_PORT, DAEMON_PORT)
    ),
    task_does_not_reach("node", NODE, OPEN_PORT, "host", "tasks"),
    task_does_not_reach("node", NODE6, OPEN_PORT, "host", "tasks"),
    task_does_not_reach("node", BRIDGE, 0, "host", "tasks", protocol=ECHO),
    task_does_not_reach("node", BRIDGE6, 0, "host", "tasks", protocol=ECHO),
    task_does_not_reach("node", GROUP, GROUP_PORT, "host", protocol=UDP),
    task_does_not_reach("node", NODE, PUBLISHED_PORT, "host"),
    # Nobody beside it.
    *(
        task_does_not_reach("other", *to, "other tasks", "tasks", protocol=protocol)
        for *to, protocol in (
            (OTHER, ANY_PORT, TCP),
            (OTHER6, ANY_PORT, TCP),
            (OTHER, 0, ECHO),
            (OTHER6, 0, ECHO),
            (GROUP, GROUP_PORT, UDP),
        )
    ),
    task_does_not_reach("services", SERVICES, ANY_PORT, "services", "tasks"),
    task_does_not_reach("services", SERVICES6, ANY_PORT, "services", "tasks"),
    # Nothing further away that is not public.
    *(
        task_does_not_reach("outside", address, ANY_PORT, rule, "tasks")
        for rule, addresses in (
            ("metadata", METADATA),
            ("denied", (DENIED,)),
            ("private", PRIVATE),
            ("special", SPECIAL),
            ("translated", TRANSLATED),
        )
        for address in addresses
    ),
    task_does_not_reach("outside", ZERO, DNS_PORT, "special", "tasks", protocol=UDP),
    # The host towards everybody else.
    open_to_all(Probe("outside", "node", NODE, OPEN_PORT), "open ports"),
    open_to_all(Probe("outside", "node", NODE6, OPEN_PORT), "open ports"),
    open_to_all(Probe("outside", "node", NODE, 0, ECHO), "icmp"),
    open_to_all(Probe("outside", "node", NODE6, 0, ECHO), "icmp"),
    open_to_all(Probe("outside", "node", NODE, DHCP_CLIENT_PORT, UDP, OUTSIDE, 67), "dhcp"),
    open_to_all(
        Probe(
            *("outside", "node", f"{NODE_LINK_LOCAL}%eth0", DHCPV6_CLIENT_PORT, UDP),
            *(f"{OUTSIDE_LINK_LOCAL}%eth0", 547),
        ),
        "dhcp",
    ),
    open_to_all(Probe("services", "node", GATEWAY, ANY_PORT), "services"),
    open_to_all(Probe("services", "node", GATEWAY6, ANY_PORT), "services"),
    open_to_all(Probe("node", "node", "127.0.0.1", ANY_PORT), "loopback"),
    open_to_all(Probe("node", "node", "::1", ANY_PORT), "loopback"),
    *(
        Case(Probe("outside", "node", address, port), False, frozenset({"closed ports"}))
        for address in (NODE, NODE6)
        for port in (ANY_PORT, DAEMON_PORT)
    ),
    # Replies: to the host's own connections, and a container's to a client at a private address.
    open_to_all(Probe("node", "outside", OUTSIDE, ANY_PORT), "replies"),
    open_to_all(Probe("node", "outside", OUTSIDE6, ANY_PORT), "replies"),
    open_to_all(Probe("node", "other", OTHER, ANY_PORT), "replies"),
    open_to_all(Probe("node", "other", OTHER6, ANY_PORT), "replies", "neighbours"),
    open_to_all(Probe("outside", "other", NODE, PUBLISHED_PORT, TCP, ALLOWED), "replies"),
    open_to_all(
        Probe("outside", "other", OTHER6, ANY_PORT, TCP, PRIVATE6), "replies", "neighbours"
    ),
]
