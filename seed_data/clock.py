"""Dates around the day the demo is loaded on, with the offset of Europe/London.

Comes in: `today` and day counts. Goes out: FHIR date and instant strings. Must not know: resources.
"""

from __future__ import annotations

import calendar
import datetime as dt
import functools
from zoneinfo import ZoneInfo

_CLOSED = frozenset({(1, 1), (12, 25), (12, 26)})
LONDON = ZoneInfo("Europe/London")


@functools.lru_cache(maxsize=65536)
def instant(day: dt.date, hour: int, minute: int = 0) -> str:
    """Return the instant of a London wall-clock time, such as `2026-07-01T09:30:00+01:00`."""
    return dt.datetime.combine(day, dt.time(hour, minute), LONDON).isoformat()


def utc(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    """Return an aware UTC datetime."""
    return dt.datetime.combine(day, dt.time(hour, minute), dt.UTC)


def weekday(day: dt.date, *, step: int = -1) -> dt.date:
    """Return `day`, moved by `step` days until it is neither a weekend nor Christmas or New Year."""
    while day.weekday() > calendar.FRIDAY or (day.month, day.day) in _CLOSED:
        day += dt.timedelta(days=step)
    return day


def add_years(day: dt.date, years: int) -> dt.date:
    """Return the same calendar day some years on; 29 February becomes 28 February where there is none."""
    last = calendar.monthrange(day.year + years, day.month)[1]
    return day.replace(year=day.year + years, day=min(day.day, last))


def age_years(born: dt.date, on: dt.date) -> int:
    """Return the completed years of age on a day."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def spoken(day: dt.date) -> str:
    """Return a date as letters write it, such as `4 March 2025`."""
    return f"{day.day} {day:%B %Y}"
