import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.errors import NotAcceptableError
from ecs.request_handlers.negotiation import best_match

JSON, EVENTS, TEXT = "application/json", "text/event-stream", "text/plain"
OFFERED = (JSON, EVENTS, TEXT)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        (",", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("text/event-stream", EVENTS),
        ("text/plain", TEXT),
        ("TEXT/Plain", TEXT),
        (" text/plain ", TEXT),
        ("text/*", EVENTS),
        ("text/plain, */*", JSON),  # equal qualities: the first that is offered
        ("text/plain, */*;q=0.9", TEXT),
        ("text/plain;q=0.5, application/json;q=0.4", TEXT),
        ("text/plain;q=0.4,application/json;q=0.5", JSON),
        ("text/plain; q=0.4, application/json; q=0.5", JSON),
        ("text/plain;Q=1, application/json;q=0.5", TEXT),
        ("text/*;q=0.9, text/event-stream;q=0.1, application/json;q=0.5", TEXT),
        ("*/*, application/json;q=0", EVENTS),
        ("*/*;q=0.1, text/*;q=0", JSON),
        ("application/xml, text/plain;q=0.1", TEXT),
        ("text/plain;format=flowed", TEXT),
        ("text/plain;format=flowed;q=0, text/event-stream", EVENTS),
        ("text/plain;q=many, application/json;q=0.1", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", JSON),
    ],
)
def test_the_caller_is_given_what_it_prefers(accept: str, chosen: str) -> None:
    assert best_match(accept, OFFERED) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "application/xml",
        "text/html, image/*",
        "application/json;q=0",
        "*/*;q=0",
        "*/*;q=0.000, text/*;q=0",
        "application/json;q=bad",
        "application/json;q=",
        "application/json;q=-1",
        "application/json;q=1.001",
        "application/json;q=inf",
        "application/json;q=1e999",
        "application/json;q=-0",
        "json",
        "*",
    ],
)
def test_a_caller_who_takes_nothing_there_is_is_told_what_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match="application/json, text/event-stream, text/plain"):
        best_match(accept, OFFERED)


@pytest.mark.parametrize("quality", ["nan", "NaN", "-nan"])
def test_a_quality_that_is_no_number_is_none(quality: str) -> None:
    assert best_match(f"application/json;q={quality}, text/plain;q=0.1", OFFERED) == TEXT


@given(accept=st.text(alphabet="aptx/json*;,q=0.1 -", max_size=60))
def test_any_header_is_an_offered_type_or_is_refused(accept: str) -> None:
    try:
        assert best_match(accept, OFFERED) in OFFERED
    except NotAcceptableError:
        return
