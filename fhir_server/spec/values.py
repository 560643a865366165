"""Turn FHIR values into what an index can hold: intervals of time, ranges of numbers, folded text, parsed references.

Pure functions over JSON values. An interval is closed-open, [lo, hi), in microseconds since 1970-01-01 UTC; what has no
end reaches `OPEN_END`. A text that is no value of its type raises `ValueError` with a reason fit for the caller.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any

OPEN_START = -(2**62)
OPEN_END = 2**62

Interval = tuple[int, int]

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_DAY_US = 24 * 60 * _MINUTE_US
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FRACTION_DIGITS = 6
_MONTHS = 12
_DATE_TIME = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]|60)(?:\.([0-9]+))?)?"
    r"(?:Z|([+-])(0[0-9]|1[0-4]):([0-5][0-9]))?)?)?)?"
)

# Far beyond any measured quantity, and short of what makes arithmetic slow or a double overflow.
_DECIMAL_DIGIT_LIMIT = 64
_DECIMAL_EXPONENT_LIMIT = 300
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")

# Latin, Greek and Cyrillic letters end here once they are decomposed; from here on a mark can be a letter of its own,
# but for Hebrew and Arabic, whose marks are vowels that most texts leave out.
_STROKES = str.maketrans("øłđħŧƀɨɉɍɏƶǥɇıȼⱥ", "oldhtbijryzgeica")
_LAST_FOLDED_LETTER = "\u052f"
_FIRST_POINTED_LETTER, _LAST_POINTED_LETTER = "\u05d0", "\u06ff"

_RELATIVE = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9.-]{1,64})(?:/_history/([A-Za-z0-9.-]{1,64}))?")


def date_interval(text: str) -> Interval:
    """Return the time a date, dateTime or instant covers: a whole year for `2024`, a second for `…T10:00:00Z`.

    Without a zone it is read as UTC. A search may leave the seconds out
    (https://hl7.org/fhir/R4/search.html#date). A fraction covers its last digit, down to one microsecond.

    Raises:
        ValueError: Not a date, or a day or month that does not exist.
    """
    match = _DATE_TIME.fullmatch(text)
    if not match:
        raise ValueError("a date is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with an optional zone")
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    if hour is None:
        return _date_interval(int(year), month, day)
    start = (date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL) * _DAY_US
    start += (int(hour) * 60 + int(minute)) * _MINUTE_US
    if sign:
        offset = (int(zone_hours) * 60 + int(zone_minutes)) * _MINUTE_US
        start += offset if sign == "-" else -offset
    if second is None:
        return start, start + _MINUTE_US
    start += int(second) * _SECOND_US
    if not fraction:
        return start, start + _SECOND_US
    digits = fraction[:_FRACTION_DIGITS]
    unit = 10 ** (_FRACTION_DIGITS - len(digits))
    start += int(digits) * unit
    return start, start + unit


def instant_text(instant: datetime) -> str:
    """Return an aware UTC instant as FHIR writes it, to the millisecond: `2026-01-31T10:00:00.000Z`."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _date_interval(year: int, month: str | None, day: str | None) -> Interval:
    if day is not None and month is not None:
        first = date(year, int(month), int(day)).toordinal()
        last = first
    elif month is not None:
        first = date(year, int(month), 1).toordinal()
        # The day before the next month begins; counting from 31 days on also serves December of 9999.
        last = first + _days_in_month(year, int(month)) - 1
    else:
        first, last = date(year, 1, 1).toordinal(), date(year, _MONTHS, 31).toordinal()
    return (first - _EPOCH_ORDINAL) * _DAY_US, (last + 1 - _EPOCH_ORDINAL) * _DAY_US


def _days_in_month(year: int, month: int) -> int:
    if month == _MONTHS:
        return 31
    return date(year, month + 1, 1).toordinal() - date(year, month, 1).toordinal()


def period_interval(period: Mapping[str, Any]) -> Interval | None:
    """Return the time from the first moment of `start` to the last of `end`; None when it has neither.

    Raises:
        ValueError: See `date_interval`.
    """
    start, end = period.get("start"), period.get("end")
    if start is None and end is None:
        return None
    low = OPEN_START if start is None else date_interval(start)[0]
    high = OPEN_END if end is None else date_interval(end)[1]
    return (low, high) if low < high else (high, low)


def timing_interval(timing: Mapping[str, Any]) -> Interval | None:
    """Return the time from the first to the last of the events and bounds of a Timing; None when it fixes no time.

    Repetitions are not counted out: `boundsPeriod` is what encloses them (https://hl7.org/fhir/R4/search.html#date).

    Raises:
        ValueError: See `date_interval`.
    """
    found = [date_interval(event) for event in timing.get("event", ()) if event is not None]
    bounds = timing.get("repeat", {}).get("boundsPeriod")
    if bounds is not None and (interval := period_interval(bounds)):
        found.append(interval)
    if not found:
        return None
    return min(low for low, _ in found), max(high for _, high in found)


def decimal_range(text: str) -> tuple[Decimal, Decimal]:
    """Return the range [lo, hi) that a number stands for by its significant figures: `100` is [99.5, 100.5).

    With a positive exponent, half a unit is taken one digit below the last figure, for the specification makes `1e2`
    the range [95, 105) (https://hl7.org/fhir/R4/search.html#number).

    Raises:
        ValueError: Not a decimal, or more digits than any quantity has.
    """
    if len(text) > _DECIMAL_DIGIT_LIMIT or not _DECIMAL.fullmatch(text):
        raise ValueError("a number is digits with an optional sign, point and exponent")
    number = Decimal(text)
    exponent = int(number.as_tuple().exponent)
    if abs(number.adjusted()) > _DECIMAL_EXPONENT_LIMIT:
        raise ValueError(f"a number has an exponent of at most {_DECIMAL_EXPONENT_LIMIT}")
    half = Decimal(5).scaleb(exponent - (2 if exponent > 0 else 1))
    with localcontext() as context:
        # INVARIANT: room for every digit of either operand, so that neither bound is rounded.
        context.prec = 4 * _DECIMAL_DIGIT_LIMIT
        return number - half, number + half


def fold(text: str) -> str:
    """Return text for comparing without regard to case, accents and runs of white space.

    Accents go from Latin, Greek and Cyrillic letters, vowel points from Hebrew and Arabic ones, no others: the voicing
    mark of a Japanese kana is no accent. Strokes through Latin letters go too, which Unicode has no marks for.
    Idempotent.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    kept = []
    # A mark that stands first, as in a part of a word, is judged by its own place among the scripts.
    base = text[0] if unicodedata.category(text[0]) == "Mn" and text[0] > _LAST_POINTED_LETTER else ""
    for character in unicodedata.normalize("NFKD", text.casefold()):
        if unicodedata.category(character) != "Mn":
            base = character
        elif base <= _LAST_FOLDED_LETTER or _FIRST_POINTED_LETTER <= base <= _LAST_POINTED_LETTER:
            continue
        kept.append(character)
    # Compatibility forms such as the ohm sign bring new capitals, hence the second casefold.
    return " ".join(unicodedata.normalize("NFC", "".join(kept).casefold().translate(_STROKES)).split())


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a reference or canonical points.

    INVARIANT: `type` and `id` are set only for a resource of this server, `url` only for anything else, so that
    `Patient/1` elsewhere can never pass for `Patient/1` here.

    Attributes:
        type: Resource type, for a resource of this server.
        id: Its logical id.
        version: The version after `/_history/`, or after `|` of a canonical; None when not said.
        url: The absolute URL, `urn:` or `#contained` reference, without its version.
    """

    type: str | None
    id: str | None
    version: str | None
    url: str | None


def parse_reference(text: str, base_url: str) -> Reference:
    """Return what a reference says, without looking it up; never fails, for any URI may be referred to.

    Args:
        text: `Patient/1`, `Patient/1/_history/2`, an absolute URL, `urn:uuid:…`, `#contained`, `canonical|version`.
        base_url: Base URL of this server's FHIR API, with or without a final slash.
    """
    root = base_url.rstrip("/") + "/"
    if match := _RELATIVE.fullmatch(text.removeprefix(root)):
        return Reference(match[1], match[2], match[3], None)
    url, _, version = text.partition("|")
    if not version:
        url, _, version = text.partition("/_history/")
    return Reference(None, None, version or None, url)
