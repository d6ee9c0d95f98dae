"""Who can reach what listens on this machine? Reads the kernel's tables of TCP sockets."""

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecs.ecsctl.check.findings import Finding, failure, not_checked, ok, warning

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME = "open ports"
_TABLES = Path("/proc/net")
_LISTENING = "0A"
_ADDRESS_COLUMN, _STATE_COLUMN = 1, 3
_IPV4_DIGITS = 8
ENGINE_PORTS = (2375, 2376)


@dataclass(frozen=True, order=True)
class Listener:
    """A TCP port that takes connections, and the address that it takes them on."""

    port: int
    address: Address

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)  # noqa: PLR2004
        return f"{host}:{self.port}"


def check_ports(
    allowed: Sequence[int], service_port: int, *, tables: Path = _TABLES
) -> list[Finding]:
    """Look at every port that is open beyond loopback.

    ``tables`` is the directory of ``tcp`` and ``tcp6`` in the form of proc(5).
    """
    try:
        open_ports = sorted(listeners(tables), key=lambda one: (one.port, str(one.address)))
    except (OSError, ValueError, IndexError, struct.error) as error:
        return [not_checked(_NAME, f"{tables}/tcp was not understood: {error}", "see `ss -ltn`")]
    exposed = [one for one in open_ports if not _is_loopback(one.address)]
    return [
        _engine_finding([one for one in exposed if one.port in ENGINE_PORTS]),
        _service_finding([one for one in exposed if one.port == service_port], service_port),
        _other_finding(
            [one for one in exposed if one.port not in (*ENGINE_PORTS, service_port, *allowed)],
            allowed,
        ),
    ]


def listeners(tables: Path) -> Iterable[Listener]:
    """Yield the listening sockets of IPv4 and, where the kernel has it, IPv6."""
    for name in ("tcp", "tcp6"):
        path = tables / name
        if name == "tcp6" and not path.exists():
            continue
        for line in path.read_text(encoding="ascii").splitlines()[1:]:
            columns = line.split()
            if columns[_STATE_COLUMN] == _LISTENING:
                yield _listener(columns[_ADDRESS_COLUMN])


def _listener(text: str) -> Listener:
    address, _, port = text.partition(":")
    # 32-bit words as the processor has them: native numbers give back the network's order.
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(address) == _IPV4_DIGITS:
        return Listener(int(port, 16), ipaddress.IPv4Address(packed))
    return Listener(int(port, 16), ipaddress.IPv6Address(packed))


def _is_loopback(address: Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _engine_finding(exposed: list[Listener]) -> Finding:
    name = "engine port"
    if not exposed:
        return ok(name, f"no port of the engine's ({_listed(ENGINE_PORTS)}) is open")
    return failure(
        name,
        f"OPEN TO OTHERS: {_listed(exposed)}; whoever reaches the engine is root on this machine",
        'take -H tcp:// from the engine\'s start and "hosts" from its daemon.json',
    )


def _service_finding(exposed: list[Listener], port: int) -> Finding:
    name = "service port"
    if not exposed:
        return ok(name, f"port {port} is not open beyond loopback")
    return failure(
        name,
        f"OPEN TO OTHERS: {_listed(exposed)}; whoever reaches it runs containers without a key",
        "let the service listen on 127.0.0.1 (ECS_ADDRESS) behind nginx",
    )


def _other_finding(exposed: list[Listener], allowed: Sequence[int]) -> Finding:
    if not exposed:
        return ok(_NAME, f"nothing beyond {_listed(allowed) or 'loopback'} is open")
    return warning(
        _NAME,
        f"open beside {_listed(allowed) or 'none'}: {_listed(exposed)}",
        "close them, or name those that are meant with --allow-port",
    )


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))
