"""Points in time as people write them; knows no command line.

python-dateutil reads dates; what people say relatively ("yesterday 14:00", "3 days ago") it does
not know, so that is read here. Whatever could be meant in two ways is refused.
"""

import re
import warnings
from datetime import datetime, time
from itertools import product

from dateutil import parser, tz
from dateutil.relativedelta import FR, MO, SA, SU, TH, TU, WE, relativedelta

_AGO = re.compile(r"(\d{1,6}) (minute|hour|day|week|month|year)s? ago", re.IGNORECASE)
_ISO = re.compile(r"\d{4}(-?)\d{2}\1\d{2}(?!\d)")
_DAY = re.compile(r"(today|yesterday|last [a-z]+)(?: (?:at )?(.+))?", re.IGNORECASE)
_WEEKDAYS = dict(
    zip(
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        (MO, TU, WE, TH, FR, SA, SU),
        strict=True,
    )
)
_EXAMPLE = 'write it as in "2026-11-01 14:00" or "3 days ago"'
# Two days that differ in every part show which parts a text leaves out. Both years are leap years.
_ONE, _OTHER = datetime(2000, 1, 1), datetime(2004, 2, 2)


def parse(text: str, now: datetime) -> datetime:
    """Return the point in time that is meant, in the time zone of ``now`` unless it names another.

    ``now`` has a time zone. A date without a time is its midnight; without a year it is the last
    such day before ``now``.

    Raises:
        ValueError: it cannot be read, or could mean two points in time; the text says which.
    """
    words = " ".join(text.split())
    if words.lower() == "now":
        return now
    if ago := _AGO.fullmatch(words):
        return _shifted(text, now, ago[2].lower(), int(ago[1]))
    if day := _DAY.fullmatch(words):
        midnight = _midnight(text, now, day[1].lower())
        return _exact(text, _at(text, midnight, day[2]) if day[2] else midnight)
    return _exact(text, _absolute(text, now))


def _shifted(text: str, now: datetime, unit: str, count: int) -> datetime:
    try:
        if unit in ("minute", "hour"):  # elapsed time, also over a change of the clocks
            shift = relativedelta(**{f"{unit}s": -count})  # type: ignore[arg-type]
            return (now.astimezone(tz.UTC) + shift).astimezone(now.tzinfo)
        return now + relativedelta(**{f"{unit}s": -count})  # type: ignore[arg-type]
    except (OverflowError, ValueError) as error:
        raise ValueError(f"{text!r} is before the first year") from error


def _midnight(text: str, now: datetime, day: str) -> datetime:
    midnight = datetime.combine(now, time(), now.tzinfo)
    if day == "today":
        return midnight
    if day == "yesterday":
        return midnight + relativedelta(days=-1)
    name = day.removeprefix("last ")
    if name not in _WEEKDAYS:
        raise ValueError(f"{text!r} cannot be read: {name!r} is no day of the week; {_EXAMPLE}")
    return midnight + relativedelta(days=-1, weekday=_WEEKDAYS[name](-1))


def _at(text: str, midnight: datetime, clock: str) -> datetime:
    one, other = (_read(text, clock, default=day) for day in (_ONE, _OTHER))
    if (one.year, one.month, one.day) != (2000, 1, 1) or other.date() != _OTHER.date():
        raise ValueError(f"{text!r} cannot be read: {clock!r} is no time of day; {_EXAMPLE}")
    at = one.timetz()
    return datetime.combine(midnight, at, at.tzinfo or midnight.tzinfo)


def _absolute(text: str, now: datetime) -> datetime:
    one, other = (_read(text, text, default=day) for day in (_ONE, _OTHER))
    given = {part: getattr(one, part) == getattr(other, part) for part in ("year", "month", "day")}
    if not given["month"] or not given["day"]:
        raise ValueError(f"{text!r} does not say which day is meant; {_EXAMPLE}")
    zone = one.tzinfo or now.tzinfo
    if given["year"]:
        return one.replace(tzinfo=zone)
    year = now.astimezone(zone).year
    return next(
        candidate
        for back in range(9)  # 29 February comes but every eighth year around 1900 and 2100
        if (candidate := _in_year(one.replace(tzinfo=zone), year - back)) and candidate <= now
    )


def _in_year(point: datetime, year: int) -> datetime | None:
    try:
        return point.replace(year=year)
    except ValueError:
        return None


def _read(whole: str, text: str, *, default: datetime) -> datetime:
    """Read one text in all ways that dates are written, and insist that they agree."""
    ways = ((False, True),) if _ISO.match(text.strip()) else product((False, True), repeat=2)
    readings = {
        _parsed(whole, text, default, day_first=day_first, year_first=year_first)
        for day_first, year_first in ways
    }
    if len(readings) > 1:
        meanings = " or ".join(sorted({f"{one:%Y-%m-%d}" for one in readings}))
        raise ValueError(f"{whole!r} could be {meanings}: write the year first, as in 2026-11-01")
    return readings.pop()


def _parsed(
    whole: str, text: str, default: datetime, *, day_first: bool, year_first: bool
) -> datetime:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", parser.UnknownTimezoneWarning)
            return parser.parse(text, default=default, dayfirst=day_first, yearfirst=year_first)
    except parser.UnknownTimezoneWarning as error:
        raise ValueError(
            f"{whole!r} names a time zone that is not known here: write it as in "
            '"2026-11-01 14:00 +01:00"'
        ) from error
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{whole!r} cannot be read: {_EXAMPLE}") from error


def _exact(text: str, point: datetime) -> datetime:
    """Refuse what the change of the clocks makes double or skips."""
    if tz.datetime_ambiguous(point):
        raise ValueError(f"{text!r} comes twice, when the clocks go back: add the offset (+01:00)")
    if not tz.datetime_exists(point):
        raise ValueError(f"{text!r} never comes, since the clocks go forward: add the offset")
    return point
