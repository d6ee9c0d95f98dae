from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ecs import errors
from ecs.errors import (
    AdmissionError,
    EcsError,
    EngineFailedError,
    FieldError,
    InvalidRequestError,
)
from ecs.jsonschemas import load_schema
from ecs.request_handlers.problems import STATUS_AND_TITLE, problem, problem_document
from ecs.tasks.states import IllegalTransitionError

VALIDATOR = Draft202012Validator(load_schema("problem"))
STATUSES: dict[type[EcsError], int] = {
    errors.EcsError: 500,
    errors.InvalidRequestError: 400,
    errors.UnsupportedMediaTypeError: 415,
    errors.NotAcceptableError: 406,
    errors.RequestTooLargeError: 413,
    errors.RequestNotAllowedError: 403,
    errors.AdmissionError: 503,
    errors.QueueFullError: 503,
    errors.TooManyTasksError: 429,
    errors.QueueTimedOutError: 503,
    errors.DrainingError: 503,
    errors.ImageError: 500,
    errors.ImageNotFoundError: 404,
    errors.ImageAccessDeniedError: 403,
    errors.ImagePullFailedError: 502,
    errors.ImagePullTimedOutError: 504,
    errors.EngineError: 502,
    errors.EngineUnreachableError: 502,
    errors.EngineRefusedError: 422,
    errors.EngineNotFoundError: 502,
    errors.EngineConflictError: 502,
    errors.EngineFailedError: 502,
    errors.EngineProtocolError: 502,
    errors.MultiplexedStreamError: 502,
    errors.InvalidFrameHeaderError: 502,
    errors.TruncatedFrameError: 502,
    errors.DaemonStreamError: 502,
    errors.OutputSpoolError: 503,
    errors.StateStoreError: 503,
    IllegalTransitionError: 500,
}


def every_error() -> Iterator[type[EcsError]]:
    waiting = [EcsError]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting += kind.__subclasses__()


def instance(kind: type[EcsError]) -> EcsError:
    return kind("it broke", 5) if issubclass(kind, AdmissionError) else kind("it broke")


def test_every_error_that_there_is_is_in_the_table_below() -> None:
    ours = {kind for kind in every_error() if kind.__module__.startswith("ecs.")}

    assert ours == set(STATUSES)


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_every_error_is_a_problem_with_its_status_and_code(
    kind: type[EcsError], status: int
) -> None:
    document = problem(instance(kind), "r1")

    VALIDATOR.validate(document)
    assert document["status"] == status
    assert document["code"] == kind.code
    assert document["detail"] == "it broke"
    assert document["request_id"] == "r1"


@pytest.mark.parametrize(("status", "title"), STATUS_AND_TITLE.values())
def test_every_row_of_the_table_makes_a_problem(status: int, title: str) -> None:
    VALIDATOR.validate(problem_document(status, title, "it broke", "code", "r1"))


def test_a_problem_names_each_bad_field() -> None:
    error = InvalidRequestError("bad", (FieldError("/a", "is required"), FieldError("", "is")))

    document = problem(error, "r1")

    VALIDATOR.validate(document)
    assert document["errors"] == [
        {"pointer": "/a", "detail": "is required"},
        {"pointer": "", "detail": "is"},
    ]


def test_a_problem_without_bad_fields_has_no_list_of_them() -> None:
    document: dict[str, Any] = problem(InvalidRequestError("bad"), "r1")

    assert "errors" not in document


def test_a_problem_says_something_even_if_the_engine_did_not() -> None:
    VALIDATOR.validate(problem(EngineFailedError(""), "r1"))
