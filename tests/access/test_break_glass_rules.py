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
    start,
)
from fhir_server.access.consent import POLICY_DENY, compile_consent
from fhir_server.access.principal import Caller, Principal
from fhir_server.spec.definitions import load
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import grants
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us
from fhir_server.store.keys import key_of_reference
from tests.consent.world import ANN, GP, TRUST, consent

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


_HOUR = timedelta(hours=1)


def _start(session: Session, principal: Principal = DOCTOR, reason: Reason = REASON) -> grants.EmergencyAccess:
    return start(session, principal, "ann", reason, now=NOW, lifetime=_HOUR)


def _running(session: Session, at: datetime = NOW) -> list[grants.EmergencyAccess]:
    return list(grants.live_emergencies(session, key_of_reference(DOCTOR.subject), to_us(at)))


def test_what_starts_runs_for_its_time_for_one_patient_and_sign_in(session: Session) -> None:
    made = _start(session, replace(DOCTOR, organization=TRUST))
    assert _running(session) == _running(session, NOW + _HOUR - timedelta(microseconds=1)) == [made]
    assert _running(session, NOW + _HOUR) == []
    assert (made.patient, made.patient_id, made.session) == (key_of_reference(ANN), "ann", "s")
    assert (made.organization, made.end_recorded, made.ended_at) == (key_of_reference(TRUST), False, None)
    assert (made.reason_system, made.reason_code, made.reason) == (REASON.system, REASON.code, REASON.text)


def test_whoever_acts_for_no_organisation_starts_it_for_none(session: Session) -> None:
    assert _start(session).organization == 0


@pytest.mark.parametrize(
    "principal, reason",
    [
        (replace(DOCTOR, may_break_glass=False), REASON),
        (DOCTOR, replace(REASON, declared=False)),
        (replace(DOCTOR, patient="Patient/bob"), REASON),
    ],
)
def test_what_is_refused_does_not_start(session: Session, principal: Principal, reason: Reason) -> None:
    with pytest.raises(FhirError):
        _start(session, principal, reason)
    assert _running(session) == []


def test_a_token_for_the_patient_starts_it(session: Session) -> None:
    assert _running(session) == []
    made = _start(session, replace(DOCTOR, patient=ANN))
    assert _running(session) == [made]


def test_sharing_disabled_refuses_it(session: Session) -> None:
    grants.replace(session, 1, compile_consent(consent(ANN, GP, policy=POLICY_DENY), 1, load().resource_types))
    with pytest.raises(FhirError, match="not possible") as refused:
        _start(session)
    assert refused.value.kind is Kind.FORBIDDEN
    assert _running(session) == []
