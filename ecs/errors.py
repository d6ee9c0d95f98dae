"""Every error ECS raises on purpose, each with a stable ``code``.

::

    EcsError
    ├── InvalidRequestError              the caller's request is malformed; carries field errors
    │   ├── UnsupportedMediaTypeError    the body is not application/json
    │   ├── NotAcceptableError           no representation the caller accepts
    │   ├── RequestTooLargeError         the body is over the limit
    │   └── RequestNotAllowedError       well-formed, but against the operator's policy
    ├── AdmissionError                   the system takes no (more) work now; carries retry_after
    │   ├── QueueFullError
    │   ├── TooManyTasksError            the caller's own share of the queue is full
    │   ├── QueueTimedOutError
    │   └── DrainingError
    ├── ImageError
    │   ├── ImageNotFoundError
    │   ├── ImageAccessDeniedError
    │   ├── ImagePullFailedError
    │   └── ImagePullTimedOutError
    ├── EngineError                      the Docker Engine refused, failed or vanished
    │   ├── EngineUnreachableError       no connection, or no answer in time
    │   ├── EngineRefusedError           answered 4xx: it will not do this
    │   │   ├── EngineNotFoundError      404
    │   │   └── EngineConflictError      409
    │   ├── EngineFailedError            answered 5xx: it could not do this
    │   └── EngineProtocolError          answered something that is not its API
    │       └── MultiplexedStreamError
    │           ├── InvalidFrameHeaderError
    │           ├── TruncatedFrameError
    │           └── DaemonStreamError    a frame of type 3: an error of the daemon
    ├── OutputSpoolError                 a task's output could not be kept on this node's disk
    └── StateStoreError                  the node's own database could not be read or written

What HTTP makes of them is the business of ``ecs.request_handlers.problems`` alone.
"""

from dataclasses import dataclass
from typing import ClassVar


class EcsError(Exception):
    """Base of all; ``code`` is part of the API and never changes."""

    code: ClassVar[str] = "internal_error"


@dataclass(frozen=True)
class FieldError:
    """One bad field: a JSON pointer (RFC 6901) into the body and what to change."""

    pointer: str
    detail: str


class InvalidRequestError(EcsError):
    """The request is malformed."""

    code = "invalid_request"

    def __init__(self, detail: str, fields: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.fields = fields


class UnsupportedMediaTypeError(InvalidRequestError):
    """The body is not ``application/json``."""

    code = "unsupported_media_type"


class NotAcceptableError(InvalidRequestError):
    """The caller accepts none of the representations there are."""

    code = "not_acceptable"


class RequestTooLargeError(InvalidRequestError):
    """The body is larger than ``max_request_bytes``."""

    code = "request_too_large"


class RequestNotAllowedError(InvalidRequestError):
    """The request is well-formed, but the operator's policy refuses it."""

    code = "not_allowed"


class AdmissionError(EcsError):
    """No work is taken now; try again after ``retry_after_seconds``."""

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class QueueFullError(AdmissionError):
    """The queue is full, or longer than its deadline allows."""

    code = "queue_full"


class TooManyTasksError(AdmissionError):
    """The caller has as many tasks here as one caller may."""

    code = "too_many_tasks"


class QueueTimedOutError(AdmissionError):
    """The task waited in the queue for ``queue_timeout_seconds``."""

    code = "queue_timed_out"


class DrainingError(AdmissionError):
    """The service is stopping."""

    code = "draining"


class ImageError(EcsError):
    """The image cannot be had."""


class ImageNotFoundError(ImageError):
    """The registry (or, with ``pull: never``, the engine) has no such image."""

    code = "image_not_found"


class ImageAccessDeniedError(ImageError):
    """The registry does not give the image to these credentials, or to none."""

    code = "image_access_denied"


class ImagePullFailedError(ImageError):
    """The pull failed for any other reason, such as a registry out of reach."""

    code = "image_pull_failed"


class ImagePullTimedOutError(ImageError):
    """The pull did not end within ``pull_timeout_seconds``."""

    code = "image_pull_timed_out"


class EngineError(EcsError):
    """The Docker Engine refused, failed or vanished."""

    code = "engine_error"


class EngineUnreachableError(EngineError):
    """No connection to the engine, or no answer in time."""

    code = "engine_unreachable"


class EngineRefusedError(EngineError):
    """The engine answered 4xx; the text is its own message."""

    code = "engine_refused"


class EngineNotFoundError(EngineRefusedError):
    """The engine answered 404."""


class EngineConflictError(EngineRefusedError):
    """The engine answered 409."""


class EngineFailedError(EngineError):
    """The engine answered 5xx; the text is its own message."""


class EngineProtocolError(EngineError):
    """The engine's answer is not of its API."""


class MultiplexedStreamError(EngineProtocolError):
    """A stream of frames is broken."""


class InvalidFrameHeaderError(MultiplexedStreamError):
    """A frame header names no known stream."""


class TruncatedFrameError(MultiplexedStreamError):
    """The stream ended within a frame."""


class DaemonStreamError(MultiplexedStreamError):
    """The daemon reported an error inside the stream."""


class OutputSpoolError(EcsError):
    """A task's output could not be written to, or read from, the spool directory."""

    code = "output_spool_failed"


class StateStoreError(EcsError):
    """What outlives the process could not be read or written."""

    code = "state_store_failed"
