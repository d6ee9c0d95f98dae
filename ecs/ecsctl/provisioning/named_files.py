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
# As the service takes them; what divides them cannot be in one.
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+=[ -+\--~]+"
_HEADERS = re.compile(rf"{_HEADER}(,{_HEADER})*")


class NamedFiles:
    """Files beside one deployment file; each fault is kept for its field."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.faults: list[Fault] = []

    def read_keys(self, pointer: str, name: str) -> str:
        """Return the file of keys, each line being one that nginx can check."""
        text = self._read(pointer, name)
        if text is None:
            return ""
        lines = text.removesuffix("\n").split("\n")
        entries = {n: line for n, line in enumerate(lines, 1) if line and not line.startswith("#")}
        for number, line in entries.items():
            if not _KEY_LINE.fullmatch(line):
                self._fault(
                    pointer,
                    f"= {name!r} has no key:hash[:comment] in line {number}, the hash being "
                    "SHA-crypt, apr1, bcrypt or SSHA; `ecsctl creds make` makes keys",
                )
                return ""
        if not entries:
            self._fault(pointer, f"= {name!r} has no key in it: `ecsctl creds make` makes one")
        return text

    def read_headers(self, pointer: str, name: str) -> str:
        """Return the one line of a file of headers."""
        text = self._read(pointer, name)
        if text is None:
            return ""
        if not _HEADERS.fullmatch(text.strip()):
            self._fault(pointer, f"= {name!r} must be one line of name=value,name=value")
        return text.strip()

    def read_certificate(
        self, pointer: str, certificate: str, key: str, domains: Mapping[str, str]
    ) -> tuple[str, str]:
        """Return certificate and key, which must serve each domain; those come by pointer."""
        texts = self._read(f"{pointer}/certificate", certificate), self._read(f"{pointer}/key", key)
        if texts[0] is None or texts[1] is None:
            return "", ""
        try:
            served = Certificate(self._directory / certificate, self._directory / key)
            for at, domain in domains.items():
                try:
                    served.check(domain)
                except OtherNameError:
                    self._fault(at, f"= {domain!r} is not among the names of {certificate!r}")
        except CertificateError as error:
            self._fault(f"{pointer}/certificate", f"= {certificate!r} {error}")
        except KeyFileError as error:
            self._fault(f"{pointer}/key", f"= {key!r} {error}")
        return texts[0], texts[1]

    def _read(self, pointer: str, name: str) -> str | None:
        """Return a file's text; ``None`` after a fault."""
        try:
            with (self._directory / name).open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            self._fault(pointer, f"= {name!r} cannot be read: {error.strerror}; name a file there")
            return None
        if len(content) > _MAX_BYTES:
            self._fault(pointer, f"= {name!r} is longer than {_MAX_BYTES} bytes; name another file")
            return None
        try:
            return content.decode()
        except UnicodeDecodeError:
            self._fault(pointer, f"= {name!r} holds no text; name another file")
            return None

    def _fault(self, pointer: str, detail: str) -> None:
        self.faults.append(Fault(pointer, detail))
