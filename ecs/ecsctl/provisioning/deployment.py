"""A deployment file, checked: what the operator wants, with the files named in it read.

Knows the schema; what a node looks like, only ``model`` knows.
"""

import functools
import ipaddress
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
from jsonschema import Draft202012Validator, FormatChecker
from pydantic_core import ErrorDetails

from ecs.docker_remote_api.image_reference import ImageReference
from ecs.ecsctl.provisioning import yaml_lines
from ecs.ecsctl.provisioning.faults import (
    DeploymentError,
    Fault,
    LocatedFault,
    located,
    not_allowed,
    schema_faults,
)
from ecs.ecsctl.provisioning.firewall import Destination, Firewall
from ecs.ecsctl.provisioning.named_files import NamedFiles
from ecs.settings import Settings
from ecs.settings_help import allowed_text

_ANSWER_SLACK_SECONDS = 240
"""What nginx waits beyond queue, pull and run: starting, stopping, sending the answer."""
_DEFAULT_MAX_BODY_BYTES = 5120
_WARM_COUNT = re.compile(r"[1-9][0-9]{0,2}")
_SUBNET_PREFIXES = range(16, 30)
"""A /29 has room for the two containers and the bridge."""


@dataclass(frozen=True)
class Resources:
    """Limits of one container."""

    memory_bytes: int
    cpus: float
    pids: int


@dataclass(frozen=True)
class Secrets:
    """The texts of the files that the deployment file names."""

    certificate: str
    key: str
    keys: str
    otlp_headers: str


@dataclass(frozen=True)
class Deployment:
    """One deployment file; every value fits the schema and each other."""

    document: Mapping[str, Any]
    """The file with the schema's defaults filled in."""
    settings: Settings
    """The service's settings as ``limits`` makes them."""
    answer_timeout_seconds: int
    secrets: Secrets
    firewall: Firewall

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return int(self.document["nodes"]["count"])

    @property
    def domains(self) -> tuple[str, str]:
        """The API's host name and its documentation's."""
        return _domains(self.document)

    def network(self, name: str) -> ipaddress.IPv4Network:
        """Return the subnet ``front`` or ``docs``."""
        return ipaddress.IPv4Network(self.document["networks"][name])

    def resources(self, container: str) -> Resources:
        """Return the limits of ``services``, ``nginx`` or ``apidocs``."""
        return Resources(**self.document["resources"][container])


def load(path: Path) -> Deployment:
    """Return the checked deployment file.

    Raises:
        DeploymentError: everything that is wrong with it.
    """
    name = str(path)
    try:
        document, lines = yaml_lines.read(path.read_text(encoding="utf-8"))
    except OSError as error:
        told = f"cannot be read: {error.strerror}"
        raise DeploymentError([LocatedFault(name, None, None, told)]) from error
    except UnicodeDecodeError as error:
        raise DeploymentError([LocatedFault(name, None, None, "is not UTF-8 text")]) from error
    except yaml_lines.YamlError as error:
        raise DeploymentError([LocatedFault(name, error.line, None, str(error))]) from error
    deployment, faults = _checked(document, path.parent)
    if deployment is None:
        raise DeploymentError([located(fault, lines, name) for fault in faults])
    return deployment


@functools.cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a deployment file."""
    file = resources.files(__package__).joinpath("deployment.schema.json")
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _checked(document: Any, directory: Path) -> tuple[Deployment | None, list[Fault]]:
    validator = Draft202012Validator(schema(), format_checker=_FORMATS)
    faults = schema_faults(validator, document)
    if faults:
        return None, faults
    filled = _filled(schema(), document)
    files = NamedFiles(directory)
    secrets = _secrets(filled, files)
    settings, faults = _settings(filled["limits"])
    faults += [*_contradictions(filled), *files.faults]
    if settings is None:
        return None, faults
    answer_timeout_seconds = _answer_timeout(filled, settings)
    faults += _contradictions_with(settings, filled, answer_timeout_seconds)
    if faults:
        return None, faults
    return Deployment(filled, settings, answer_timeout_seconds, secrets, _firewall(filled)), []


def _filled(rules: Any, value: Any) -> Any:
    """Return the value with the schema's defaults where it says nothing."""
    if "$ref" in rules:
        rules = schema()["$defs"][rules["$ref"].rpartition("/")[2]] | rules
    if rules.get("type") == "array":
        return [_filled(rules["items"], item) for item in value]
    if rules.get("type") != "object":
        return value
    filled = {}
    for name, inner in rules["properties"].items():
        if name in value:
            filled[name] = _filled(inner, value[name])
        elif "default" in inner:
            filled[name] = inner["default"]
        elif inner.get("type") == "object" and "required" not in inner:
            filled[name] = _filled(inner, {})
    return filled


def _settings(limits: Mapping[str, Any]) -> tuple[Settings | None, list[Fault]]:
    try:
        return Settings.model_validate(dict(limits)), []
    except pydantic.ValidationError as error:
        return None, [_setting_fault(found) for found in error.errors()]


