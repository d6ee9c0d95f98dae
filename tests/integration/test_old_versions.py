"""The real service deletes, at its start, the images that earlier versions left on the engine."""

import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from docker import DockerClient

from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.waiting import eventually

LONG_AGO = "2020-01-01T00:00:00Z"
PATIENT_SECONDS = 30


@dataclass
class OldImages:
    """Images that were made long ago: one that nothing uses of each kind, and one in use."""

    init: str
    sandbox: str
    in_use: str


@pytest.fixture
def old(engine: EngineProbe) -> Iterator[OldImages]:
    tags = [f"test{secrets.token_hex(4)}" for _ in range(3)]
    names = OldImages(
        f"ecs.invalid/init:{tags[0]}",
        f"ecs.invalid/sandbox:{tags[1]}",
        f"ecs.invalid/sandbox:{tags[2]}",
    )
    load_image(engine.client, names.init, {"ecs.init": tags[0]})
    load_image(engine.client, names.sandbox, {"ecs.sandbox": tags[1]})
    load_image(engine.client, names.in_use, {"ecs.sandbox": tags[2]})
    container = engine.client.containers.create(names.in_use, ["/sandbox"])
    yield names
    container.remove()
    for name in (names.init, names.sandbox, names.in_use):
        engine.remove_images(name)


def load_image(client: DockerClient, name: str, labels: dict[str, str]) -> None:
    """Load an image that was made long ago; one that is imported is made now.

    https://github.com/moby/docker-image-spec/blob/main/spec.md
    """
    layer = tar({"content": secrets.token_bytes(16)})
    configuration = {
        "created": LONG_AGO,
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
        },
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    client.images.load(
        tar(
            {
                "config.json": json.dumps(configuration).encode(),
                "layer.tar": layer,
                "manifest.json": json.dumps(manifest).encode(),
            }
        )
    )


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


async def test_what_nothing_uses_goes_and_what_a_container_uses_stays(
    ecservice: StartService, engine: EngineProbe, old: OldImages
) -> None:
    service = await ecservice(ECS_SANDBOXES="1", ECS_MIN_SANDBOXES="1")

    # The first sandbox is made after the old images were looked for.
    await eventually(lambda: engine.containers(service.instance), PATIENT_SECONDS)

    found = [engine.has_image(name) for name in (old.init, old.sandbox, old.in_use)]
    assert found == [False, False, True]
    told = [
        line["image"]
        for line in service.log_lines()
        if line["event"] == "image of another version deleted"
    ]
    assert {old.init, old.sandbox} <= set(told)
    assert old.in_use not in told
