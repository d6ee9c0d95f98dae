"""Reads and checks the files that a deployment file names: certificate, keys, headers.

No fault repeats what is in one of them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ecs.ecsctl.provisioning.certificates import (
    Certificate,
    CertificateError,
    KeyFileError,
    OtherNameError,
)
from ecs.ecsctl.provisioning.faults import Fault

_MAX_BYTES = 1024 * 1024
_KEY_LINE = re.compile(
    r"[^:\s#][^:\s]*:(\$(5|6|apr1|2[aby])\$[A-Za-z0-9./$=]+|\{S?SHA\}[A-Za-z0-9+/=]+)(:[^\r]*)?"
)
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+=[!-+\--~]+"
_HEADERS = re.compile(rf"{_HEADER}(,{_HEADER})*")


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
                    f"= {name!r} has no key:hash[:comment] in line {number}, the hash being "
                    "SHA-crypt, apr1, bcrypt or SSHA; `ecsctl creds make` makes keys",
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
        self, pointer: str, certificate: str, key: str, domains: Mapping[str, str]
    ) -> tuple[str, str]:
        """Return certificate and key, which must serve each domain; those come by pointer."""
        before = len(self.faults)
        texts = self.read(f"{pointer}/certificate", certificate), self.read(f"{pointer}/key", key)
        if len(self.faults) > before:
            return texts
        try:
            served = Certificate(self._path(certificate), self._path(key))
            for at, domain in domains.items():
                try:
                    served.check(domain)
                except OtherNameError:
                    self._fault(at, f"= {domain!r} is not among the names of {certificate!r}")
        except CertificateError as error:
            self._fault(f"{pointer}/certificate", f"= {certificate!r} {error}")
        except KeyFileError as error:
            self._fault(f"{pointer}/key", f"= {key!r} {error}")
        return texts

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _fault(self, pointer: str, detail: str) -> None:
        self.faults.append(Fault(pointer, detail))
