"""Every request has a name out of a small set."""

import re

import pytest

from ecs.docker_remote_api.operations import OPERATIONS, UNKNOWN_OPERATION, operation_name
from tests.fake_engine import ROUTES

CONTAINER = "ecs-task-0123456789abcdef"


@pytest.mark.parametrize(
    ("request_line", "name"),
    [
        ("HEAD /_ping", "ping"),
        ("GET /info", "info"),
        ("GET /networks/bridge", "network_inspect"),
        ("GET /images/json", "image_list"),
        ("GET /images/registry.example:5000/team/image:1/json", "image_inspect"),
        ("POST /images/create", "image_pull"),
        ("GET /containers/json", "container_list"),
        ("POST /containers/create", "container_create"),
        (f"POST /containers/{CONTAINER}/attach", "container_attach"),
        (f"POST /containers/{CONTAINER}/wait", "container_wait"),
        (f"POST /containers/{CONTAINER}/start", "container_start"),
        (f"POST /containers/{CONTAINER}/kill", "container_kill"),
        (f"GET /containers/{CONTAINER}/json", "container_inspect"),
        (f"GET /containers/{CONTAINER}/logs", "container_logs"),
        (f"DELETE /containers/{CONTAINER}", "container_delete"),
        (f"PUT /containers/{CONTAINER}/archive", "container_archive_put"),
        (f"GET /containers/{CONTAINER}/archive", "container_archive_get"),
        ("POST /volumes/create", "volume_create"),
        ("GET /volumes", "volume_list"),
        ("DELETE /volumes/ecs-init-0123", "volume_delete"),
        ("DELETE /images/ecs.invalid/init:0123", "image_delete"),
        ("GET /secrets", UNKNOWN_OPERATION),
    ],
)
def test_a_request_has_the_name_of_its_operation(request_line: str, name: str) -> None:
    assert operation_name(*request_line.split(" ")) == name
    assert name in OPERATIONS


@pytest.mark.parametrize("route", ROUTES.values())
def test_everything_that_is_asked_of_an_engine_in_tests_is_known(route: str) -> None:
    method, path = re.sub(r"\(\.\+\)", "x", route).split(" ")

    assert operation_name(method, path) != UNKNOWN_OPERATION
