"""What every verb of the API is made from."""

import json

from ecs.docker_remote_api.connection import DockerRemoteApi


class Verb:
    """One verb of the API, or two that differ by what is asked for: a way to the engine."""

    def __init__(self, api: DockerRemoteApi) -> None:
        self._api = api


def label_filter(label: str) -> str:
    """Return the ``filters`` of a list of what carries ``label`` (``name`` or ``name=value``)."""
    return json.dumps({"label": [label]})
