"""Whom patients and family may name as the author of what they write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.access import authorship, scopes
from fhir_server.access.principal import Caller, Principal
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.keys import reference_key

BASE = "http://localhost/fhir"
ANNS = (reference_key("Patient", "ann"),)
PATIENT = Principal(
    caller=Caller.PATIENT, subject="Patient/ann", actors=(), organizations=(), organization="",
    scopes=scopes.EVERYTHING, patient="", purpose="TREAT", client_id="", role="", name="",
    trusted=False, may_break_glass=False, auth_time=datetime(2026, 1, 1, tzinfo=UTC), session_id="",
)  # fmt: skip
CARER = replace(PATIENT, caller=Caller.RELATED, subject="RelatedPerson/carer")
_ELEMENTS = (
    ("Observation", "performer", True), ("DocumentReference", "author", True), ("Consent", "performer", True),
    ("DocumentReference", "authenticator", False), ("DocumentReference", "custodian", False),
    ("QuestionnaireResponse", "author", False), ("QuestionnaireResponse", "source", False),
    ("Communication", "sender", False),
)  # fmt: skip
_OTHERS: tuple[dict[str, Any], ...] = (
    {"reference": "Practitioner/gp"}, {"reference": "Organization/trust"}, {"reference": "Patient/bob"},
    {"reference": "RelatedPerson/ann"}, {"reference": "#nurse"}, {"reference": "http://elsewhere/fhir/Patient/ann"},
    {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}, {"display": "Dr Ann"},
    {"identifier": {"value": "ann"}, "type": "Practitioner"},
)  # fmt: skip


def refused(principal: Principal, resource: dict[str, Any]) -> str:
    """Return the element that a refusal names, "" for none."""
    try:
        authorship.check(principal, resource, ANNS, BASE)
    except FhirError as error:
        (issue,) = error.issues
        return issue.expression[0] if error.kind is Kind.FORBIDDEN and principal.subject in error.diagnostics else "?"
    return ""


@pytest.mark.parametrize("kind, name, many", _ELEMENTS)
def test_patients_and_family_stand_for_what_they_write(kind: str, name: str, many: bool) -> None:  # noqa: FBT001
    def wrote(*references: dict[str, Any]) -> dict[str, Any]:
        return {"resourceType": kind, name: list(references) if many else references[0]}

    at = f"{kind}.{name}" + ("[0]" if many else "")
    own, carers = {"reference": "Patient/ann"}, {"reference": "RelatedPerson/carer"}
    absolute = {"reference": f"{BASE}/Patient/ann", "display": "Ann"}
    for other in _OTHERS:
        assert refused(PATIENT, wrote(other)) == refused(CARER, wrote(other)) == at, other
        # Whoever speaks for others names them: an organisation, its people and devices, the operator.
        for caller in set(Caller) - {Caller.PATIENT, Caller.RELATED}:
            assert refused(replace(PATIENT, caller=caller, subject="Organization/lab"), wrote(other)) == ""
    assert (
        refused(PATIENT, wrote(own))
        == refused(PATIENT, wrote(absolute))
        == refused(PATIENT, {"resourceType": kind})
        == ""
    )
    assert refused(PATIENT, wrote(carers)) == at
    assert [refused(CARER, wrote(each)) for each in (own, absolute, carers)] == ["", "", ""]
    if many:
        assert refused(PATIENT, wrote(own, _OTHERS[0])) == f"{kind}.{name}[1]"
    within = {"resourceType": "Observation", "contained": [{"resourceType": "Device"}, wrote(_OTHERS[0])]}
    assert refused(PATIENT, within) == f"Observation.contained[1].{name}" + ("[0]" if many else "")


def test_a_patient_names_no_other_patient_whose_record_it_is_part_of_and_is_told_who_may_be_named() -> None:
    other = {"resourceType": "Observation", "performer": [{"reference": "Patient/bob"}]}
    for who, allowed in ((PATIENT, "Patient/ann"), (CARER, "RelatedPerson/carer or the patient")):
        for patients in ((), ANNS, (*ANNS, reference_key("Patient", "bob"))):
            if who is CARER and len(patients) > 1:
                authorship.check(who, other, patients, BASE)
                continue
            with pytest.raises(FhirError, match=rf"^Observation.performer\[0\] must be {allowed}: who writes"):
                authorship.check(who, other, patients, BASE)


def test_a_note_is_signed_by_nobody_else() -> None:
    notes = [{"text": "a"}, {"text": "b", "authorString": "Ann"}, {"text": "c", "authorReference": _OTHERS[0]}]
    for kind in ("Observation", "Communication"):
        assert refused(PATIENT, {"resourceType": kind, "note": notes}) == f"{kind}.note[2].authorReference"
        assert refused(PATIENT, {"resourceType": kind, "note": notes[:2]}) == ""
