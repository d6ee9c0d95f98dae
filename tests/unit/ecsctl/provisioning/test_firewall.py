import re
import subprocess
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.ecsctl.provisioning.firewall import (
    METADATA,
    PRIVATE,
    SPECIAL,
    TRANSLATED,
    Destination,
    Firewall,
    iptables_files,
    nftables_file,
)

FULL = Firewall(
    task_bridges=("docker0", "tasks-*"),
    service_bridges=("br-*", "lan.7"),
    dns_servers=(ip_address("10.0.0.53"), ip_address("fd00::53"), ip_address("10.0.0.53")),
    allowed_destinations=(
        Destination(ip_network("10.1.0.0/16"), (443, 5000, 443)),
        Destination(ip_network("10.2.0.7/32")),
        Destination(ip_network("fd00:1::/32"), (443,)),
        Destination(ip_network("fd00:2::/32")),
    ),
    denied_networks=(
        ip_network("8.8.0.0/16"),
        ip_network("8.8.8.0/24"),  # lies in the one before: nftables takes no overlaps
        ip_network("2600:1::/48"),
    ),
    open_tcp_ports=(22, 443, 22),
)
EMPTY = Firewall(service_bridges=(), open_tcp_ports=())
FIREWALLS = pytest.mark.parametrize("firewall", [Firewall(), FULL, EMPTY], ids=str)


def accepted(*command: str, stdin: str) -> None:
    """Fail with the program's own words unless it takes this; changes nothing on this machine."""
    apart = ["unshare", "--map-root-user", "--net", *command]
    result = subprocess.run(apart, input=stdin, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def is_unreachable(address: IPv4Address | IPv6Address) -> bool:
    return any(
        address in network
        for ranges in (METADATA, PRIVATE, SPECIAL, TRANSLATED)
        for network in ranges.networks
    )


def is_never_forwarded(address: IPv4Address | IPv6Address) -> bool:
    if address.version == 4:
        return address.is_loopback or address.is_multicast
    return address.is_link_local or address.is_multicast or address.ipv4_mapped is not None


@FIREWALLS
def test_nft_takes_the_file(firewall: Firewall) -> None:
    accepted("nft", "--check", "--file", "-", stdin=nftables_file(firewall))


@FIREWALLS
def test_iptables_takes_the_files(firewall: Firewall) -> None:
    files = iptables_files(firewall)
    accepted("iptables-restore", "--test", "--noflush", stdin=files.rules_v4)
    accepted("ip6tables-restore", "--test", "--noflush", stdin=files.rules_v6)


@FIREWALLS
def test_both_have_the_same_rules(firewall: Firewall) -> None:
    files = iptables_files(firewall)
    names = re.compile(r'comment "([^"]+)"')
    assert set(names.findall(nftables_file(firewall))) == set(
        names.findall(files.rules_v4 + files.rules_v6)
    )


@FIREWALLS
def test_comments_have_at_most_a_hundred_columns(firewall: Firewall) -> None:
    files = (nftables_file(firewall), *iptables_files(firewall))
    comments = [line for text in files for line in text.splitlines() if line.lstrip()[:1] == "#"]
    assert max(map(len, comments)) <= 100


@given(st.ip_addresses())
def test_tasks_do_not_reach_what_is_not_globally_reachable(
    address: IPv4Address | IPv6Address,
) -> None:
    assert address.is_global or is_never_forwarded(address) or is_unreachable(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
        *("172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255"),
        *("168.63.129.15", "2606:4700::1111", "2003::1", "2a00::1", "64:ff9b::808:808"),
    ],
)
def test_tasks_reach_public_addresses(address: str) -> None:
    assert not is_unreachable(ip_address(address))


@given(st.ip_addresses(v=4))
def test_nat64_leads_to_no_other_ipv4_addresses(address: IPv4Address) -> None:
    translated = ip_address(f"64:ff9b::{address}")
    assert is_unreachable(translated) == is_unreachable(address)


@pytest.mark.parametrize("field", ["task_bridges", "service_bridges"])
@pytest.mark.parametrize(
    "name", ["", "*", "a b", 'a"', "a*b", "a;", "a\n", "sixteen-letters-", "é"]
)
def test_a_name_that_no_interface_has_is_refused(field: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: .* is no name of an interface"):
        Firewall(**{field: (name,)})


def test_a_firewall_for_no_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^task_bridges: name the bridge"):
        Firewall(task_bridges=())


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=f"^open_tcp_ports: {port} is no port"):
        Firewall(open_tcp_ports=(port,))
    with pytest.raises(ValueError, match=f"^allowed_destinations: {port} is no port"):
        Destination(IPv4Network("10.0.0.0/8"), (port,))
