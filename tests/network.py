"""Where on this machine the servers that tests start can be reached."""

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def bridge_gateway(ipam: Mapping[str, Any]) -> str:
    """Return this machine's address on an engine's bridge, from the network's ``IPAM``.

    Docker 20.10 names no gateway of a default bridge that it made itself, until it is restarted;
    the address is then the first of the subnet.
    """
    config = ipam["Config"][0]
    first = next(ipaddress.ip_network(config["Subnet"]).hosts())
    return str(config.get("Gateway") or first)
