"""Images: one pull for all who ask at a time with the same right; private ones stay private.

The engine runs a local image for anybody. So ECS remembers which images came in through
credentials, and makes every other caller prove, by a pull with that caller's own credentials, that
the registry would give the image to that caller too. A proof holds for ``proof_seconds``.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Self

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import (
    AsyncDistributionInspector,
    AsyncImageInspector,
    AsyncImageLister,
    AsyncImagePuller,
    LocalImage,
    PullProgress,
)
from ecs.errors import (
    EcsError,
    ImageAccessDeniedError,
    ImageNotFoundError,
    ImagePullTimedOutError,
)
from ecs.store.private_images import PrivateImageStore

_log = structlog.get_logger()
_ANYBODY = ""
_MAX_PROOFS = 10_000
_PULL_TIMEOUTS = 10
_GIVEN_UP_SECONDS = 60.0
"""How long the engine may still bring the image of a pull that was given up."""

ProgressListener = Callable[[PullProgress], None]


@dataclass(eq=False)
class _SharedPull:
    """A pull under way; its work returns the error it ended with, for each who waits to raise."""

    reference: ImageReference
    credentials: RegistryCredentials | None
    listeners: list[ProgressListener] = field(default_factory=list)
    before: "_Before | None" = None
    """Set before the image is fetched with credentials."""
    work: "asyncio.Task[EcsError | None]" = field(init=False)

    @property
    def right(self) -> str:
        return _right(self.credentials)


@dataclass(frozen=True)
class _Before:
    """What was local before a pull: the reference's image id (or ``""``), and all image ids."""

    image_id: str
    present: frozenset[str]


