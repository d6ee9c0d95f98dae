"""What is said about a setting: its names, unit, default and what it takes."""

from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from ecs.plain_number import plain_number
from ecs.settings import Settings

# Docker's own variables keep their names, so that ECS finds the engine that `docker` finds.
_DOCKER_VARIABLES = frozenset({"docker_host", "docker_tls_verify", "docker_cert_path"})

_ALLOWED_TEXTS = {
    "trusted_proxies": "addresses or networks such as 10.0.0.0/8, separated by commas",
    "allowed_registries": "host or host:port, separated by commas",
    "otlp_endpoint": "http://host:port or https://host, without a query",
    "otlp_headers": "name=value, separated by commas",
    "warm_images": "image=count, separated by commas; the counts from 1 to 256 together",
    "runtime": "default, auto or the name of a runtime",
    "docker_host": "unix:///path or tcp://host:port",
    "docker_cert_path": "a directory",
    "state_directory": "a directory",
    "spool_directory": "a directory",
}


def environment_variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return name.upper() if name in _DOCKER_VARIABLES else f"ECS_{name.upper()}"


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return "--" + name.replace("_", "-")


def unit(name: str) -> str:
    """Return a setting's unit, which its name ends with if it has one."""
    for suffix in ("seconds", "bytes"):
        if name.endswith(f"_{suffix}"):
            return suffix
    return ""


def default_text(name: str) -> str:
    """Return a setting's default as one would write it."""
    default = Settings.model_fields[name].default
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return plain_number(default) if isinstance(default, float) else str(default)


def allowed_text(name: str) -> str:
    """Say what values a setting takes."""
    field = Settings.model_fields[name]
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return " or ".join(str(value) for value in get_args(annotation))
    if annotation in (int, float):
        return f"{'a whole number' if annotation is int else 'a number'}{_range_text(field)}"
    if annotation is bool:
        return "true or false"
    return _ALLOWED_TEXTS.get(name, "text")


def _range_text(field: FieldInfo) -> str:
    low = high = above = None
    for bound in field.metadata:
        if isinstance(bound, Ge):
            low = bound.ge
        elif isinstance(bound, Gt):
            above = bound.gt
        elif isinstance(bound, Le):
            high = bound.le
    start = f" above {above:g}" if above is not None else f" from {plain_number(low)}"
    return f"{start} to {plain_number(high)}"
