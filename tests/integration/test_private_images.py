"""What came in through somebody's credentials is not thereby everybody's."""

import asyncio
import base64
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.jsonschemas import load_schema
from ecs.tasks.model import PullPolicy, Task
from ecs.tasks.states import Outcome, RunnerState
from tests.client import Answer, Caller, calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.harness import Ecs, result_of, running_ecs
from tests.pretending_registry import pretending_registry
from tests.registries import Credentials, PushedImage, Registry
from tests.service_log import seen
from tests.services import ECService
from tests.waiting import eventually

PROBLEM = Draft202012Validator(load_schema("problem"))
PATIENT_SECONDS = 60
NOBODY = None


@pytest.fixture
def private(auth_registry: Registry, engine: EngineProbe) -> Iterator[PushedImage]:
    """An image that a registry gives to its one user alone; the engine has it not yet."""
    image = auth_registry.push_image(engine)
    yield image
    engine.remove_images(image.reference)


@pytest.fixture
def public(open_registry: Registry, engine: EngineProbe) -> Iterator[PushedImage]:
    """An image that a registry gives to anybody."""
    image = open_registry.push_image(engine)
    yield image
    engine.remove_images(image.reference)


@pytest.fixture
def right(auth_registry: Registry) -> Credentials:
    assert auth_registry.credentials
    return auth_registry.credentials


@pytest.fixture
def wrong(right: Credentials) -> Credentials:
    return dataclasses.replace(right, password=f"not {right.password}")


@pytest.fixture
def settings(auth_registry: Registry, open_registry: Registry) -> dict[str, str]:
    registries = f"docker.io,{auth_registry.address},{open_registry.address}"
    return {"ECS_ALLOWED_REGISTRIES": registries, "ECS_LOG_LEVEL": "debug"}


@pytest.fixture
async def service(ecservice: StartService, settings: dict[str, str]) -> ECService:
    """For tests that stop it, or look at all that it ever wrote."""
    return await ecservice(**settings)


@pytest.fixture
async def caller(shared_ecservice: StartService, settings: dict[str, str]) -> AsyncIterator[Caller]:
    """Of another service, which knows many images."""
    service = await shared_ecservice(**settings)
    async with calling(service.url) as caller:
        yield caller


async def run(
    caller: Caller, image: str, credentials: Credentials | None = NOBODY, **fields: Any
) -> Answer:
    """Have the image's marker read."""
    if credentials is not None:
        fields["creds"] = dataclasses.asdict(credentials)
    return await caller.run("cat", "/marker", image=image, **fields)


def marker(answer: Answer) -> str:
    assert answer.status == 201, answer.document
    return answer.stdout.decode().strip()


def code(answer: Answer) -> tuple[int, str]:
    PROBLEM.validate(answer.document)
    return answer.status, answer.document["code"]


DENIED = (403, "image_access_denied")


async def test_a_private_image_runs_with_the_right_credentials(
    caller: Caller, private: PushedImage, right: Credentials
) -> None:
    assert marker(await run(caller, private.reference, right)) == private.marker


async def test_a_private_image_that_is_not_here_is_refused_without_them(
    caller: Caller, engine: EngineProbe, private: PushedImage, wrong: Credentials
) -> None:
    for credentials in (NOBODY, wrong):
        assert code(await run(caller, private.reference, credentials)) == DENIED
    assert not engine.has_image(private.reference)


@pytest.mark.parametrize("pull", ["missing", "always", "never"])
@pytest.mark.parametrize("how", ["by tag", "by digest"])
async def test_a_private_image_that_is_here_is_refused_without_them(
    caller: Caller,
    private: PushedImage,
    right: Credentials,
    wrong: Credentials,
    pull: str,
    how: str,
) -> None:
    image = private.reference if how == "by tag" else private.by_digest
    assert marker(await run(caller, private.reference, right)) == private.marker

    for credentials in (NOBODY, wrong, Credentials.random()):
        assert code(await run(caller, image, credentials, pull=pull)) == DENIED

    assert marker(await run(caller, image, right)) == private.marker
    assert marker(await run(caller, image, right, pull=pull)) == private.marker


async def test_a_private_image_stays_private_after_a_restart(
    service: ECService, private: PushedImage, right: Credentials, wrong: Credentials
) -> None:
    async with calling(service.url) as caller:
        assert marker(await run(caller, private.reference, right)) == private.marker
    await service.stop()
    await service.start()

    async with calling(service.url) as caller:
        for image in (private.reference, private.by_digest):
            for credentials in (NOBODY, wrong):
                for pull in ("missing", "never"):
                    assert code(await run(caller, image, credentials, pull=pull)) == DENIED
        assert marker(await run(caller, private.reference, right)) == private.marker


