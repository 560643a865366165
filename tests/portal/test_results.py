"""Results in words, and the chart of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhir_server.portal.models.chart import HEIGHT, chart
from fhir_server.portal.models.result import lately, latest_by_test, newest_first, result

Json = dict[str, Any]


def observation(value: str = "5.1", at: str = "2026-01-05T09:00:00Z", **more: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"o-{at}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2", "display": "Sodium"}]},
        "effectiveDateTime": at,
        "performer": [{"reference": "Organization/1", "display": "Example Hospital"}],
        "valueQuantity": {"value": Decimal(value), "unit": "mmol/L"},
        **more,
    }


RANGE = [{"low": {"value": Decimal("3.5"), "unit": "mmol/L"}, "high": {"value": Decimal("5.3"), "unit": "mmol/L"}}]


@pytest.mark.parametrize(
    "value, said",
    [
        ("3.4", "Below the expected range"),
        ("3.5", "In the expected range"),
        ("5.3", "In the expected range"),
        ("5.31", "Above the expected range"),
    ],
)
def test_a_value_is_compared_with_its_range(value: str, said: str) -> None:
    shown = result(observation(value, referenceRange=RANGE))
    assert shown.words == said
    assert shown.range is not None
    assert shown.range.text == "3.5 to 5.3 mmol/L"


def test_what_the_laboratory_said_wins_over_the_comparison() -> None:
    high = [{"coding": [{"system": "v3", "code": "HH"}]}]
    assert result(observation("4", referenceRange=RANGE, interpretation=high)).words == "Well above the expected range"


def test_a_comparator_is_shown_and_never_compared() -> None:
    capped = {"value": Decimal(90), "comparator": ">", "unit": "mL/min"}
    shown = result(
        observation(valueQuantity=capped, referenceRange=[{"low": {"value": Decimal(95), "unit": "mL/min"}}])
    )
    assert shown.value == "> 90 mL/min"
    assert shown.words == ""


def test_nothing_is_said_where_there_is_no_range() -> None:
    shown = result(observation())
    assert (shown.words, shown.range) == ("", None)


@pytest.mark.parametrize(
    "value, shown",
    [
        ({"valueCodeableConcept": {"text": "Not detected"}}, "Not detected"),
        ({"valueString": "Cloudy"}, "Cloudy"),
        ({"valueBoolean": False}, "No"),
        ({"valueInteger": 3}, "3"),
        ({"valueRange": {"low": {"value": 1, "unit": "g"}, "high": {"value": 2, "unit": "g"}}}, "1 g to 2 g"),
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 64}}}, "1 : 64"),
        ({"valueDateTime": "2026-02-01"}, "1 February 2026"),
        ({"dataAbsentReason": {"text": "Not performed"}}, "No value: not performed"),
        ({}, "No value given"),
    ],
)
def test_every_kind_of_value_has_words(value: Json, shown: str) -> None:
    resource = observation()
    del resource["valueQuantity"]
    assert result(resource | value).value == shown


def blood_pressure(top: int, bottom: int, at: str) -> Json:
    resource = observation(at=at, code={"text": "Blood pressure"})
    del resource["valueQuantity"]
    parts = (("Systolic", top), ("Diastolic", bottom))
    resource["component"] = [
        {"code": {"text": name}, "valueQuantity": {"value": Decimal(value), "unit": "mmHg"}} for name, value in parts
    ]
    return resource


def test_blood_pressure_is_written_as_people_write_it() -> None:
    shown = result(blood_pressure(128, 81, "2026-01-01"))
    assert shown.value == "128/81 mmHg"
    assert shown.plotted == "128 81"


def test_what_the_patient_entered_says_so() -> None:
    shown = result(observation(performer=[{"reference": "Patient/1", "display": "Ann"}]))
    assert shown.source == "Entered by you"


def test_a_mistake_is_left_out_and_each_test_is_shown_once() -> None:
    old, new = observation("5", at="2025-01-01"), observation("6", at="2026-01-01")
    mistake = observation("60", at="2026-02-01", status="entered-in-error")
    entries = newest_first([old, mistake, new])
    assert [entry.value for entry in entries] == ["6 mmol/L", "5 mmol/L"]
    assert [entry.value for entry in latest_by_test(entries)] == ["6 mmol/L"]


def test_of_each_test_the_newest_is_found_among_years_of_others() -> None:
    years = [observation(str(number), at=f"2025-01-{number:02}") for number in range(28, 0, -1)]
    other = observation("7", at="2020-01-01") | {"code": {"text": "Another test"}}
    undated = observation("99") | {"issued": "2026-02-01T09:00:00Z"}
    undated.pop("effectiveDateTime")
    found = latest_by_test(lately([*years, other, undated]))
    assert [entry.value for entry in found] == ["7 mmol/L", "99 mmol/L"]
    assert found[1].before == "Up from 28 mmol/L on 28 January 2025"


def test_a_chart_needs_two_points_in_time() -> None:
    assert chart(newest_first([observation()])) is None
    assert chart(newest_first([observation(), observation("7")])) is None


def test_a_chart_rises_with_the_value_and_shades_the_range() -> None:
    drawn = chart(
        newest_first([observation("4", at="2024-01-01"), observation("6", at="2026-01-01", referenceRange=RANGE)])
    )
    assert drawn is not None
    first, second = drawn.lines[0].points
    assert first.x < second.x
    assert first.y > second.y
    assert drawn.band_top is not None
    assert drawn.band_top > second.y
    assert drawn.band_height > 0
    assert (drawn.low, drawn.high) == ("3.5", "5.3")
    assert drawn.summary == "The value went up from 4 to 6 mmol/L between January 2024 and January 2026."
    assert all(0 <= tick.at <= HEIGHT for tick in drawn.y_ticks)
    assert [tick.text for tick in drawn.x_ticks] == ["2025", "2026"]


def test_a_chart_never_mixes_units() -> None:
    other = observation("120", at="2020-01-01", valueQuantity={"value": Decimal(120), "unit": "mg/dL"})
    drawn = chart(newest_first([other, observation("4", at="2024-01-01"), observation("5", at="2025-01-01")]))
    assert drawn is not None
    assert len(drawn.lines[0].points) == 2


def test_a_pair_of_numbers_makes_two_lines() -> None:
    drawn = chart(newest_first([blood_pressure(150, 90, "2025-01-01"), blood_pressure(130, 80, "2026-01-01")]))
    assert drawn is not None
    assert drawn.names == ("Systolic", "Diastolic")


def test_a_value_that_never_changes_still_has_a_chart() -> None:
    drawn = chart(newest_first([observation("5", at="2025-01-01"), observation("5", at="2025-03-01")]))
    assert drawn is not None
    assert "did not change from 5 mmol/L" in drawn.summary
    assert [tick.text for tick in drawn.x_ticks] == ["Jan 2025", "Mar 2025"]
