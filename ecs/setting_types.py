"""The types of settings: what each takes from a text, and its bounds."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError

DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
MIN_MEMORY_BYTES = 6 * 1024 * 1024
"""The engine takes no smaller limit."""
MAX_BYTES = 2**50
_MAX_WARM_CONTAINERS = 256
"""Those that are named, together: each one is deleted at a stop, or at the next start."""
DAY_SECONDS = 86_400.0
NO_HOME_DIRECTORY = "no_home_directory"
"""The type of the validation error of a folder whose ``~`` stands for nothing."""
_WARM_COUNT = re.compile(r"[1-9][0-9]{0,2}")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
# A token as RFC 9110 has it, and a value without control characters.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[\x20-\x7e]*")
# The names of Docker Hub that image references are rid of, so that a list of them matches.
_DOCKER_HUB_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io"})


def _split(value: object) -> object:
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def _registry(value: object) -> object:
    if not isinstance(value, str) or not _HOST_PORT.fullmatch(value):
        raise ValueError(f"{value!r} is not host or host:port")
    registry = value.lower()
    return "docker.io" if registry in _DOCKER_HUB_ALIASES else registry


def _warm_image(value: object) -> object:
    image, equals, count = value.rpartition("=") if isinstance(value, str) else ("", "", "")
    if not (image and equals and _WARM_COUNT.fullmatch(count)):
        raise ValueError(f"{value!r} is not image=count")
    return image.strip(), int(count)


def _within_warm_bound(images: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    if sum(count for _, count in images) > _MAX_WARM_CONTAINERS:
        raise ValueError("too many containers")
    return images


def _set_when_not_empty(value: object) -> object:
    # The docker command takes any DOCKER_TLS_VERIFY but an empty one for yes.
    if isinstance(value, str):
        return value.lower() not in ("", "0", "false", "no", "off")
    return value


def _default_when_empty(value: object) -> object:
    return value or DEFAULT_DOCKER_HOST


def _none_when_empty(value: object) -> object:
    return None if value == "" else value


def _expanded(folder: Path) -> Path:
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise PydanticCustomError(
            NO_HOME_DIRECTORY, "there is no home directory that ~ could stand for"
        ) from error


def _otlp_endpoint(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query):
        raise ValueError("is not a base URL")
    return url.rstrip("/")


def _otlp_headers(secret: SecretStr) -> SecretStr:
    for header in header_list(secret):
        if not _HEADER.fullmatch(header):
            raise ValueError("is not name=value")
    return secret


def header_list(secret: SecretStr) -> list[str]:
    """Return the ``name=value`` of what is written comma-separated."""
    return [header.strip() for header in secret.get_secret_value().split(",") if header.strip()]


Networks = Annotated[
    tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], BeforeValidator(_split)
]
Registries = Annotated[
    tuple[Annotated[str, BeforeValidator(_registry)], ...], BeforeValidator(_split)
]
WarmImage = Annotated[tuple[str, int], BeforeValidator(_warm_image)]
WarmImages = Annotated[
    tuple[WarmImage, ...], BeforeValidator(_split), AfterValidator(_within_warm_bound)
]
Folder = Annotated[Path, AfterValidator(_expanded)]
OptionalFolder = Annotated[Folder | None, BeforeValidator(_none_when_empty)]
Seconds = Annotated[float, Ge(0.1), Le(DAY_SECONDS)]
Count = Annotated[int, Ge(1), Le(1_000_000)]
AutomaticCount = Annotated[int, Ge(0), Le(100_000)]
Bytes = Annotated[int, Ge(0), Le(MAX_BYTES)]
MemoryLimit = Annotated[int, Ge(MIN_MEMORY_BYTES), Le(MAX_BYTES)]
Cpus = Annotated[float, Ge(0.01), Le(1024)]
DockerHost = Annotated[str, BeforeValidator(_default_when_empty)]
SetWhenNotEmpty = Annotated[bool, BeforeValidator(_set_when_not_empty)]
OtlpEndpoint = Annotated[str, AfterValidator(_otlp_endpoint)]
OtlpHeaders = Annotated[SecretStr, AfterValidator(_otlp_headers)]
