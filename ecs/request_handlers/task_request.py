"""From the bytes of a body to a ``TaskRequest``, or to every reason why not."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from jsonschema import Draft202012Validator

from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.image_reference import DEFAULT_REGISTRY, ImageReference
from ecs.errors import FieldError, InvalidRequestError, RequestNotAllowedError
from ecs.jsonschemas import load_schema
from ecs.plain_number import plain_number
from ecs.request_handlers.schema_errors import field_errors, pointer
from ecs.tasks.container_spec import STRICT_USER
from ecs.tasks.model import Network, Profile, PullPolicy, Resources, TaskRequest

_MAX_PROGRAM_BYTES = 4096
"""Linux's PATH_MAX."""
_MAX_STRING_BYTES = 131_071
"""Linux's MAX_ARG_STRLEN, without the NUL."""
_VALIDATOR = Draft202012Validator(load_schema("task_request"))


@dataclass(frozen=True)
class RequestRules:
    """What the operator allows, and what fills the gaps of a request."""

    allowed_registries: tuple[str, ...]
    default_timeout_seconds: float
    max_timeout_seconds: float
    default_resources: Resources
    max_resources: Resources
    profile: Profile


def parse_task_request(body: bytes, rules: RequestRules) -> TaskRequest:
    """Return what ``body`` asks for.

    Raises:
        InvalidRequestError: with a JSON pointer to each bad field.
        RequestNotAllowedError: well-formed, but against the operator's policy.
    """
    try:
        document = _parse_json(body)
        errors = list(field_errors(_VALIDATOR, document))
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deep") from error
    if errors:
        raise InvalidRequestError("the body does not fit the schema of a task", tuple(errors))
    image = _image(document["docker_image"], errors)
    stdin = _stdin(document.get("stdin"), errors)
    resources = document.get("resources", {})
    profile = Profile(document.get("profile", rules.profile))
    errors += _over_maximum(document, rules)
    errors += _too_long_for_exec(document)
    if profile is Profile.STRICT:
        errors += _against_strict(document)
    if errors or image is None:
        raise InvalidRequestError("the body has values that cannot be used", tuple(errors))
    if rules.profile is Profile.STRICT and profile is not Profile.STRICT:
        raise _not_allowed("/profile", "this service runs tasks in the strict profile only")
    default = rules.default_resources
    creds = document.get("creds")
    return TaskRequest(
        image=image,
        cmd=tuple(document["cmd"]),
        entrypoint=tuple(document["entrypoint"]) if "entrypoint" in document else None,
        env=document.get("env", {}),
        workdir=document.get("workdir"),
        user=document.get("user"),
        stdin=stdin,
        timeout_seconds=float(document.get("timeout_seconds", rules.default_timeout_seconds)),
        resources=Resources(
            memory_bytes=int(resources.get("memory_bytes", default.memory_bytes)),
            cpus=float(resources.get("cpus", default.cpus)),
            pids=int(resources.get("pids", default.pids)),
        ),
        network=Network(document.get("network", Network.DEFAULT)),
        pull=_pull_policy(image, document.get("pull", PullPolicy.MISSING), rules),
        labels=document.get("labels", {}),
        profile=profile,
        credentials=RegistryCredentials(creds["username"], creds["password"]) if creds else None,
    )


def _parse_json(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"the body is not UTF-8: byte {error.start} is not") from error
    try:
        return json.loads(
            text, object_pairs_hook=_object_without_duplicates, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise InvalidRequestError(
            f"the body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:
        # Python refuses to convert a number of thousands of digits.
        raise InvalidRequestError("the body holds a number with too many digits") from error


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise InvalidRequestError(f"the body names {json.dumps(name)} twice in one object")
        document[name] = value
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequestError(f"the body holds {name}, which is not JSON")


def _image(text: str, errors: list[FieldError]) -> ImageReference | None:
    try:
        return ImageReference.parse(text)
    except ValueError as error:
        errors.append(FieldError("/docker_image", str(error)))
        return None


def _stdin(text: str | None, errors: list[FieldError]) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        errors.append(
            FieldError("/stdin", "must be base64 (RFC 4648, section 4) with padding, in one line")
        )
        return None


def _over_maximum(document: dict[str, Any], rules: RequestRules) -> list[FieldError]:
    resources = document.get("resources", {})
    maximum = rules.max_resources
    checks = [
        ("/timeout_seconds", document.get("timeout_seconds"), rules.max_timeout_seconds),
        ("/resources/memory_bytes", resources.get("memory_bytes"), maximum.memory_bytes),
        ("/resources/cpus", resources.get("cpus"), maximum.cpus),
        ("/resources/pids", resources.get("pids"), maximum.pids),
    ]
    return [
        FieldError(where, f"must be at most {plain_number(bound)}, the operator's maximum")
        for where, value, bound in checks
        if value is not None and value > bound
    ]


def _too_long_for_exec(document: dict[str, Any]) -> list[FieldError]:
    errors = []
    # The first is the program, unless the image's own entrypoint is: the engine's runtime hangs on
    # a path far over PATH_MAX.
    program = "entrypoint" if document.get("entrypoint") else "cmd"
    for name in ("cmd", "entrypoint"):
        for index, text in enumerate(document.get(name, ())):
            is_program = name == program and index == 0
            limit = _MAX_PROGRAM_BYTES if is_program else _MAX_STRING_BYTES
            if len(text.encode()) > limit:
                detail = f"must not be longer than {limit} bytes"
                errors.append(FieldError(f"/{name}/{index}", detail))
    for name, value in document.get("env", {}).items():
        if len(name.encode()) + 1 + len(value.encode()) > _MAX_STRING_BYTES:
            detail = f"name and value must not be longer than {_MAX_STRING_BYTES} bytes together"
            errors.append(FieldError(pointer(["env", name]), detail))
    return errors


def _against_strict(document: dict[str, Any]) -> list[FieldError]:
    errors = []
    if "user" in document:
        errors.append(
            FieldError("/user", f"must be left out: the strict profile runs as {STRICT_USER}")
        )
    if document.get("network") == Network.DEFAULT:
        errors.append(FieldError("/network", "must be 'none': the strict profile has no network"))
    return errors


def _pull_policy(image: ImageReference, wish: str, rules: RequestRules) -> PullPolicy:
    """Return when the image may be pulled, after the operator's registries."""
    pull = PullPolicy(wish)
    if image.registry in rules.allowed_registries:
        return pull
    if not rules.allowed_registries and not image.registry_is_local():
        return pull
    if image.registry == DEFAULT_REGISTRY and pull is not PullPolicy.ALWAYS:
        # What the operator put on the engine under a plain name may run; nothing is asked of
        # Docker Hub for it.
        return PullPolicy.NEVER
    raise _not_allowed(
        "/docker_image", f"images from {image.registry} are not allowed by this service's operator"
    )


def _not_allowed(where: str, detail: str) -> RequestNotAllowedError:
    return RequestNotAllowedError(detail, (FieldError(where, detail),))