def _setting_fault(found: ErrorDetails) -> Fault:
    """Return what the schema cannot see, which has the bounds of each setting."""
    if found["loc"]:  # the counts of warm_images together
        name = str(found["loc"][0])
        return Fault(f"/limits/{name}", f"is not allowed: it takes {allowed_text(name)}")
    # Two that contradict each other; the settings' own words begin with the name of one.
    name, _, detail = found["msg"].removeprefix("Value error, ").partition(" ")
    return Fault(f"/limits/{name}", detail)


def _answer_timeout(document: Mapping[str, Any], settings: Settings) -> int:
    given = document["front_door"].get("answer_timeout_seconds")
    return int(given or _longest_answer(settings) + _ANSWER_SLACK_SECONDS)


def _longest_answer(settings: Settings) -> int:
    return math.ceil(
        settings.queue_timeout_seconds
        + settings.pull_timeout_seconds
        + settings.max_timeout_seconds
    )


def _contradictions(document: Mapping[str, Any]) -> list[Fault]:
    """Return what the schema cannot see: values that do not go together."""
    faults = []
    api, docs = _domains(document)
    if api == docs:
        faults.append(Fault("/domains/docs", not_allowed(docs, "another host name than api's")))
    ports = document["ports"]
    if ports["http"] == ports["https"]:
        faults.append(Fault("/ports/http", not_allowed(ports["http"], "another port than https's")))
    front, back = (ipaddress.IPv4Network(document["networks"][name]) for name in ("front", "docs"))
    if front.overlaps(back):
        faults.append(Fault("/networks/docs", not_allowed(str(back), f"a network beside {front}")))
    return faults


def _contradictions_with(
    settings: Settings, document: Mapping[str, Any], answer_timeout_seconds: int
) -> list[Fault]:
    """Return where the front door and the service do not go together."""
    faults = []
    longest = _longest_answer(settings)
    if answer_timeout_seconds < longest:
        takes = f"at least queue, pull and run limits together, {longest}"
        faults.append(
            Fault("/front_door/answer_timeout_seconds", not_allowed(answer_timeout_seconds, takes))
        )
    body = document["front_door"].get("max_body_bytes", _DEFAULT_MAX_BODY_BYTES)
    if body > settings.max_request_bytes:
        takes = f"at most the service's limits/max_request_bytes, {settings.max_request_bytes}"
        faults.append(Fault("/front_door/max_body_bytes", not_allowed(body, takes)))
    return faults


def _domains(document: Mapping[str, Any]) -> tuple[str, str]:
    api = str(document["domains"]["api"])
    return api, str(document["domains"].get("docs") or f"docs.{api}")


def _secrets(document: Mapping[str, Any], files: NamedFiles) -> Secrets:
    api, docs = _domains(document)
    certificate, key = files.read_certificate(
        "/tls",
        document["tls"]["certificate"],
        document["tls"]["key"],
        {"/domains/api": api, "/domains/docs": docs},
    )
    keys = files.read_keys("/keys_file", document["keys_file"])
    headers_file = document.get("telemetry", {}).get("otlp_headers_file")
    headers = (
        files.read_headers("/telemetry/otlp_headers_file", headers_file) if headers_file else ""
    )
    return Secrets(certificate, key, keys, headers)


def _firewall(document: Mapping[str, Any]) -> Firewall:
    wanted = document["firewall"]
    ports = document["ports"]
    return Firewall(
        dns_servers=tuple(map(ipaddress.ip_address, wanted["dns_servers"])),
        allowed_destinations=tuple(
            Destination(ipaddress.ip_network(entry["network"]), tuple(entry["ports"]))
            for entry in wanted["allowed_destinations"]
        ),
        denied_networks=tuple(map(ipaddress.ip_network, wanted["denied_networks"])),
        open_tcp_ports=tuple(sorted({*wanted["open_tcp_ports"], ports["http"], ports["https"]})),
    )


def _is_subnet(text: str) -> bool:
    return ipaddress.IPv4Network(text).prefixlen in _SUBNET_PREFIXES


def _is_warm_image(text: str) -> bool:
    image, _, count = text.rpartition("=")
    ImageReference.parse(image)
    return bool(_WARM_COUNT.fullmatch(count))


def _is_file(text: str) -> bool:
    return not text.endswith("/")


_CHECKS: dict[str, Callable[[str], object]] = {
    "image": ImageReference.parse,
    "warm_image": _is_warm_image,
    "address": ipaddress.ip_address,
    "network": ipaddress.ip_network,
    "subnet": _is_subnet,
    "file": _is_file,
}


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, check in _CHECKS.items():

        def passes(value: object, check: Callable[[str], object] = check) -> bool:
            return not isinstance(value, str) or check(value) is not False

        checker.checks(name, raises=ValueError)(passes)
    return checker


_FORMATS = _formats()
