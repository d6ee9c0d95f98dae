"""Exit status 0 means that the service of this container answers /livez.

Not /readyz, which is also red while the engine is away or the service drains: an unhealthy
container is one that a restart helps, and a restart helps neither. The port is that of the socket
on which the service really listens, since a flag, a variable or a file may have chosen it.
"""

import contextlib
import http.client
import socket
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

TIMEOUT_SECONDS = 4  # below the image's own, so that the cause is told
LISTENING = "0A"  # TCP_LISTEN in the kernel's tables
FAMILIES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}


def sockets() -> set[str]:
    """Return the inodes, as ``socket:[1]``, of this user's sockets; the service is all it runs."""
    found = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # another user's, or closed meanwhile
            found.add(str(descriptor.readlink()))
    return found


def listeners() -> Iterator[tuple[str, int]]:
    """Yield the addresses and ports that these sockets listen on."""
    own = sockets()
    for table, family in FAMILIES.items():
        path = Path("/proc/net", table)
        rows = path.read_text(encoding="ascii").splitlines()[1:] if path.exists() else []
        for row in rows:
            _, local, _, state, _, _, _, _, _, inode, *_ = row.split()
            if state == LISTENING and f"socket:[{inode}]" in own:
                address, _, port = local.partition(":")
                yield socket.inet_ntop(family, network_order(address)), int(port, 16)


def network_order(address: str) -> bytes:
    """Return an address of the tables, 32-bit words in the machine's order, as bytes."""
    words = [bytes.fromhex(address[start : start + 8]) for start in range(0, len(address), 8)]
    return b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)


def main() -> str | None:
    """Return what is wrong, or None."""
    found = next(listeners(), None)
    if found is None:
        return "nothing listens"
    # To connect to 0.0.0.0 or :: means this machine.
    service = http.client.HTTPConnection(*found, timeout=TIMEOUT_SECONDS)
    try:
        service.request("GET", "/livez")
        status = service.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{found}: {error!r}"
    return None if status == HTTPStatus.OK else f"{found}: status {status}"


if __name__ == "__main__":
    sys.exit(main())
