"""What a pull's lines mean; how they come over the wire is for the tests with an engine."""

import json

import pytest

from ecs.docker_remote_api.images import PullProgress, _progress, _pull_error
from ecs.errors import (
    EcsError,
    EngineProtocolError,
    ImageAccessDeniedError,
    ImageNotFoundError,
    ImagePullFailedError,
)


def line(**document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("document", "progress"),
    [
        (
            {"status": "Pulling from library/busybox", "id": "latest"},
            PullProgress("latest", "Pulling from library/busybox", None, None),
        ),
        (
            {"status": "Downloading", "id": "a1", "progressDetail": {"current": 1, "total": 2}},
            PullProgress("a1", "Downloading", 1, 2),
        ),
        (
            {"status": "Extracting", "id": "a1", "progressDetail": {"current": 1, "units": "s"}},
            PullProgress("a1", "Extracting", 1, None),
        ),
        (
            {"status": "Pull complete", "id": "a1", "progressDetail": {}},
            PullProgress("a1", "Pull complete", None, None),
        ),
        (
            {"status": "Digest: sha256:0"},
            PullProgress("", "Digest: sha256:0", None, None),
        ),
    ],
)
def test_a_line_of_progress_is_understood(
    document: dict[str, object], progress: PullProgress
) -> None:
    assert _progress(line(**document)) == progress


@pytest.mark.parametrize(
    "data",
    [
        b"not JSON",
        b'{"status": "cut',
        b'{"status": "\xff"}',
        b"[]",
        b"null",
        b'"status"',
        b"[" * 100_000,
        line(status="x", progressDetail="x"),
        line(status="x", progressDetail={"current": "1"}),
        line(status="x", errorDetail="x"),
    ],
)
def test_a_line_that_is_none_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(EngineProtocolError):
        _progress(data)


@pytest.mark.parametrize(
    "document",
    [
        {"errorDetail": {"message": "no space left"}, "error": "no space left"},
        {"errorDetail": {"message": "no space left"}},
        {"error": "no space left"},
        {"errorDetail": {"code": 1}, "error": "no space left"},
    ],
)
def test_an_error_inside_a_pull_is_raised_with_the_engines_words(
    document: dict[str, object],
) -> None:
    with pytest.raises(ImagePullFailedError, match=r"^no space left$"):
        _progress(line(**document))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("manifest for x:1 not found: manifest unknown: manifest unknown", ImageNotFoundError),
        ("name unknown: repository not known", ImageNotFoundError),
        ("received unexpected HTTP status: 404 Not Found", ImageNotFoundError),
        (
            "pull access denied for x, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
            ImageAccessDeniedError,
        ),
        (
            "Head https://x/v2/y/manifests/1: unauthorized: incorrect username or password",
            ImageAccessDeniedError,
        ),
        ("Get https://x/v2/: no basic auth credentials", ImageAccessDeniedError),
        ("unexpected status code https://x/v2/: 401 Unauthorized", ImageAccessDeniedError),
        ("unexpected status code https://x/v2/: 403 Forbidden", ImageAccessDeniedError),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", ImagePullFailedError),
        ("lookup nowhere.example: no such host", ImagePullFailedError),
        ("net/http: TLS handshake timeout", ImagePullFailedError),
        ("toomanyrequests: You have reached your pull rate limit", ImagePullFailedError),
        ("write /var/lib/docker/tmp/x: no space left on device", ImagePullFailedError),
        ("open /var/lib/docker/tmp/x: permission denied: really", ImagePullFailedError),
        ("Get https://denied.example/v2/: EOF", ImagePullFailedError),
        ("denied: no", ImageAccessDeniedError),
        ("unauthorized", ImageAccessDeniedError),
        ("manifest unknown", ImageNotFoundError),
        ("no manifest unknown to us", ImagePullFailedError),
        ("", ImagePullFailedError),
    ],
)
def test_a_registrys_refusal_is_told_apart_by_its_error_codes(
    message: str, kind: type[EcsError]
) -> None:
    error = _pull_error(message)

    assert type(error) is kind
    assert str(error) == message
