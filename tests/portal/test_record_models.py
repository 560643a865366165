"""Appointments, letters, the summary and the person, from FHIR JSON."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime
from typing import Any

import pytest

from fhir_server.portal.calendar_file import calendar
from fhir_server.portal.models.appointment import diary, visit
from fhir_server.portal.models.letter import letter, reflowed
from fhir_server.portal.models.person import person
from fhir_server.portal.models.summary import summary

Json = dict[str, Any]
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def appointment(start: str, status: str = "booked", **more: Any) -> Json:
    return {
        "resourceType": "Appointment",
        "id": f"a-{start[:10]}",
        "status": status,
        "description": "Heart clinic",
        "start": start,
        "participant": [
            {"actor": {"reference": "Patient/1", "display": "Ann"}},
            {"actor": {"reference": "Practitioner/1", "display": "Dr Ray"}},
            {"actor": {"reference": "Location/1", "display": "Clinic 4"}},
        ],
        **more,
    }


def test_the_diary_puts_the_next_appointment_first_and_the_last_past_one_first() -> None:
    starts = ("2026-12-24T09:00:00Z", "2026-11-30T09:00:00Z", "2025-01-01T09:00:00Z", "2026-01-01T09:00:00Z")
    found = diary([appointment(start) for start in starts], NOW)
    assert [entry.id for entry in found.upcoming] == ["a-2026-11-30", "a-2026-12-24"]
    assert [entry.id for entry in found.past] == ["a-2026-01-01", "a-2025-01-01"]


def test_an_appointment_is_upcoming_until_it_ends() -> None:
    running = appointment("2026-11-22T08:50:00Z", end="2026-11-22T09:10:00Z")
    assert diary([running], NOW).upcoming


def test_an_appointment_without_a_time_is_upcoming() -> None:
    resource = appointment("2026-12-01T09:00:00Z", status="waitlist")
    del resource["start"]
    assert diary([resource], NOW).upcoming[0].start is None


def test_an_appointment_says_with_whom_and_where_but_not_the_patient() -> None:
    shown = visit(appointment("2026-12-01T09:00:00Z"))
    assert (shown.people, shown.places) == (("Dr Ray",), ("Clinic 4",))


def test_a_calendar_file_has_the_instant_and_the_place() -> None:
    content = calendar(visit(appointment("2026-07-01T09:00:00+01:00")), NOW)
    assert content is not None
    text = content.decode()
    assert "DTSTART:20260701T080000Z" in text
    assert "LOCATION:Clinic 4" in text
    assert "STATUS:CONFIRMED" in text


def test_a_cancelled_appointment_is_cancelled_in_the_calendar_too() -> None:
    content = calendar(visit(appointment("2026-07-01T09:00:00Z", status="cancelled")), NOW)
    assert content is not None
    assert b"STATUS:CANCELLED" in content


def document(*files: Json) -> Json:
    return {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "type": {"text": "Clinic letter"},
        "date": "2026-03-04T10:00:00Z",
        "author": [{"reference": "Practitioner/1", "display": "Dr Ray"}],
        "custodian": {"reference": "Organization/1", "display": "Example Hospital"},
        "content": [{"attachment": file} for file in files],
    }


def test_the_pdf_is_the_letter_and_its_text_is_the_alternative() -> None:
    text = {"contentType": "text/plain", "data": base64.b64encode(b"Dear Ann").decode()}
    shown = letter(document(text, {"contentType": "application/pdf", "url": "Binary/b1", "size": 2100}))
    assert shown.main is not None
    assert (shown.main.index, shown.main.binary, shown.main.size) == (1, "b1", "2 kB")
    assert shown.text == "Dear Ann"


@pytest.mark.parametrize(
    "file",
    [
        {"contentType": "text/html", "data": "PGI+"},
        {"contentType": "image/svg+xml", "url": "Binary/1"},
        {"contentType": "application/pdf", "url": "https://elsewhere.example/letter.pdf"},
        {"contentType": "application/pdf", "url": "Binary/../Patient/1"},
        {"contentType": "application/pdf", "url": "Observation/1"},
        {"contentType": "application/pdf"},
        {"url": "Binary/1"},
    ],
)
def test_other_types_and_other_places_are_never_shown(file: Json) -> None:
    assert letter(document(file)).main is None


def test_hard_wrapped_paragraphs_fit_a_phone() -> None:
    long = "This line was broken by whoever printed the letter, near the edge of the page"
    assert (
        reflowed(f"Dear Ann,\n\n{long}\nand goes on.\n\nYours\nRay")
        == f"Dear Ann,\n\n{long} and goes on.\n\nYours\nRay"
    )


def test_the_summary_puts_what_still_holds_first_and_leaves_mistakes_out() -> None:
    def condition(name: str, clinical: str, onset: str, verification: str = "confirmed") -> Json:
        return {
            "resourceType": "Condition",
            "code": {"text": name},
            "clinicalStatus": {"coding": [{"code": clinical}]},
            "verificationStatus": {"coding": [{"code": verification}]},
            "onsetDateTime": onset,
        }

    found = summary(
        [
            condition("Old and over", "resolved", "2025-01-01"),
            condition("Newer", "active", "2020-01-01"),
            condition("Older", "active", "2010"),
            condition("Wrong", "active", "2021-01-01", "entered-in-error"),
            {"resourceType": "Observation"},
        ]
    )
    assert [(entry.name, entry.active) for entry in found.conditions] == [
        ("Newer", True),
        ("Older", True),
        ("Old and over", False),
    ]


def test_a_serious_allergy_says_so() -> None:
    allergy = {
        "resourceType": "AllergyIntolerance",
        "code": {"text": "Penicillin"},
        "criticality": "high",
        "reaction": [{"manifestation": [{"text": "Rash"}]}],
    }
    shown = summary([allergy]).allergies[0]
    assert (shown.tag, shown.detail) == ("Could be serious", "Reaction: Rash")


@pytest.mark.parametrize(
    "fields, age",
    [
        ({"birthDate": "1976-11-23"}, "49 years old"),
        ({"birthDate": "1976-11-22"}, "50 years old"),
        ({"birthDate": "2025-12-01"}, "11 months old"),
        ({"birthDate": "1976"}, ""),
        ({"birthDate": "1940-01-01", "deceasedDateTime": "2020-05-03"}, "died 3 May 2020"),
        ({"deceasedBoolean": True}, "has died"),
    ],
)
def test_the_age_is_counted_in_the_unit_people_use(fields: Json, age: str) -> None:
    assert person({"resourceType": "Patient", "id": "1", **fields}, date(2026, 11, 22)).age == age
