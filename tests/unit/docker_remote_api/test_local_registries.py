"""Which registries are this host, or an address: they are refused unless the operator lists them.

A container's engine would be made to talk to its own network otherwise.
"""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.image_reference import ImageReference

LOCAL = [
    "localhost",
    "localhost.",
    "LocalHost",
    "a.localhost",
    "a.b.LOCALHOST.",
    "127.0.0.1",
    "127.0.0.1.",
    "10.1.2.3",
    "8.8.8.8",
    "0.0.0.0",
    "169.254.169.254",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[fd00::1]",
    "[2001:db8::1]",
    "127.1",  # the forms that inet_aton takes
    "127.0.1",
    "0",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "127.0.0.0x1",
    "1.2.3.4.5",
    "example.1",
    "example.0x1.",
    "example.0x",
    "registry",  # no public name is without a dot
    "ip6-localhost",
    "localhost.localdomain",
    "printer.local",
    "host.docker.internal",
    "metadata.google.internal",
    "nas.home.arpa",
]
PUBLIC = [
    "docker.io",
    "quay.io",
    "registry.example",
    "localhost.example",
    "127.0.0.1.example",
    "0x7f.example",
    "1.2.3.4.nip.io",
    "example.0xg",
    "example.1a",
    "example.a1",
]


def registry(host: str, port: str) -> ImageReference:
    return ImageReference(registry=host + port, repository="x", tag="1", digest=None)


@pytest.mark.parametrize("port", ["", ":5000"])
@pytest.mark.parametrize("host", LOCAL)
def test_an_address_and_a_name_of_this_host_are_local(host: str, port: str) -> None:
    assert registry(host, port).registry_is_local()


@pytest.mark.parametrize("port", ["", ":5000"])
@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_name_is_not_local(host: str, port: str) -> None:
    assert not registry(host, port).registry_is_local()


@pytest.mark.parametrize("host", ["localhost:5000", "127.1:80", "[::1]:5000", "0x7f.1", "1.2.3.4"])
def test_a_local_registry_is_known_as_one_once_it_is_parsed(host: str) -> None:
    assert ImageReference.parse(f"{host}/x:1").registry_is_local()


@given(address=st.ip_addresses(v=4))
def test_every_ipv4_address_is_local_however_it_is_written(
    address: ipaddress.IPv4Address,
) -> None:
    number, (a, b, c, d) = int(address), address.packed
    forms = [
        f"{number}",
        f"{number:#x}",
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        str(address),
    ]

    assert all(registry(form, ":5000").registry_is_local() for form in forms)


@given(address=st.ip_addresses(v=6))
def test_every_ipv6_address_is_local(address: ipaddress.IPv6Address) -> None:
    forms = [address.compressed, address.exploded, address.compressed.upper()]

    assert all(ImageReference.parse(f"[{form}]/x:1").registry_is_local() for form in forms)
