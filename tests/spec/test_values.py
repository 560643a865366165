"""Values: intervals of time, ranges of numbers, folded text, references."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.values import (
    OPEN_END,
    OPEN_START,
    Reference,
    date_interval,
    decimal_range,
    fold,
    parse_reference,
    period_interval,
    timing_interval,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BASE = "https://record.example/fhir"
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text,start,end",
    [
        ("1970", "1970-01-01T00:00:00", "1971-01-01T00:00:00"),
        ("2024-02", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
        ("2024-12", "2024-12-01T00:00:00", "2025-01-01T00:00:00"),
        ("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
        ("2024-02-29T10:30", "2024-02-29T10:30:00", "2024-02-29T10:31:00"),
        ("2024-02-29T10:30:05", "2024-02-29T10:30:05", "2024-02-29T10:30:06"),
        ("2024-02-29T10:30:05Z", "2024-02-29T10:30:05", "2024-02-29T10:30:06"),
        ("2024-02-29T10:30:05.5+01:00", "2024-02-29T09:30:05.500000", "2024-02-29T09:30:05.600000"),
        ("2024-02-29T10:30:05.123456789-05:30", "2024-02-29T16:00:05.123456", "2024-02-29T16:00:05.123457"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00", "2017-01-01T00:00:01"),
    ],
)
def test_date_covers_its_precision(text: str, start: str, end: str) -> None:
    expected = tuple(microseconds(datetime.fromisoformat(each).replace(tzinfo=UTC)) for each in (start, end))
    assert date_interval(text) == expected


def test_last_year_and_month_of_the_calendar_have_an_end() -> None:
    assert date_interval("9999")[1] == date_interval("9999-12")[1] == date_interval("9999-12-31")[1] > 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "24", "2024-13", "2023-02-29", "2024-00-01", "0000", "2024-1-1", "2024-01-01T25:00:00Z", "2024-01-01T10"),
        *("2024-01-01T10:00:00+15:00", "2024-01-01 10:00:00", "2024-01-01T10:00:00.Z", "2024Z", "٢٠٢٤", "2024\n"),
    ],
)
def test_date_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        date_interval(text)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES))  # noqa: DTZ001 - Hypothesis adds the zone
def test_instant_lies_in_its_own_interval_and_in_those_of_its_less_precise_forms(moment: datetime) -> None:
    lo, hi = date_interval(moment.isoformat())
    assert lo == microseconds(moment)
    assert hi > lo
    utc = moment.astimezone(UTC).isoformat()
    for length in (4, 7, 10, 16, 19):
        wider_lo, wider_hi = date_interval(utc[:length])
        assert wider_lo <= lo < hi <= wider_hi


@given(st.dates())
def test_days_follow_each_other_without_gap(day: date) -> None:
    if day < date.max:
        assert date_interval(day.isoformat())[1] == date_interval((day + timedelta(days=1)).isoformat())[0]


def test_period_without_an_end_is_open() -> None:
    start, end = date_interval("2020-05")
    assert period_interval({"start": "2020-05"}) == (start, OPEN_END)
    assert period_interval({"end": "2020-05"}) == (OPEN_START, end)
    assert period_interval({"start": "2020-05", "end": "2020-05"}) == (start, end)
    assert period_interval({"extension": []}) is None


def test_timing_spans_events_and_bounds() -> None:
    timing = {"event": ["2020-05-03", None, "2020-05-01"], "repeat": {"boundsPeriod": {"start": "2020-04"}}}
    assert timing_interval(timing) == (date_interval("2020-04")[0], OPEN_END)
    assert timing_interval({"event": ["2020"]}) == date_interval("2020")
    assert timing_interval({"repeat": {"frequency": 1}}) is None


@pytest.mark.parametrize(
    "text,low,high",
    [
        ("100", "99.5", "100.5"),
        ("100.00", "99.995", "100.005"),
        ("1e2", "95", "105"),
        ("5.4", "5.35", "5.45"),
        ("0", "-0.5", "0.5"),
        ("-5.40", "-5.405", "-5.395"),
        ("0.0010", "0.00095", "0.00105"),
        ("1e-3", "0.0005", "0.0015"),
        ("100000000000000000.000", "99999999999999999.9995", "100000000000000000.0005"),
    ],
)
def test_number_stands_for_what_its_figures_say(text: str, low: str, high: str) -> None:
    assert decimal_range(text) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize("text", ["", "1.", ".5", "+1", "1e", "NaN", "Infinity", "1e999", "1_0", "01", "9" * 65, "१"])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a number"):
        decimal_range(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_number_lies_in_the_middle_of_its_range(number: Decimal) -> None:
    low, high = decimal_range(f"{number:f}")
    assert low < number < high
    assert number - low == high - number


@pytest.mark.parametrize(
    "text,folded",
    [
        ("  José \t ÁLVAREZ ", "jose alvarez"),
        ("Straße", "strasse"),
        ("Ἀθῆναι", "αθηναι"),
        ("Йёлка", "иелка"),
        ("\uff76\uff9e", "\u30ac"),
        ("\u30ab\u3099", "\u30ac"),
        ("İstanbul", "istanbul"),
        ("ŁUKASZ Ødegård Đorđe \u0131ş\u0131k", "lukasz odegard dorde isik"),
        ("o\u0338 \u00f8\u0301", "o o"),
        ("Ω", "ω"),
        ("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("\u0623\u064e\u062d\u0645\u064e\u062f", "\u0627\u062d\u0645\u062f"),
    ],
)
def test_fold_forgets_case_and_accents(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_fold_keeps_marks_that_are_letters() -> None:
    assert fold("か") != fold("が")
    assert fold("ก") != fold("กุ")
    assert fold("\u094d") == "\u094d"
    assert fold("\u0301a") == "a"


@given(st.text())
def test_fold_is_idempotent_and_blind_to_normal_form(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(normalize("NFD", text)) == fold(normalize("NFC", text))


@pytest.mark.parametrize(
    "text,expected",
    [
        ("Patient/1", Reference("Patient", "1", None, None)),
        ("Patient/1/_history/2", Reference("Patient", "1", "2", None)),
        (f"{BASE}/Patient/1", Reference("Patient", "1", None, None)),
        ("https://other.example/fhir/Patient/1", Reference(None, None, None, "https://other.example/fhir/Patient/1")),
        ("https://other.example/Patient/1/_history/2", Reference(None, None, "2", "https://other.example/Patient/1")),
        ("urn:uuid:6f1f…", Reference(None, None, None, "urn:uuid:6f1f…")),
        ("#med", Reference(None, None, None, "#med")),
        ("http://hl7.org/q|1.0", Reference(None, None, "1.0", "http://hl7.org/q")),
        ("evil/Patient/1", Reference(None, None, None, "evil/Patient/1")),
        ("Patient/1/x", Reference(None, None, None, "Patient/1/x")),
        ("Patient/1\n", Reference(None, None, None, "Patient/1\n")),
        ("", Reference(None, None, None, "")),
    ],
)
def test_reference_is_local_only_under_our_base(text: str, expected: Reference) -> None:
    assert parse_reference(text, BASE) == expected
    assert parse_reference(text, BASE + "/") == expected


@given(st.text())
def test_any_text_can_be_a_reference(text: str) -> None:
    reference = parse_reference(text, BASE)
    assert (reference.type is None) == (reference.id is None) == (reference.url is not None)