class Images:
    """The images of one engine. Use as an async context manager: it owns the pulls under way."""

    def __init__(
        self,
        api: DockerRemoteApi,
        store: PrivateImageStore,
        *,
        pull_timeout_seconds: float,
        proof_seconds: float,
    ) -> None:
        self._inspector = AsyncImageInspector(api)
        self._lister = AsyncImageLister(api)
        self._puller = AsyncImagePuller(api)
        self._distribution = AsyncDistributionInspector(api)
        self._store = store
        self._pull_timeout_seconds = pull_timeout_seconds
        self._proof_seconds = proof_seconds
        self._joinable: dict[tuple[str, str], _SharedPull] = {}
        self._under_way: set[_SharedPull] = set()
        self._unsettled: dict[str, _Before] = {}
        self._proofs: dict[tuple[str, str, str], float] = {}
        self._closing = False
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        # Pulls that an earlier run began and did not see the end of.
        for reference, image_id_before in await self._store.unfinished_pulls():
            self._unsettled[reference] = _Before(image_id_before, frozenset({image_id_before}))
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing = True
        for pull in self._under_way:
            pull.work.cancel()
        await self._group.__aexit__(None, None, None)

    async def resolve(
        self,
        reference: ImageReference,
        credentials: RegistryCredentials | None,
        *,
        verify: bool,
    ) -> LocalImage:
        """Return the local image, if this caller may run it.

        With ``verify``, credentials must have been proved even for an image that needs none:
        wrong ones are then told to be wrong, whether the image is here already or not.

        Raises:
            ImageNotFoundError: the engine has no such image; pull it.
            ImageAccessDeniedError: the image is private and this caller has not proved the right
                to it; pull it.
            EngineError: no answer, or none of the API.
        """
        image = await self._inspector.image(reference)
        await self._settle(reference.name)
        privacy = await self._store.look_up(image.image_id, reference.name)
        needs_proof = (
            bool(privacy.origins)
            or privacy.repository_is_private
            or (verify and credentials is not None)
        )
        # Another repository proves nothing: it may only pretend to have the image.
        can_be_proved = not privacy.origins or reference.name in privacy.origins
        if needs_proof and not (
            can_be_proved and self._proved(image.image_id, reference, credentials)
        ):
            raise ImageAccessDeniedError(
                f"{reference} may be run with credentials only that the registry has confirmed"
            )
        return image

    async def pull(
        self,
        reference: ImageReference,
        credentials: RegistryCredentials | None,
        listener: ProgressListener,
    ) -> None:
        """Pull the image, or join a pull of it under way with the same credentials.

        The pull is given up when the last who waits for it has gone.

        Raises:
            ImageError: what the registry, or the way to it, said; or no end in time.
            EngineError: no answer, or none of the API.
        """
        pull = self._join(reference, credentials)
        pull.listeners.append(listener)
        try:
            async with asyncio.timeout(self._pull_timeout_seconds):
                error = await asyncio.shield(pull.work)
        except TimeoutError as error:
            raise ImagePullTimedOutError(
                f"pulling {reference} did not end within {self._pull_timeout_seconds:g} seconds"
            ) from error
        finally:
            pull.listeners.remove(listener)
            if not pull.listeners and not pull.work.done():
                self._joinable.pop((str(reference), pull.right), None)
                pull.work.cancel()
        if error is not None:
            raise error

    def _join(
        self, reference: ImageReference, credentials: RegistryCredentials | None
    ) -> _SharedPull:
        key = str(reference), _right(credentials)
        pull = self._joinable.get(key)
        if pull is None:
            pull = _SharedPull(reference, credentials)
            self._joinable[key] = pull
            self._under_way.add(pull)
            pull.work = self._group.create_task(self._work(pull))
            pull.work.add_done_callback(lambda _: self._left(pull))
        return pull

    def _left(self, pull: _SharedPull) -> None:
        self._under_way.discard(pull)
        key = str(pull.reference), pull.right
        if self._joinable.get(key) is pull:
            del self._joinable[key]

    async def _work(self, pull: _SharedPull) -> EcsError | None:
        _log.info("pull began", image=str(pull.reference))
        try:
            if pull.credentials is None:
                await self._fetch(pull)
                await self._note_public(pull.reference)
            else:
                await self._fetch_private(pull)
        except EcsError as error:
            _log.info("pull failed", image=str(pull.reference), code=error.code, error=str(error))
            return error
        except Exception:  # noqa: BLE001 - a bug must not take the other pulls along
            _log.exception("pull failed by a bug in ECS", image=str(pull.reference))
            return EcsError("a bug in ECS; its log has the cause")
        _log.info("pull ended", image=str(pull.reference))
        return None

    async def _fetch(self, pull: _SharedPull) -> None:
        # Who waits gives up by a clock of its own; somebody may have come late.
        timeout_seconds = _PULL_TIMEOUTS * self._pull_timeout_seconds
        if pull.reference.digest is not None:
            # The engine pulls a digest whose manifest it has without asking the registry.
            await self._distribution.check(
                pull.reference, pull.credentials, timeout_seconds=timeout_seconds
            )
        progress_lines = self._puller.pull(
            pull.reference, pull.credentials, timeout_seconds=timeout_seconds
        )
        async with aclosing(progress_lines):
            async for progress in progress_lines:
                for listener in pull.listeners:
                    listener(progress)

    async def _fetch_private(self, pull: _SharedPull) -> None:
        reference = pull.reference
        before = _Before(await self._image_id(reference), await self._lister.image_ids())
        pull.before = before
        await self._store.begin_pull(str(reference), before.image_id)
        try:
            await self._fetch(pull)
        except asyncio.CancelledError:
            if self._closing:
                raise
            # The engine may have been at the very end: the pull stays under way a while longer.
            await asyncio.sleep(_GIVEN_UP_SECONDS)
        finally:
            if not self._closing:
                try:
                    await self._settle_one(reference, before)
                    await self._end_pull(pull)
                except EcsError:
                    # The engine went away: settled before anybody may run an image again.
                    self._unsettled[str(reference)] = before
                    raise
        image = await self._inspector.image(reference)
        self._note_proof(image.image_id, reference, pull.right)

    async def _settle_one(self, reference: ImageReference, before: "_Before") -> None:
        image_id = await self._image_id(reference)
        if image_id and image_id not in before.present:
            await self._store.add_image(image_id, reference.name)
        if image_id != before.image_id:
            await self._store.add_repository(reference.name)

    async def _end_pull(self, pull: _SharedPull) -> None:
        """Take the note of the pull back, unless it stands for another one too."""
        for other in self._under_way - {pull}:
            if other.before is not None and other.reference == pull.reference:
                return
        await self._store.end_pull(str(pull.reference))

    async def _settle(self, name: str) -> None:
        """Note what pulls with credentials brought to the repository ``name`` up to now."""
        for reference, before in list(self._unsettled.items()):
            await self._settle_one(ImageReference.parse(reference), before)
            await self._store.end_pull(reference)
            self._unsettled.pop(reference, None)
        for pull in list(self._under_way):
            if pull.before is not None and pull.reference.name == name:
                await self._settle_one(pull.reference, pull.before)

    async def _note_public(self, reference: ImageReference) -> None:
        image = await self._inspector.image(reference)
        await self._store.forget(image.image_id, reference.name)
        self._note_proof(image.image_id, reference, _ANYBODY)

    async def _image_id(self, reference: ImageReference) -> str:
        try:
            return (await self._inspector.image(reference)).image_id
        except ImageNotFoundError:
            return ""

    def _proved(
        self, image_id: str, reference: ImageReference, credentials: RegistryCredentials | None
    ) -> bool:
        proof = image_id, reference.name, _right(credentials)
        return self._proofs.get(proof, 0.0) > time.monotonic()

    def _note_proof(self, image_id: str, reference: ImageReference, right: str) -> None:
        now = time.monotonic()
        if len(self._proofs) >= _MAX_PROOFS:
            self._proofs = {key: until for key, until in self._proofs.items() if until > now}
        self._proofs[image_id, reference.name, right] = now + self._proof_seconds


def _right(credentials: RegistryCredentials | None) -> str:
    return _ANYBODY if credentials is None else credentials.fingerprint()
