"""What the documentation shows as an example does what it says, word by word."""

import asyncio
import importlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import ecs
from ecs.jsonschemas import load_schema
from tests.conftest import StartService

APIDOCS = Path(ecs.__file__).parent.parent / "dockerfiles" / "apidocs"
FRONT_DOOR = "https://%NGINX_DOMAIN%:%NGINX_HTTPS_PORT%"
ANSWERS = {
    "get /v1.1/_health": "health",
    "get /v1.1/_noop": "noop",
    "get /v1.1/_version": "version",
    "post /v1.1/tasks": "task_result",
}


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(APIDOCS)
    return json.loads(importlib.import_module("document").openapi_template())


def samples(document: Any) -> dict[tuple[str, str], str]:
    """Every sample's source, by its operation and label."""
    return {
        (f"{method} {path}", sample["label"]): sample["source"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for sample in operation["x-codeSamples"]
    }


async def run(source: str, url: str) -> str:
    """Run a sample as a reader would, against the service instead of its front door."""
    assert FRONT_DOOR in source
    assert '-u "$ECS_KEY:$ECS_SECRET"' in source
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        source.replace(FRONT_DOOR, url),
        env={"PATH": os.environ["PATH"], "ECS_KEY": "key", "ECS_SECRET": "secret"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    return stdout.decode()


async def test_each_sample_works(document: Any, ecservice: StartService) -> None:
    service = await ecservice()
    answers = {key: await run(source, service.url) for key, source in samples(document).items()}

    text = answers.pop(("post /v1.1/tasks", "Text"))
    events = answers.pop(("post /v1.1/tasks", "Events"))
    documents = {key: json.loads(answer) for key, answer in answers.items()}

    assert text == "hello\n"
    assert re.findall(r"^event: (\w+)$", events, re.MULTILINE)[-1] == "result"
    assert '"exitCode": 0' in events
    assert {operation for operation, _ in documents} == set(ANSWERS)
    for (operation, _), answer in documents.items():
        Draft202012Validator(load_schema(ANSWERS[operation])).validate(answer)
    assert documents["post /v1.1/tasks", "JSON"]["exitCode"] == 3
    assert documents["post /v1.1/tasks", "Limits"]["outcome"] == "exited"
    assert documents["post /v1.1/tasks", "Limits"]["stdout"] == "NQo="
    assert documents["get /v1.1/_health", "curl"]["status"] == "green"
