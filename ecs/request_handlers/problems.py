"""The one table from an error to its HTTP status, and the form errors take (RFC 9457)."""

from typing import Any

from ecs.errors import (
    AdmissionError,
    EcsError,
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineRefusedError,
    ImageAccessDeniedError,
    ImageNotFoundError,
    ImagePullFailedError,
    ImagePullTimedOutError,
    InvalidRequestError,
    NotAcceptableError,
    OutputSpoolError,
    RequestNotAllowedError,
    RequestTooLargeError,
    StateStoreError,
    TooManyTasksError,
    UnsupportedMediaTypeError,
)

PROBLEM_CONTENT_TYPE = "application/problem+json"

# The status of a class holds for its subclasses that have none of their own.
STATUS_AND_TITLE: dict[type[EcsError], tuple[int, str]] = {
    InvalidRequestError: (400, "The request is malformed"),
    RequestNotAllowedError: (403, "The request is not allowed"),
    NotAcceptableError: (406, "No representation is acceptable"),
    RequestTooLargeError: (413, "The request is too large"),
    UnsupportedMediaTypeError: (415, "The body's media type is not supported"),
    AdmissionError: (503, "No work is taken now"),
    TooManyTasksError: (429, "The caller has too many tasks"),
    ImageNotFoundError: (404, "The image was not found"),
    ImageAccessDeniedError: (403, "Access to the image was denied"),
    ImagePullFailedError: (502, "The image could not be pulled"),
    ImagePullTimedOutError: (504, "Pulling the image took too long"),
    EngineError: (502, "The Docker Engine failed"),
    EngineRefusedError: (422, "The Docker Engine refused the task"),
    EngineNotFoundError: (502, "The Docker Engine failed"),
    EngineConflictError: (502, "The Docker Engine failed"),
    OutputSpoolError: (503, "The task's output could not be kept"),
    StateStoreError: (503, "The service's own database failed"),
    EcsError: (500, "Internal error"),
}


def problem(error: EcsError, request_id: str) -> dict[str, Any]:
    """Return the problem document of ``error``."""
    status, title = next(
        STATUS_AND_TITLE[kind] for kind in type(error).__mro__ if kind in STATUS_AND_TITLE
    )
    document = problem_document(status, title, str(error) or title, error.code, request_id)
    if isinstance(error, InvalidRequestError) and error.fields:
        document["errors"] = [
            {"pointer": field.pointer, "detail": field.detail} for field in error.fields
        ]
    return document


def problem_document(
    status: int, title: str, detail: str, code: str, request_id: str
) -> dict[str, Any]:
    """Return a problem document from its parts."""
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
