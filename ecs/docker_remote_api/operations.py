"""Names for what is asked of the engine: few and fixed, whatever ids a path holds."""

import re

UNKNOWN_OPERATION = "other"

_NAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"HEAD /_ping", "ping"),
        (r"GET /info", "info"),
        (r"GET /networks/.+", "network_inspect"),
        (r"GET /images/json", "image_list"),
        (r"GET /images/.+/json", "image_inspect"),
        (r"POST /images/create", "image_pull"),
        (r"DELETE /images/.+", "image_delete"),
        (r"GET /containers/json", "container_list"),
        (r"POST /containers/create", "container_create"),
        (r"POST /containers/[^/]+/attach", "container_attach"),
        (r"POST /containers/[^/]+/wait", "container_wait"),
        (r"POST /containers/[^/]+/start", "container_start"),
        (r"POST /containers/[^/]+/rename", "container_rename"),
        (r"POST /containers/[^/]+/kill", "container_kill"),
        (r"GET /containers/[^/]+/json", "container_inspect"),
        (r"GET /containers/[^/]+/logs", "container_logs"),
        (r"GET /containers/[^/]+/archive", "container_archive_get"),
        (r"PUT /containers/[^/]+/archive", "container_archive_put"),
        (r"DELETE /containers/[^/]+", "container_delete"),
        (r"GET /volumes", "volume_list"),
        (r"POST /volumes/create", "volume_create"),
        (r"DELETE /volumes/[^/]+", "volume_delete"),
    )
)
OPERATIONS = (*(name for _, name in _NAMES), UNKNOWN_OPERATION)


def operation_name(method: str, path: str) -> str:
    """Return the name of a request, whose ``path`` has no version: one of ``OPERATIONS``."""
    request = f"{method} {path}"
    return next((name for pattern, name in _NAMES if pattern.fullmatch(request)), UNKNOWN_OPERATION)
