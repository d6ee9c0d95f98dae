"""Who reaches whom: listeners that note what arrives, and probes from anywhere to anywhere.

Everything is a socket of this process, made in the network namespace it belongs to.
"""

import contextlib
import errno
import os
import secrets
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.network_namespaces import run_in

ANSWER_TIMEOUT_SECONDS = 5
# All of it is on this machine, a fraction of a millisecond away.
QUIET_SECONDS = 0.3
POLL_SECONDS = 0.05
BACKLOG = 128

TCP, UDP, ECHO = "tcp", "udp", "echo"
KINDS = {
    (TCP, socket.AF_INET): (socket.SOCK_STREAM,),
    (TCP, socket.AF_INET6): (socket.SOCK_STREAM,),
    (UDP, socket.AF_INET): (socket.SOCK_DGRAM,),
    (UDP, socket.AF_INET6): (socket.SOCK_DGRAM,),
    (ECHO, socket.AF_INET): (socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    (ECHO, socket.AF_INET6): (socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6),
}
# Type, code, and what the kernel fills in.
ECHO_REQUESTS = {socket.AF_INET: b"\x08" + bytes(7), socket.AF_INET6: b"\x80" + bytes(7)}
REACHED, REFUSED, SILENT = "reached", "refused", "silent"
# What the kernel makes of an ICMP error that says "administratively prohibited".
PROHIBITED = (errno.EHOSTUNREACH, errno.EACCES)


@dataclass(frozen=True)
class Probe:
    """A try to reach an address from one place, where another place has it."""

    source: str
    to: str
    address: str
    port: int
    protocol: str = TCP
    from_address: str = ""
    from_port: int = 0

    def __str__(self) -> str:
        return f"{self.source} to {self.to} at {self.address} {self.protocol} {self.port}"


class Listeners:
    """Listening sockets, which answer whoever connects, and note each datagram."""

    def __init__(self) -> None:
        self._datagrams: set[tuple[str, bytes]] = set()
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def listen(self, place: Path, name: str, port: int, protocol: str = TCP) -> socket.socket:
        """Listen on all the addresses that the place has, in both IP versions."""
        kind = socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM
        listener = run_in(place, socket.socket, socket.AF_INET6, kind)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", port))
        if protocol == TCP:
            listener.listen(BACKLOG)
        self._selector.register(listener, selectors.EVENT_READ, name)
        return listener

    def listen_to_group(
        self, place: Path, name: str, port: int, group: str, interface: str
    ) -> None:
        """Listen for datagrams, also to a multicast group on one of the place's interfaces."""
        listener = self.listen(place, name, port, UDP)
        index = run_in(place, socket.if_nametoindex, interface)
        membership = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index)
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def received(self, name: str, datagram: bytes) -> bool:
        """Tell whether the place of that name got the datagram."""
        return (name, datagram) in self._datagrams

    def _serve(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(POLL_SECONDS):
                if key.fileobj.type == socket.SOCK_STREAM:
                    with key.fileobj.accept()[0] as connection:
                        connection.sendall(key.data.encode())
                else:
                    self._datagrams.add((key.data, key.fileobj.recv(64)))


class Attempt:
    """A probe on its way."""

    def __init__(self, probe: Probe, place: Path) -> None:
        self.probe = probe
        self.datagram = secrets.token_bytes(8)
        self.socket = run_in(place, self._send)

    def _send(self) -> socket.socket:
        # With the index of the interface for link-local addresses, which is the namespace's own.
        family, *_, address = socket.getaddrinfo(self.probe.address, self.probe.port)[0]
        made = socket.socket(family, *KINDS[self.probe.protocol, family])
        made.setblocking(False)
        if self.probe.from_address:
            made.bind(socket.getaddrinfo(self.probe.from_address, self.probe.from_port)[0][4])
        error = made.connect_ex(address)
        assert error in {0, errno.EINPROGRESS}, f"{self.probe}: {os.strerror(error)}"
        if self.probe.protocol == UDP:
            made.send(self.datagram)
        elif self.probe.protocol == ECHO:
            made.send(ECHO_REQUESTS[family])
        return made

    @property
    def event(self) -> int:
        """What the selector is to wait for."""
        return selectors.EVENT_WRITE if self.probe.protocol == TCP else selectors.EVENT_READ

    def outcome(self) -> str:
        """Tell what the event was."""
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # A port that is closed shows that its host was reached, too.
        assert error in {0, errno.ECONNREFUSED, *PROHIBITED}, f"{self.probe}: {os.strerror(error)}"
        return REFUSED if error in PROHIBITED else REACHED


def outcomes(
    probes: Iterable[Probe],
    places: Mapping[str, Path],
    listeners: Listeners,
    *,
    expected: Set[Probe],
) -> dict[Probe, str]:
    """Make all the probes at once, and tell what became of each.

    ``REFUSED`` means that somebody on the way sent an error, ``SILENT`` that nothing had come back
    when all the ``expected`` ones had been answered and no more followed. A refused connection can
    be silent for a second: an error for the first packet comes while connect() holds the socket.
    """
    found: dict[Probe, str] = {}
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        attempts = [Attempt(probe, places[probe.source]) for probe in probes]
        for attempt in attempts:
            stack.enter_context(attempt.socket)
            selector.register(attempt.socket, attempt.event, attempt)
        now = time.monotonic()
        end, quiet_end = now + ANSWER_TIMEOUT_SECONDS, now + QUIET_SECONDS
        while now < end and (now < quiet_end or not expected <= found.keys()):
            before = len(found)
            for key, _ in selector.select(POLL_SECONDS):
                found[key.data.probe] = key.data.outcome()
                selector.unregister(key.fileobj)
            for attempt in attempts:
                if listeners.received(attempt.probe.to, attempt.datagram):
                    found[attempt.probe] = REACHED
            now = time.monotonic()
            if len(found) > before:
                quiet_end = now + QUIET_SECONDS
    return {attempt.probe: found.get(attempt.probe, SILENT) for attempt in attempts}
