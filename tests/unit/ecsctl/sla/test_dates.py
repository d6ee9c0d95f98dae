import re
from datetime import UTC, datetime

import pytest
from dateutil import tz

from ecs.ecsctl.sla.dates import parse

BERLIN = tz.gettz("Europe/Berlin")
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=BERLIN)  # a Thursday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-26T12:00:00+01:00"),
        ("today", "2026-11-26T00:00:00+01:00"),
        ("Yesterday", "2026-11-25T00:00:00+01:00"),
        ("yesterday 14:00", "2026-11-25T14:00:00+01:00"),
        ("yesterday  at 2pm", "2026-11-25T14:00:00+01:00"),
        ("today 08:00 UTC", "2026-11-26T08:00:00+00:00"),
        ("1 hour ago", "2026-11-26T11:00:00+01:00"),
        ("3 days ago", "2026-11-23T12:00:00+01:00"),
        ("2 months ago", "2026-09-26T12:00:00+02:00"),
        ("last monday", "2026-11-23T00:00:00+01:00"),
        ("last thursday", "2026-11-19T00:00:00+01:00"),
        ("last sunday 18:30", "2026-11-22T18:30:00+01:00"),
        ("2026-11-01", "2026-11-01T00:00:00+01:00"),
        ("20261101", "2026-11-01T00:00:00+01:00"),
        ("2026-11-01 14:00 +05:30", "2026-11-01T14:00:00+05:30"),
        ("2026-11-01T14:00Z", "2026-11-01T14:00:00+00:00"),
        ("1 Nov", "2026-11-01T00:00:00+01:00"),
        ("1 Dec", "2025-12-01T00:00:00+01:00"),
        ("29 Feb", "2024-02-29T00:00:00+01:00"),
        ("Nov 1st, 2026 9am", "2026-11-01T09:00:00+01:00"),
        ("13/02/2026", "2026-02-13T00:00:00+01:00"),
        ("1 July 2026", "2026-07-01T00:00:00+02:00"),
    ],
)
def test_dates_are_read_as_people_write_them(text: str, expected: str) -> None:
    assert parse(text, NOW).isoformat() == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("01/02/2026", "could be 2026-01-02 or 2026-02-01: write the year first"),
        ("1.11.2026", "could be 2026-01-11 or 2026-11-01"),
        ("1 Nov 26", "could be 2001-11-26 or 2026-11-01"),
        ("14:00", "does not say which day"),
        ("Nov", "does not say which day"),
        ("10", "does not say which day"),
        ("2026", "does not say which day"),
        ("monday", "does not say which day"),
        ("last week", "'week' is no day of the week"),
        ("yesterday 10", "'10' is no time of day"),
        ("today 3 Nov", "'3 Nov' is no time of day"),
        ("yesterday soon", "cannot be read"),
        ("1 Nov 14:00 CET", "time zone that is not known here"),
        ("2026-02-30", "cannot be read"),
        ("1795675388", "cannot be read"),
        ("", "cannot be read"),
        ("999999 years ago", "before the first year"),
        ("999999 days ago", "before the first year"),
        ("2026-10-25 02:30", "comes twice"),
        ("2026-03-29 02:30", "never comes"),
    ],
)
def test_what_can_be_meant_in_two_ways_or_none_is_refused_with_the_reason(
    text: str, why: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as caught:
        parse(text, NOW)

    assert str(caught.value).startswith(repr(text))
    assert len(str(caught.value).splitlines()) == 1


def test_an_hour_ago_is_an_hour_of_time_also_when_the_clocks_go_back() -> None:
    now = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)

    assert parse("1 hour ago", now).astimezone(UTC) == datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
