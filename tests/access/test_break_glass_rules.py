"""Who may break the glass, and for which reason: every way to be refused, and every limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir_server.access import scopes
from fhir_server.access.break_glass import (
    FRESH_SIGN_IN,
    LONGEST_REASON,
    REASON_SYSTEMS,
    SHORTEST_REASON,
    Reason,
    check_caller,
    check_reason,
)
from fhir_server.access.principal import Caller, Principal
from fhir_server.spec.outcome import FhirError, Kind

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
DOCTOR = Principal(
    caller=Caller.PROFESSIONAL, subject="Practitioner/dr", actors=(), organizations=(), organization="",
    scopes=scopes.EVERYTHING, patient="", purpose="TREAT", client_id="portal", role="professional", name="Dr",
    trusted=False, may_break_glass=True, auth_time=NOW, session_id="s",
)  # fmt: skip
REASON = Reason(REASON_SYSTEMS[0], "BTG", "Unconscious in the street", declared=True)


def test_a_professional_whose_role_allows_it_and_who_just_signed_in_may() -> None:
    check_caller(DOCTOR, NOW)
    check_caller(replace(DOCTOR, auth_time=NOW - timedelta(minutes=5)), NOW)
    check_caller(replace(DOCTOR, scopes=scopes.parse("user/Patient.r")), NOW)


@pytest.mark.parametrize(
    "change, why",
    [
        *(({"caller": caller}, "professionals") for caller in Caller if caller is not Caller.PROFESSIONAL),
        ({"may_break_glass": False}, "professionals"),
        ({"scopes": scopes.parse("user/*.rs offline_access")}, "offline"),
        ({"scopes": scopes.parse("user/Observation.rs")}, "scope to read Patient"),
        ({"scopes": scopes.parse("user/Patient.s")}, "scope to read Patient"),
        ({"auth_time": NOW - FRESH_SIGN_IN - timedelta(microseconds=1)}, "5 minutes"),
    ],
)
def test_everybody_else_may_not(change: dict[str, Any], why: str) -> None:
    with pytest.raises(FhirError, match=why) as refused:
        check_caller(replace(DOCTOR, **change), NOW)
    assert refused.value.kind is Kind.FORBIDDEN


@pytest.mark.parametrize("system", REASON_SYSTEMS)
@pytest.mark.parametrize("text", ["x" * SHORTEST_REASON, "x" * LONGEST_REASON, f"  {'x' * SHORTEST_REASON}  "])
def test_a_reason_has_a_code_of_two_systems_and_words_within_limits(system: str, text: str) -> None:
    check_reason(replace(REASON, system=system, text=text))
    assert (SHORTEST_REASON, LONGEST_REASON) == (20, 2000)


@pytest.mark.parametrize(
    "change, name",
    [
        ({"system": "http://elsewhere"}, "reasonCode"),
        ({"code": ""}, "reasonCode"),
        ({"text": "x" * (SHORTEST_REASON - 1)}, "reason"),
        ({"text": "x" * (LONGEST_REASON + 1)}, "reason"),
        ({"text": f"x{' ' * 40}y"}, "reason"),
        ({"declared": False}, "declaration"),
    ],
)
def test_an_incomplete_reason_is_refused_naming_the_part(change: dict[str, Any], name: str) -> None:
    with pytest.raises(FhirError, match=name) as refused:
        check_reason(replace(REASON, **change))
    assert refused.value.kind is Kind.INVALID_VALUE
    assert refused.value.issues[0].expression == (f"Parameters.parameter.where(name = '{name}')",)
