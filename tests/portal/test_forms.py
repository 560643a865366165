"""What people type: days, NHS numbers, measurements; and the lists that staff and app pages show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from fhir_server.access.labels import GENERAL
from fhir_server.access.ownership import own_label
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.identifiers import nhs_number_answer
from fhir_server.portal.models.app import app
from fhir_server.portal.models.invitation import row
from fhir_server.portal.models.measurement import BY_CODE, amount, observation
from fhir_server.portal.routes import problem
from fhir_server.portal.shell import MENUS, places

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def day(day: str, month: str, year: str) -> date | Problem:
    return day_answer({"x-day": day, "x-month": month, "x-year": year}, "x", "the last day")


@pytest.mark.parametrize("month", ["3", "03", "Mar", "march", "MARCH"])
def test_a_month_may_be_a_number_or_a_name(month: str) -> None:
    assert day("4", month, "2027") == date(2027, 3, 4)


@pytest.mark.parametrize(
    "typed, said, field",
    [
        (("", "", ""), "Enter the last day", "#x-day"),
        (("4", "", "2027"), "The last day must include a month", "#x-month"),
        (("31", "2", "2027"), "The last day must be a real date, such as 27 3 2027", "#x-day"),
        (("4", "soon", "2027"), "The last day must be a real date, such as 27 3 2027", "#x-day"),
        (("4", "3", "99999999999"), "The last day must be a real date, such as 27 3 2027", "#x-day"),
        (("4", "3", "9" * 5000), "The last day must be a real date, such as 27 3 2027", "#x-day"),
    ],
)
def test_a_wrong_day_says_what_to_do(typed: tuple[str, str, str], said: str, field: str) -> None:
    assert day(*typed) == Problem(said, field)


@pytest.mark.parametrize(
    "typed", ["943 476 5919", "943-476-5919", " 9434765919 ", "943\u00a0476\u20115919", "943 476 59l9"]
)
def test_an_nhs_number_is_read_however_it_is_written(typed: str) -> None:
    assert nhs_number_answer({"n": typed}, "n") == "9434765919"


@pytest.mark.parametrize("typed", ["", "943 476 5918", "12", "abc", "9434765919; DROP", "٩٤٣٤٧٦٥٩١٩"])
def test_a_wrong_nhs_number_is_refused(typed: str) -> None:
    assert isinstance(nhs_number_answer({"n": typed}, "n"), Problem)


PRESSURE = BY_CODE["blood-pressure"].fields[0]
WEIGHT = BY_CODE["weight"].fields[0]


@pytest.mark.parametrize("typed, value", [("70.5", "70.5"), (" 70,5 ", "70.5"), ("70", "70")])
def test_a_weight_may_have_a_comma(typed: str, value: str) -> None:
    assert amount(WEIGHT, typed) == Decimal(value)


@pytest.mark.parametrize("typed", ["", "abc", "0", "9999", "NaN", "Infinity", "1e2000000", "70.25"])
def test_an_impossible_weight_is_refused_in_words(typed: str) -> None:
    assert isinstance(amount(WEIGHT, typed), str)


def test_a_measurement_is_the_patients_own_and_general() -> None:
    values = {"systolic": Decimal(128), "diastolic": Decimal(81)}
    made = observation(BY_CODE["blood-pressure"], values, patient={"reference": "Patient/1"}, taken=date(2026, 11, 20))
    assert made["performer"] == [{"reference": "Patient/1"}]
    assert made["effectiveDateTime"] == "2026-11-20"
    assert [part["valueQuantity"]["code"] for part in made["component"]] == ["mm[Hg]", "mm[Hg]"]
    assert own_label(made, None) == GENERAL


def test_the_problem_of_a_field_is_found_by_its_id() -> None:
    errors = [Problem("first", "#a"), Problem("second", "#b")]
    assert problem(errors, "b", "c") == "second"
    assert problem(errors, "c") == ""


def test_the_deepest_menu_entry_is_current() -> None:
    marked = {place.href: place.current for place in places("patient", "/record/letters/5")}
    assert marked["/record/letters"] == "true"
    assert marked["/record"] == ""
    assert marked["/"] == ""


def test_every_role_has_a_menu() -> None:
    assert set(MENUS) == {
        "patient", "carer", "professional", "coordinator", "service-desk", "privacy-officer", "admin",
        "developer",
    }  # fmt: skip


@dataclass
class Permission:
    """An app's permission as it is stored."""

    scope: str
    id: str = "g"
    client_name: str = "Diary"
    patient: str = "Patient/1"
    granted_at: datetime = NOW
    last_used_at: datetime | None = None


def test_an_app_is_described_by_what_it_sees_and_changes() -> None:
    shown = app(
        Permission(
            "openid offline_access patient/Observation.rs?category=http://x|vital-signs patient/Appointment.cruds"
        )
    )
    assert shown.sees == ("measurements such as blood pressure and weight", "your appointments")
    assert shown.changes == ("your appointments",)
    assert shown.stays
    assert shown.used is None


@dataclass
class Invited:
    """An invitation as it is stored."""

    id: str = "i"
    given: str = "Ann"
    family: str = "Example"
    email: str = "ann@example.org"
    created_at: datetime = NOW
    expires_at: datetime = NOW + timedelta(days=14)
    locked_until: datetime | None = None
    letter_at: datetime | None = None
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None


@pytest.mark.parametrize(
    "invitation, state, may_resend",
    [
        (Invited(), "Waiting", True),
        (Invited(expires_at=NOW), "Expired", True),
        (Invited(locked_until=NOW + timedelta(minutes=1)), "Locked after wrong codes", True),
        (Invited(cancelled_at=NOW), "Cancelled", False),
        (Invited(completed_at=NOW), "Account opened", False),
    ],
)
def test_an_invitation_says_where_it_stands(invitation: Invited, state: str, may_resend: bool) -> None:  # noqa: FBT001 - a column of the table
    shown = row(invitation, NOW)
    assert (shown.state, shown.may_resend) == (state, may_resend)
