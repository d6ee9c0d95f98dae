from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ecs import jsonschemas
from ecs.jsonschemas import load_schema
from ecs.setting_types import MIN_MEMORY_BYTES
from ecs.tasks.model import Network, Profile, PullPolicy
from ecs.tasks.states import Outcome, TaskState, task_state

NAMES = sorted(
    path.name.removesuffix(".json")
    for path in resources.files(jsonschemas).iterdir()
    if path.name.endswith(".json")
)


def properties(schema: Any, root: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every property of a schema, however deep, with what it refers to filled in."""
    if isinstance(schema, dict):
        for name, value in schema.get("properties", {}).items():
            yield f"{pointer}/{name}", resolved(value, root) | value
        for key, value in schema.items():
            yield from properties(value, root, f"{pointer}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from properties(value, root, f"{pointer}/{index}")


def resolved(schema: Any, root: Any) -> Any:
    reference = schema.get("$ref", "#")
    for part in reference.removeprefix("#").split("/")[1:]:
        root = root[part]
    return root if reference != "#" else {}


def test_there_are_schemas_for_what_is_asked_and_for_what_is_answered() -> None:
    assert NAMES == ["health", "noop", "problem", "task_request", "task_result", "version"]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_of_draft_2020_12(name: str) -> None:
    schema = load_schema(name)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_takes_an_object_without_anything_unknown(name: str) -> None:
    schema = load_schema(name)

    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", NAMES)
def test_every_property_has_a_description(name: str) -> None:
    schema = load_schema(name)

    undescribed = [
        pointer for pointer, value in properties(schema, schema) if "description" not in value
    ]

    assert undescribed == []


def test_what_can_be_chosen_is_what_there_is() -> None:
    fields = load_schema("task_request")["properties"]

    assert fields["network"]["enum"] == list(Network)
    assert fields["pull"]["enum"] == list(PullPolicy)
    assert fields["profile"]["enum"] == list(Profile)


def test_the_least_memory_is_what_the_engine_takes() -> None:
    resources = load_schema("task_request")["properties"]["resources"]["properties"]

    assert resources["memory_bytes"]["minimum"] == MIN_MEMORY_BYTES


def test_a_result_has_the_outcomes_and_states_of_a_task_that_had_a_process() -> None:
    fields = load_schema("task_result")["properties"]
    with_answer = {TaskState.COMPLETE, TaskState.EXECUTOR_ERROR}

    assert set(fields["state"]["enum"]) == with_answer
    assert set(fields["outcome"]["enum"]) == {
        outcome for outcome in Outcome if task_state(outcome, 0) in with_answer
    }
