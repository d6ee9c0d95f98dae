"""Reads and checks the files that a deployment file names: certificate, keys, headers.

No fault repeats what is in one of them.
"""

import re
import ssl
from collections.abc import Sequence
from pathlib import Path

from ecs.ecsctl.provisioning.faults import Fault

_MAX_BYTES = 1024 * 1024
_KEY_LINE = re.compile(
    r"[^:\s#][^:\s]*:(\$(5|6|apr1|2[aby])\$[A-Za-z0-9./$=]+|\{S?SHA\}[A-Za-z0-9+/=]+)(:[^\r]*)?"
)
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+=[!-+\--~]+"
_HEADERS = re.compile(rf"{_HEADER}(,{_HEADER})*")
_NOT_YET, _EXPIRED, _OTHER_NAME = 9, 10, 62
"""OpenSSL's X509_V_ERR_ numbers."""


class NamedFiles:
    """Files beside one deployment file; each fault is kept for its field."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.faults: list[Fault] = []

    def read(self, pointer: str, name: str) -> str:
        """Return a file's text; empty after a fault."""
        try:
            with self._path(name).open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            self._fault(pointer, f"= {name!r} cannot be read: {error.strerror}; name a file there")
            return ""
        if len(content) > _MAX_BYTES:
            self._fault(pointer, f"= {name!r} is longer than {_MAX_BYTES} bytes; name another file")
            return ""
        try:
            return content.decode()
        except UnicodeDecodeError:
            self._fault(pointer, f"= {name!r} holds no text; name another file")
            return ""

    def read_keys(self, pointer: str, name: str) -> str:
        """Return the file of keys, each line being one that nginx can check."""
        text = self.read(pointer, name)
        keys = 0
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            if not line or line.startswith("#"):
                continue
            keys += 1
            if not _KEY_LINE.fullmatch(line):
                self._fault(
                    pointer,
                    f"= {name!r} has no key:hash[:comment] in line {number}; the hash is SHA-crypt, "
                    "apr1, bcrypt or SSHA: make keys with `ecsctl creds make`",
                )
                return ""
        if text and not keys:
            self._fault(pointer, f"= {name!r} has no key in it: `ecsctl creds make` makes one")
        return text

    def read_headers(self, pointer: str, name: str) -> str:
        """Return the one line of a file of headers."""
        text = self.read(pointer, name).strip()
        if text and not _HEADERS.fullmatch(text):
            self._fault(
                pointer, f"= {name!r} must be one line of name=value,name=value without spaces"
            )
        return text

    def read_certificate(
        self, pointer: str, certificate: str, key: str, domains: Sequence[tuple[str, str]]
    ) -> tuple[str, str]:
        """Return certificate and key after a TLS handshake for each (pointer, domain)."""
        before = len(self.faults)
        texts = self.read(f"{pointer}/certificate", certificate), self.read(f"{pointer}/key", key)
        if len(self.faults) > before:
            return texts
        server = self._server(pointer, certificate, key, texts)
        if server is not None:
            for at, domain in domains:
                self._shake_hands(pointer, certificate, server, texts[0], at, domain)
        return texts

    def _server(
        self, pointer: str, certificate: str, key: str, texts: tuple[str, str]
    ) -> ssl.SSLContext | None:
        at = f"{pointer}/certificate"
        if not _certificates(texts[0]):
            self._fault(at, f"= {certificate!r} holds no PEM certificate")
            return None
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # The callback keeps OpenSSL from asking the terminal for a passphrase.
            server.load_cert_chain(
                self._path(certificate), self._path(key), password=lambda: "no passphrase"
            )
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                self._fault(f"{pointer}/key", f"= {key!r} is not the key of {certificate!r}")
            elif "PRIVATE KEY" in texts[1]:
                told = f"= {key!r} with {certificate!r} is not usable: it takes a whole PEM key"
                self._fault(f"{pointer}/key", f"{told} without a passphrase, of the certificate")
            else:
                self._fault(f"{pointer}/key", f"= {key!r} holds no PEM private key")
            return None
        return server

    def _shake_hands(
        self, pointer: str, name: str, server: ssl.SSLContext, text: str, at: str, domain: str
    ) -> None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Who signed it is not asked: only that it is in force, and for this domain.
        client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(cadata=_certificates(text)[0])
        try:
            _handshake(server, client, domain)
        except ssl.SSLCertVerificationError as error:
            told = {
                _EXPIRED: (f"{pointer}/certificate", f"= {name!r} has expired; renew it"),
                _NOT_YET: (f"{pointer}/certificate", f"= {name!r} is not in force yet"),
                _OTHER_NAME: (at, f"= {domain!r} is not among the names of {name!r}"),
            }.get(error.verify_code)
            self._fault(*(told or (f"{pointer}/certificate", f"= {name!r}: {error.verify_message}")))

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _fault(self, pointer: str, detail: str) -> None:
        fault = Fault(pointer, detail)
        if fault not in self.faults:
            self.faults.append(fault)


def _certificates(text: str) -> list[str]:
    return re.findall(
        r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", text
    )


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, domain: str) -> None:
    """Let both sides speak TLS in memory until they agree, or one refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=domain),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
