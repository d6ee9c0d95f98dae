"""What an answer says of a task's end."""

from jsonschema import Draft202012Validator

from ecs.jsonschemas import load_schema
from tests.client import Answer

RESULT = Draft202012Validator(load_schema("task_result"))


def outcome(answer: Answer) -> tuple[str, str, int]:
    RESULT.validate(answer.document)
    assert answer.status == 201
    return answer.document["state"], answer.document["outcome"], answer.document["exitCode"]
