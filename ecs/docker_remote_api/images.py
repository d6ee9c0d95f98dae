"""Verbs about images: inspect, list, pull."""

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ecs.docker_remote_api.connection import chunks
from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.fields import elements, integer, mapping, parsed, text, texts
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.verb import Verb, label_filter
from ecs.errors import (
    EngineError,
    EngineFailedError,
    EngineNotFoundError,
    EngineProtocolError,
    EngineRefusedError,
    ImageAccessDeniedError,
    ImageNotFoundError,
    ImagePullFailedError,
)

_COMPLETE = "Status: "
"""The last line of a pull that was not broken off: "Status: Downloaded newer image for …"."""
_MAX_LINE_BYTES = 1024 * 1024

# The engine passes a registry's refusal on as status 500 with the registry client's text (20.10
# answers 500 both to "no basic auth credentials" and to a refused connection). These are the error
# codes of the distribution specification and the constants of that client; nothing else is read.
_ACCESS_DENIED = re.compile(
    r"no basic auth credentials|(?:^|: )(?:unauthorized|denied)(?:: |$)"
    r"|401 Unauthorized|403 Forbidden"
)
_NOT_FOUND = re.compile(r"(?:^|: )(?:manifest unknown|name unknown)(?:: |$)|404 Not Found")


@dataclass(frozen=True)
class PullProgress:
    """One progress line of a pull; ``layer`` is empty for lines about the whole image."""

    layer: str
    status: str
    current_bytes: int | None
    total_bytes: int | None


@dataclass(frozen=True)
class LocalImage:
    """An image the engine has: its id (``sha256:…``), its VOLUMEs' paths, its ENTRYPOINT."""

    image_id: str
    volumes: frozenset[str]
    entrypoint: tuple[str, ...] = ()


class AsyncImageInspector(Verb):
    """``GET /images/{name}/json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageInspect
    """

    async def image(self, reference: ImageReference) -> LocalImage:
        """Return a local image.

        Raises:
            ImageNotFoundError: the engine has no such image.
            EngineError: no answer, or none of the API.
        """
        try:
            answer = await self._api.request("GET", f"/images/{reference}/json")
        except EngineNotFoundError as error:
            raise ImageNotFoundError(str(error)) from error
        config = mapping(answer, "Config")
        return LocalImage(
            image_id=text(answer, "Id"),
            volumes=frozenset(mapping(config, "Volumes")),
            entrypoint=tuple(texts(config, "Entrypoint")),
        )


@dataclass(frozen=True)
class ListedImage:
    """One image of a list: its names (``name:tag``); ``created`` is in seconds since 1970."""

    names: tuple[str, ...]
    created: int


class AsyncImageLister(Verb):
    """``GET /images/json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageList
    """

    async def image_ids(self) -> frozenset[str]:
        """Return the ids of all local images.

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request("GET", "/images/json")
        return frozenset(text(image, "Id") for image in elements(answer, "images"))

    async def with_label(self, label: str) -> list[ListedImage]:
        """Return all images that carry ``label``.

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request(
            "GET", "/images/json", params={"filters": label_filter(label)}
        )
        return [
            ListedImage(tuple(texts(image, "RepoTags")), integer(image, "Created"))
            for image in elements(answer, "images")
        ]


class AsyncImagePuller(Verb):
    """``POST /images/create``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageCreate
    """

    async def pull(
        self,
        reference: ImageReference,
        credentials: RegistryCredentials | None,
        *,
        timeout_seconds: float,
    ) -> AsyncGenerator[PullProgress]:
        """Pull one image and yield its progress; the image is there when the iteration ends.

        The engine answers when the registry has answered, so ``timeout_seconds`` bounds the wait
        for the registry's first word; the whole is the caller's to bound. Leaving early makes the
        engine give the pull up.

        Raises:
            ImageNotFoundError, ImageAccessDeniedError, ImagePullFailedError: what the registry,
                or the way to it, said.
            EngineError: no answer from the engine, or none of the API.
        """
        # A digest goes where a tag would.
        params = {
            "fromImage": reference.name,
            "tag": reference.digest or reference.tag or "",
        }
        with _registry_errors():
            async with self._api.stream(
                "POST",
                "/images/create",
                params=params,
                headers=_auth_headers(reference, credentials),
                timeout_seconds=timeout_seconds,
            ) as response:
                pending, complete = b"", False
                async for chunk in chunks(response):
                    *lines, pending = (pending + chunk).split(b"\n")
                    if len(pending) > _MAX_LINE_BYTES:
                        raise EngineProtocolError("a pull's progress line does not end")
                    for line in filter(bytes.strip, lines):
                        progress = _progress(line)
                        complete = progress.status.startswith(_COMPLETE)
                        yield progress
                if pending.strip() or not complete:
                    raise ImagePullFailedError("the engine broke the pull off without a reason")


class AsyncDistributionInspector(Verb):
    """``GET /distribution/{name}/json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Distribution/operation/DistributionInspect
    """

    async def check(
        self,
        reference: ImageReference,
        credentials: RegistryCredentials | None,
        *,
        timeout_seconds: float,
    ) -> None:
        """Return if the registry itself gives the image to these credentials, or to none.

        Raises:
            ImageNotFoundError, ImageAccessDeniedError, ImagePullFailedError: what the registry,
                or the way to it, said.
            EngineError: no answer from the engine, or none of the API.
        """
        with _registry_errors():
            async with self._api.stream(
                "GET",
                f"/distribution/{reference}/json",
                headers=_auth_headers(reference, credentials),
                timeout_seconds=timeout_seconds,
            ):
                pass


def _auth_headers(
    reference: ImageReference, credentials: RegistryCredentials | None
) -> dict[str, str]:
    if credentials is None:
        return {}
    return {"X-Registry-Auth": credentials.registry_auth_header(reference.registry)}


@contextmanager
def _registry_errors() -> Iterator[None]:
    try:
        yield
    except EngineNotFoundError as error:
        raise ImageNotFoundError(str(error)) from error
    except (EngineRefusedError, EngineFailedError) as error:
        raise _pull_error(str(error)) from error


def _progress(line: bytes) -> PullProgress:
    document = parsed(line, "a pull's progress line is not JSON")
    failure = mapping(document, "errorDetail")
    if failure or "error" in document:
        raise _pull_error(str(failure.get("message") or document.get("error")))
    detail = mapping(document, "progressDetail")
    return PullProgress(
        layer=str(document.get("id", "")),
        status=str(document.get("status", "")),
        current_bytes=integer(detail, "current") if "current" in detail else None,
        total_bytes=integer(detail, "total") if "total" in detail else None,
    )


def _pull_error(
    message: str,
) -> EngineError | ImageNotFoundError | ImageAccessDeniedError | ImagePullFailedError:
    if _NOT_FOUND.search(message):
        return ImageNotFoundError(message)
    if _ACCESS_DENIED.search(message):
        return ImageAccessDeniedError(message)
    return ImagePullFailedError(message)
