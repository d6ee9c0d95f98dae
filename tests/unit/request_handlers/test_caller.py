"""Whom a request is said to come from, and whose word for it counts."""

from unittest.mock import Mock

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from ecs.request_handlers.caller import Caller, caller_of
from ecs.settings import Settings

PROXY = "10.0.0.3"
TOLD = {
    "X-Forwarded-For": "192.0.2.9",
    "X-Forwarded-Proto": "https",
    "X-ECS-Key": "k",
}


def caller(headers: dict[str, str], peer: str = PROXY) -> Caller:
    request = HTTPServerRequest(
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "x", **headers}),
        connection=Mock(),
    )
    request.remote_ip = peer
    request.protocol = "http"
    return caller_of(request, Settings.model_validate({"trusted_proxies": PROXY}))


def test_a_trusted_proxy_tells_address_protocol_and_key() -> None:
    assert caller(TOLD) == Caller("192.0.2.9", "https", "k", comes_through_proxy=True)


def test_what_anybody_else_tells_counts_for_nothing() -> None:
    assert caller(TOLD, peer="10.0.0.4") == Caller("10.0.0.4", "http")


def test_of_several_addresses_only_the_proxys_own_word_counts() -> None:
    told = TOLD | {"X-Forwarded-For": "203.0.113.1, 192.0.2.9"}
    assert caller(told).address == "192.0.2.9"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Caller(PROXY, "http", comes_through_proxy=True)),
        ({"X-Forwarded-For": "<script>"}, Caller(PROXY, "http", comes_through_proxy=True)),
        ({"X-Forwarded-Proto": "gopher"}, Caller(PROXY, "http", comes_through_proxy=True)),
    ],
)
def test_what_a_proxy_does_not_tell_well_is_the_connections_own(
    headers: dict[str, str], expected: Caller
) -> None:
    assert caller(headers) == expected