@pytest.mark.parametrize("engine_ends_it", [True, False])
async def test_a_private_image_whose_pull_a_crash_cut_off_stays_private(
    service: ECService,
    engine: EngineProbe,
    auth_registry: Registry,
    private: PushedImage,
    right: Credentials,
    engine_ends_it: bool,
) -> None:
    with auth_registry.paused():
        async with calling(service.url) as caller:
            task = asyncio.create_task(run(caller, private.reference, right))
            await eventually(seen(service, 1, "pull began"), PATIENT_SECONDS)
            await eventually(lambda: unfinished_pulls(service), PATIENT_SECONDS)
            await service.kill()
            await asyncio.gather(task, return_exceptions=True)
    if engine_ends_it:
        repository, _, tag = private.reference.rpartition(":")
        engine.client.api.pull(repository, tag, auth_config=dataclasses.asdict(right))
        assert engine.has_image(private.reference)
    await service.start()

    async with calling(service.url) as caller:
        assert code(await run(caller, private.reference)) == DENIED
        if engine_ends_it:
            assert code(await run(caller, private.by_digest, pull="never")) == DENIED
        assert marker(await run(caller, private.reference, right)) == private.marker


def unfinished_pulls(service: ECService) -> bool:
    """Whether the service has noted that it is about to pull with credentials."""
    return any(b"127.0.0.1" in content for content in state_files(service).values())


def state_files(service: ECService) -> dict[str, bytes]:
    directory = Path(service.settings["ECS_STATE_DIRECTORY"])
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_an_image_that_anybody_may_pull_becomes_public_when_somebody_does(
    service: ECService, public: PushedImage
) -> None:
    somebody = Credentials.random()  # this registry asks nobody
    async with calling(service.url) as caller:
        assert marker(await run(caller, public.reference, somebody)) == public.marker
        assert code(await run(caller, public.reference, pull="never")) == DENIED

        assert marker(await run(caller, public.reference)) == public.marker
        assert marker(await run(caller, public.reference, pull="never")) == public.marker
    await service.stop()
    await service.start()
    async with calling(service.url) as caller:
        assert marker(await run(caller, public.reference, pull="never")) == public.marker


async def test_an_image_that_was_here_before_stays_everybodys(
    caller: Caller, engine: EngineProbe, public: PushedImage
) -> None:
    repository, _, tag = public.reference.rpartition(":")
    engine.client.api.pull(repository, tag)

    assert marker(await run(caller, public.reference, Credentials.random())) == public.marker
    assert marker(await run(caller, public.reference, pull="never")) == public.marker


async def test_a_proof_spares_the_registry_while_it_holds(
    caller: Caller,
    auth_registry: Registry,
    private: PushedImage,
    right: Credentials,
    wrong: Credentials,
) -> None:
    assert marker(await run(caller, private.reference, right)) == private.marker
    with auth_registry.stopped():
        assert marker(await run(caller, private.reference, right)) == private.marker
        assert code(await run(caller, private.reference, wrong)) == (502, "image_pull_failed")
        assert code(await run(caller, private.reference)) == (502, "image_pull_failed")


async def test_a_proof_that_has_expired_is_asked_for_again(
    ecservice: StartService, auth_registry: Registry, private: PushedImage, right: Credentials
) -> None:
    service = await ecservice(
        ECS_ALLOWED_REGISTRIES=auth_registry.address, ECS_PRIVATE_IMAGE_PROOF_SECONDS="0.1"
    )
    async with calling(service.url) as caller:
        await run(caller, private.reference, right)
        with auth_registry.stopped():

            async def is_asked_again() -> bool:
                answer = await run(caller, private.reference, right)
                return answer.status == 502

            await eventually(is_asked_again, PATIENT_SECONDS)
        assert marker(await run(caller, private.reference, right)) == private.marker


async def test_a_registry_that_pretends_to_have_a_private_image_proves_nothing(
    tmp_path: Path, docker_host: str, engine: EngineProbe, private: PushedImage, right: Credentials
) -> None:
    async with running_ecs(tmp_path, docker_host) as ecs:
        result = await ecs.run("true", image=private.reference, credentials=pair(right))
        assert result.outcome is Outcome.EXITED
        image_id = engine.client.images.get(private.reference).id
        assert image_id
        async with pretending_registry(image_id) as address:
            try:
                for credentials in (NOBODY, ("mallory", "secret")):
                    stolen = await ecs.run(
                        "true", image=f"{address}/mallory/image:1", credentials=credentials
                    )
                    assert stolen.outcome is Outcome.IMAGE_ACCESS_DENIED
                    theirs = await ecs.run("true", image=private.reference, credentials=credentials)
                    assert theirs.outcome is Outcome.IMAGE_ACCESS_DENIED
            finally:
                engine.remove_images(address)


