"""Image references, as ``docker pull`` understands them, in canonical form.

Grammar: https://pkg.go.dev/github.com/distribution/reference
"""

import ipaddress
import re
from dataclasses import dataclass

DEFAULT_REGISTRY = "docker.io"
_OFFICIAL_NAMESPACE = "library/"
_DOCKER_HUB_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io"})
_MAX_NAME_LENGTH = 255
# RFC 6761, RFC 6762, RFC 8375, and what clouds and Docker call their own hosts.
_PRIVATE_SUFFIXES = (".localhost", ".localdomain", ".local", ".internal", ".home.arpa")

_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageReference:
    """``registry/repository`` with a tag or a digest; of both, the digest counts.

    ``str()`` is the canonical form (``docker.io/library/busybox:latest``), which the engine can
    never mistake for an image id.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        """Parse ``[registry/]name:tag`` or ``[registry/]name@sha256:…``.

        Raises:
            ValueError: a sentence that says what to change.
        """
        name, _, digest = text.partition("@")
        if "@" in text and not _DIGEST.fullmatch(digest):
            raise ValueError("the digest after '@' must be 'sha256:' and 64 lower-case hex digits")
        name, tag = _split_tag(name)
        if tag is not None and not _TAG.fullmatch(tag):
            raise ValueError(
                "the tag must be 1 to 128 letters, digits, '_', '.' or '-', "
                "and not begin with '.' or '-'"
            )
        if tag is None and not digest:
            raise ValueError("name a tag or a digest, such as 'busybox:latest'")
        registry, repository = _split_registry(name)
        if not _DOMAIN.fullmatch(registry):
            raise ValueError("the registry must be 'host' or 'host:port'")
        if not _REPOSITORY.fullmatch(repository):
            raise ValueError(
                "the image name must be lower-case letters and digits, "
                "separated by '.', '_', '-' or '/'"
            )
        if len(registry) + 1 + len(repository) > _MAX_NAME_LENGTH:
            raise ValueError(
                f"the image name must not be longer than {_MAX_NAME_LENGTH} characters"
            )
        # The engine looks a reference that has both up by its digest alone.
        return cls(registry, repository, None if digest else tag, digest or None)

    @property
    def name(self) -> str:
        """``registry/repository``, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    def registry_is_local(self) -> bool:
        """Tell whether the registry is an IP literal, or a name that no public registry has."""
        host = self.registry
        if not host.startswith("["):
            host = host.partition(":")[0]
        host = host.partition("]")[0].strip("[").rstrip(".").lower()
        if host.endswith(_PRIVATE_SUFFIXES) or not ("." in host or ":" in host):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            # Resolvers also take 127.1, 0x7f.1 and 2130706433; no public name ends in a number.
            return bool(re.fullmatch(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)", host.rpartition(".")[2]))
        return True


def _split_tag(name: str) -> tuple[str, str | None]:
    head, colon, tail = name.rpartition(":")
    if not colon or "/" in tail:
        return name, None
    return head, tail


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    names_registry = slash and ("." in first or ":" in first or first == "localhost")
    if not names_registry:
        registry, repository = DEFAULT_REGISTRY, name
    else:
        registry = first.lower()
        if registry in _DOCKER_HUB_ALIASES:
            registry = DEFAULT_REGISTRY
        repository = rest
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL_NAMESPACE + repository
    return registry, repository
