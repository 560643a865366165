"""From a principal to what it may read and write: kinds of callers, scopes, emergencies, whose data a row becomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from fhir_server.access import purposes, scopes
from fhir_server.access.break_glass import REASON_SYSTEMS, Reason, start
from fhir_server.access.decide import Decision, author_of, decide, gate
from fhir_server.access.principal import Caller, Principal
from fhir_server.access.scopes import parse
from fhir_server.access.visibility import Gate, ScopeFilter
from fhir_server.search.on_row import LogicalId
from fhir_server.search.scopes import Narrowing
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Session
from fhir_server.store.grants import WRITE
from fhir_server.store.instants import to_us
from fhir_server.store.keys import NONE, key_of_reference, type_key

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
AT = to_us(NOW)
ANN, DR, TRUST, CARER = map(
    key_of_reference, ("Patient/ann", "Practitioner/dr", "Organization/trust", "RelatedPerson/carer")
)
CONSENT, TASK, PATIENT, OBSERVATION = map(type_key, ("Consent", "Task", "Patient", "Observation"))
NOWHERE = cast("Session", None)
"""No transaction: nobody here may have an emergency access, so none is looked up."""
ANYBODY = Principal(
    caller=Caller.PROFESSIONAL, subject="Practitioner/dr", actors=(DR, TRUST), organizations=(TRUST,),
    organization="Organization/trust", scopes=scopes.EVERYTHING, patient="", purpose="TREAT", client_id="portal",
    role="professional", name="Dr", trusted=False, may_break_glass=True, auth_time=NOW, session_id="s",
    in_emergency=False, has_rare=True,
)  # fmt: skip
BITS, OTHERS = purposes.of_caller("TREAT http://project|study")
HERE = Narrowing((LogicalId(("a",), ()),))


def _narrow(resource_type: str, query: tuple[tuple[str, str], ...]) -> Narrowing | None:
    return HERE if (resource_type, query) == ("Observation", (("category", "x"),)) else None


def _decided(right: str = "r", **change: object) -> Decision:
    return decide(NOWHERE, replace(ANYBODY, **change), _narrow, NOW, right)  # type: ignore[arg-type]


def test_a_professional_reads_by_consent_and_own_data_and_writes_where_both_hold() -> None:
    found = _decided(purpose="TREAT http://project|study")
    seen = Gate(
        AT, actors=(DR, TRUST), organizations=(TRUST, DR), directory=True, purposes=BITS, other_purposes=OTHERS,
        rare=True,
    )  # fmt: skip
    assert found == Decision(seen, replace(seen, action=WRITE, own_only=True))
    assert not _decided(has_rare=False).readable.rare


def test_an_organisation_reads_by_consent_and_own_data_and_writes_its_own() -> None:
    found = _decided(caller=Caller.ORGANIZATION, subject="Organization/trust", actors=(TRUST,))
    assert found.readable == Gate(AT, actors=(TRUST,), organizations=(TRUST,), directory=True, purposes=BITS)
    assert found.writable == Gate(AT, organizations=(TRUST,))


def test_a_patient_is_an_owner_and_nobodys_grantee() -> None:
    found = _decided(
        caller=Caller.PATIENT, subject="Patient/ann", actors=(ANN, TRUST), purpose="TREAT http://project|study"
    )
    assert found.readable == Gate(AT, own=ANN, directory=True, purposes=BITS, shielded=True)
    assert found.writable == replace(
        found.readable, organizations=(ANN,), action=WRITE, own_only=True, managed_types=(CONSENT,)
    )


def test_family_are_grantees_from_whom_authors_may_withhold() -> None:
    found = _decided(caller=Caller.RELATED, subject="RelatedPerson/carer", actors=(CARER,), organizations=())
    assert found.readable == Gate(AT, actors=(CARER,), directory=True, purposes=BITS, shielded=True)
    assert found.writable == replace(
        found.readable, organizations=(CARER,), action=WRITE, own_only=True, managed_types=(CONSENT,)
    )


@pytest.mark.parametrize("role", ["coordinator", "privacy-officer", "service-desk"])
def test_staff_see_whom_they_registered_or_review_and_nothing_clinical(role: str) -> None:
    found = _decided(
        caller=Caller.STAFF, subject="account:1", actors=(), role=role, purpose="TREAT http://project|study"
    )
    plain = Gate(AT, directory=True, purposes=BITS, own_data_types=(PATIENT, TASK))
    readable, writable = {
        "coordinator": (replace(plain, organizations=(TRUST,)), Gate(AT, organizations=(TRUST,))),
        "privacy-officer": (replace(plain, reviewed_types=(TASK, CONSENT)), Gate(AT, reviewed_types=(TASK,))),
        "service-desk": (plain, Gate(AT)),
    }[role]
    assert found == Decision(readable, writable)


def test_the_operator_sees_everything_within_its_scopes() -> None:
    assert _decided(caller=Caller.OPERATOR) == Decision(Gate(AT, everything=True), Gate(AT, everything=True))
    narrowed = Gate(AT, everything=True, scopes=(ScopeFilter(PATIENT, NONE),))
    assert _decided(caller=Caller.OPERATOR, scopes=parse("system/Patient.rs")) == Decision(narrowed, narrowed)


_OF_ANN = {"patient": "Patient/ann"}
_FILTERS: tuple[tuple[str, str, dict[str, str], tuple[ScopeFilter, ...] | None], ...] = (
    ("user/*.rs", "r", {}, None), ("system/*.cruds", "c", {}, None), ("", "r", {}, ()),
    ("user/Patient.r user/Observation.rs", "r", {}, (ScopeFilter(PATIENT, 0), ScopeFilter(OBSERVATION, 0))),
    ("user/Patient.r user/Observation.s", "s", {}, (ScopeFilter(PATIENT, 0), ScopeFilter(OBSERVATION, 0))),
    ("user/Patient.r user/Observation.cu", "c", {}, (ScopeFilter(OBSERVATION, 0),)),
    ("user/Patient.r user/*.cud", "u", {}, None), ("user/Patient.rs user/*.cud", "d", {}, None),
    ("user/Patient.rs user/*.cud", "s", {}, (ScopeFilter(PATIENT, 0),)),
    ("user/Patient.rs user/Patient.r", "r", {}, (ScopeFilter(PATIENT, 0),)),
    ("patient/*.rs", "r", _OF_ANN, (ScopeFilter(0, ANN),)), ("patient/*.rs", "r", {}, ()),
    ("patient/*.rs user/Patient.rs", "r", _OF_ANN, (ScopeFilter(0, ANN), ScopeFilter(PATIENT, 0))),
    ("user/Observation.rs?category=x", "r", _OF_ANN, (ScopeFilter(OBSERVATION, 0, HERE),)),
    ("patient/Observation.rs?category=x", "r", _OF_ANN, (ScopeFilter(OBSERVATION, ANN, HERE),)),
    ("user/Observation.rs?category=y user/*.rs?category=x", "r", {}, ()),
)  # fmt: skip


def test_scopes_narrow_what_is_read_and_written_alike() -> None:
    for text, right, change, expected in _FILTERS:
        for caller in (Caller.PROFESSIONAL, Caller.ORGANIZATION, Caller.PATIENT, Caller.STAFF):
            found = _decided(right, scopes=parse(text), caller=caller, **change)
            assert (found.readable.scopes, found.writable.scopes) == (expected, expected), (text, right, caller)
    assert parse("user/Observation.rs?category=&code=a").clinical[0].query == (("category", ""), ("code", "a"))
    assert parse("user/Observation. openid").other == {"user/Observation.", "openid"}
    assert parse("user/Observation.").clinical == ()


def test_what_a_token_or_role_may_never_do_is_refused_before_data_is_touched() -> None:
    reader = replace(ANYBODY, scopes=parse("user/Observation.rs"))
    gate(reader, "r", "Observation")
    gate(ANYBODY, "c", "Observation")
    for who, right, kind, why in ((reader, "c", "Observation", "no scope for 'c' on Observation"),
                                  (reader, "r", "Patient", "no scope for 'r' on Patient"),
                                  (ANYBODY, "c", "Patient", "may not write Patient")):  # fmt: skip
        with pytest.raises(FhirError, match=why) as refused:
            gate(who, right, kind)
        assert refused.value.kind is Kind.FORBIDDEN


def test_a_row_is_the_data_of_the_organisation_that_is_acted_for_else_of_the_person() -> None:
    assert author_of(ANYBODY) == TRUST
    assert author_of(replace(ANYBODY, organization="")) == DR
    assert author_of(replace(ANYBODY, caller=Caller.OPERATOR)) == NONE


def test_an_emergency_is_its_professionals_in_its_sign_in_until_it_ends(session: Session) -> None:
    doctor = replace(ANYBODY, in_emergency=True)
    reason = Reason(REASON_SYSTEMS[0], "ETREAT", "Unconscious in the street", declared=True)
    access = start(session, doctor, "ann", reason, now=NOW, lifetime=timedelta(hours=1))
    found = decide(session, doctor, _narrow, NOW)
    assert (found.emergencies, found.readable.emergencies, found.writable.emergencies) == ((access,), (ANN,), ())
    others = (
        replace(doctor, session_id="t"), replace(doctor, in_emergency=False), replace(doctor, may_break_glass=False),
        replace(doctor, subject="Practitioner/other"), *(replace(doctor, caller=each) for each in Caller
        if each not in {Caller.PROFESSIONAL, Caller.OPERATOR}),
    )  # fmt: skip
    for who in others:
        assert decide(session, who, _narrow, NOW).readable.emergencies == (), who
    assert decide(session, doctor, _narrow, NOW + timedelta(hours=1)).emergencies == ()