def pair(credentials: Credentials) -> tuple[str, str]:
    return credentials.username, credentials.password


async def test_tasks_that_wait_for_one_image_share_its_pull(
    tmp_path: Path,
    docker_host: str,
    auth_registry: Registry,
    private: PushedImage,
    right: Credentials,
) -> None:
    async with running_ecs(tmp_path, docker_host) as ecs:
        with auth_registry.paused():
            tasks = [
                ecs.submit("cat", "/marker", image=private.reference, credentials=pair(right))
                for _ in range(6)
            ]
            await eventually(lambda: all(is_pulling(task) for task in tasks), PATIENT_SECONDS)
            assert len(ecs.images._under_way) == 1

        for task in tasks:
            assert (await result_of(task)).exit_code == 0
        await eventually(ecs.is_idle, PATIENT_SECONDS)


def is_pulling(task: Task) -> bool:
    return task.machine.state is RunnerState.PULLING


async def given_up_at_its_end(ecs: Ecs, task: Task, turns: int) -> None:
    """Cancel a task when the engine has the layers of its image and is about to name it."""
    while is_pulling(task) and "Pull complete" not in {line.status for line in task.progress}:  # noqa: ASYNC110 - turns of the loop are what is counted
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    ecs.dispatcher.cancel(task)
    await result_of(task)


# Each with an image of its own: the engine may bring one that was given up when the next begins.
@pytest.mark.parametrize("turns", range(0, 400, 50))
async def test_a_pull_given_up_at_its_very_end_makes_no_public_image(
    tmp_path: Path, docker_host: str, private: PushedImage, right: Credentials, turns: int
) -> None:
    async with running_ecs(tmp_path, docker_host) as ecs:
        task = ecs.submit("true", image=private.reference, credentials=pair(right))
        await eventually(lambda: task.machine.state is not RunnerState.QUEUED)
        await given_up_at_its_end(ecs, task, turns)

        for pull in (PullPolicy.NEVER, PullPolicy.MISSING):
            result = await ecs.run("true", image=private.reference, pull=pull)
            assert result.outcome in {Outcome.IMAGE_ACCESS_DENIED, Outcome.IMAGE_NOT_FOUND}


async def test_credentials_are_seen_by_the_registry_alone(
    service: ECService,
    engine: EngineProbe,
    auth_registry: Registry,
    private: PushedImage,
    right: Credentials,
    wrong: Credentials,
) -> None:
    async with calling(service.url) as caller:
        answers = [
            await run(caller, private.reference, wrong),
            await run(caller, f"{private.reference}-missing", right),
            await run(caller, private.reference, right, unknown_field=1),
            await run(caller, private.reference, right, pull="always"),
            await run(caller, private.reference, wrong, pull="never"),
            await caller.post(
                {
                    "docker_image": private.reference,
                    "cmd": ["true"],
                    "creds": {**dataclasses.asdict(right), "password": [right.password]},
                }
            ),
        ]
        assert [answer.status for answer in answers] == [403, 404, 400, 201, 403, 400]
        with auth_registry.stopped():
            answers.append(await run(caller, private.reference, wrong))

        running = asyncio.create_task(
            caller.run(
                "sh",
                "-c",
                "env; sleep 3600",
                image=private.reference,
                creds=dataclasses.asdict(right),
                timeout_seconds=5,
            )
        )
        (name,) = await eventually(lambda: engine.containers(service.instance), PATIENT_SECONDS)
        inspected = await eventually(lambda: engine.inspected(name), PATIENT_SECONDS)
        answers.append(await running)

    shown = {
        "the answers": json.dumps([answer.document for answer in answers]),
        "the headers": str([dict(answer.headers) for answer in answers]),
        "docker inspect": json.dumps(inspected),
        "the task's output": answers[-1].stdout.decode(),
        "the log": service.log_path.read_text(encoding="utf-8"),
        **{name: content.decode("latin-1") for name, content in state_files(service).items()},
    }
    assert len(shown["the log"].splitlines()) > 10
    for where, text in shown.items():
        for secret in secrets_of(right, auth_registry) | secrets_of(wrong, auth_registry):
            assert secret not in text, where


def secrets_of(credentials: Credentials, registry: Registry) -> set[str]:
    """The credentials, plain and in each form in which they travel."""
    username, password = pair(credentials)
    header = RegistryCredentials(username, password).registry_auth_header(registry.address)
    basic = base64.b64encode(f"{username}:{password}".encode()).decode()
    encoded = base64.b64encode(password.encode()).decode().rstrip("=")
    return {username, password, header, basic, encoded}
