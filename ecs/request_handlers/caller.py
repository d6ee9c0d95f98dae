"""Who calls: the connection's own address, or what a trusted proxy says of its client."""

import functools
import ipaddress
from dataclasses import dataclass

from tornado.httputil import HTTPServerRequest

from ecs.settings import Settings

KEY_HEADER = "X-ECS-Key"


@dataclass(frozen=True)
class Caller:
    """One request's caller; ``protocol`` is the one the client spoke, ``http`` or ``https``."""

    address: str
    protocol: str
    key: str | None = None
    comes_through_proxy: bool = False

    @property
    def owner(self) -> str:
        """Whose tasks this caller's are: the key's, or where there is none the address's."""
        return f"key {self.key}" if self.key else f"address {self.address}"


def caller_of(request: HTTPServerRequest, settings: Settings) -> Caller:
    """Return who sent ``request``; the headers of a proxy count from ``trusted_proxies`` alone."""
    peer, address = _address(request.remote_ip or "")
    if not any(peer in network for network in settings.trusted_proxies):
        return Caller(address, request.protocol)
    headers = request.headers
    # The last one is the trusted proxy's own word; those before it may be the client's invention.
    forwarded_for = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    forwarded_protocol = headers.get("X-Forwarded-Proto", "")
    return Caller(
        forwarded_for if _is_address(forwarded_for) else address,
        forwarded_protocol if forwarded_protocol in ("http", "https") else request.protocol,
        headers.get(KEY_HEADER) or None,
        comes_through_proxy=True,
    )


# On every request's way, and mostly the proxy's: reading an address costs half of what it takes to
# tell who calls.
@functools.lru_cache(maxsize=1024)
def _address(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, str]:
    address = ipaddress.ip_address(text)
    return address, str(address)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
