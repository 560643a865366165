"""FHIR datatypes in plain words."""

from __future__ import annotations

from datetime import time
from decimal import Decimal

import pytest

from fhir_server.portal.models import words


@pytest.mark.parametrize(
    "iso, shown",
    [
        ("2025", "2025"),
        ("2025-03", "March 2025"),
        ("2025-03-04", "Tuesday 4 March 2025"),
        ("2025-03-04T09:30:00Z", "Tuesday 4 March 2025 at 9:30am"),
        ("2025-07-04T23:30:00Z", "Saturday 5 July 2025 at 12:30am"),
        ("2025-03-04T14:00:00+00:00", "Tuesday 4 March 2025 at 2pm"),
    ],
)
def test_dates_are_as_exact_as_given_and_in_london_time(iso: str, shown: str) -> None:
    found = words.moment(iso)
    assert found is not None
    assert found.full == shown
    assert found.iso == iso


@pytest.mark.parametrize(
    "value", [None, "", 5, "yesterday", "2025-13-01", "2025-1-1", ["2025"], "9999-12-31T23:59:59-05:00"]
)
def test_what_is_no_date_has_no_moment(value: object) -> None:
    assert words.moment(value) is None


@pytest.mark.parametrize(
    "clock, shown",
    [
        (time(0), "midnight"),
        (time(12), "midday"),
        (time(0, 5), "12:05am"),
        (time(12, 30), "12:30pm"),
        (time(21), "9pm"),
    ],
)
def test_times_are_in_the_style_of_the_nhs(clock: time, shown: str) -> None:
    assert words.spoken_time(clock) == shown


def test_a_concept_is_its_text_then_a_display_then_a_code() -> None:
    coding = {"system": "s", "code": "c", "display": "d"}
    assert words.concept({"text": "t", "coding": [coding]}) == "t"
    assert words.concept({"coding": [{"code": "other"}, coding]}) == "d"
    assert words.concept({"coding": [{"code": "c"}]}) == "c"
    assert words.concept({"coding": "nonsense"}) == ""


def test_an_old_name_is_shown_only_where_there_is_no_other() -> None:
    old = {"use": "old", "family": "Smith", "given": ["Ann"]}
    official = {"use": "official", "prefix": ["Dr"], "given": ["Ann", "May"], "family": "Jones"}
    assert words.human_name({"name": [old, official]}) == "Dr Ann May Jones"
    assert words.human_name({"name": [old]}) == "Ann Smith"


def test_decimals_keep_every_digit() -> None:
    assert words.quantity({"comparator": "<", "value": Decimal("6.30"), "unit": "mmol/L"}) == "< 6.30 mmol/L"
    assert words.number(Decimal("1E+3")) == "1000"


def test_an_nhs_number_is_shown_in_three_groups() -> None:
    assert words.nhs_number("9434765919") == "943 476 5919"
    assert words.nhs_number("12") == "12"


def test_lists_read_like_a_sentence() -> None:
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
