"""What every verb of the API is made from."""

from ecs.docker_remote_api.connection import DockerRemoteApi


class Verb:
    """One verb of the API, or two that differ by what is asked for: a way to the engine."""

    def __init__(self, api: DockerRemoteApi) -> None:
        self._api = api
