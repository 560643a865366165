"""What patients and family may say in an Appointment of theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fhir_server.access import requests
from fhir_server.access.principal import Caller
from fhir_server.spec.outcome import FhirError, Kind
from tests.access.test_authorship import CARER, PATIENT

_ANN, _CARER, _DR = "Patient/ann", "RelatedPerson/carer", "Practitioner/dr"


def _refused(caller: str, status: str, *participants: tuple[str, str], first: bool = True) -> str:
    """Return the element that a refusal names, "" for none."""
    body = {
        "status": status,
        "participant": [{"actor": {"reference": who}, "status": says} for who, says in participants],
    }
    principal = {"patient": PATIENT, "carer": CARER, "clinic": replace(PATIENT, caller=Caller.ORGANIZATION)}[caller]
    try:
        requests.check(principal, body, first=first)
    except FhirError as error:
        return error.issues[0].expression[0] if error.kind is Kind.FORBIDDEN else "?"
    return ""


def test_they_ask_or_take_the_request_back_and_answer_for_themselves_alone() -> None:
    for who in ("patient", "carer"):
        assert _refused(who, "proposed", (_ANN, "accepted"), (_DR, "needs-action")) == ""
        assert _refused(who, "cancelled", first=True) == _refused(who, "booked", first=False) == "Appointment.status"
        assert _refused(who, "cancelled", first=False) == _refused(who, "proposed", first=False) == ""
        named = _refused(who, "proposed", (_ANN, "accepted"), (_DR, "accepted"))
        assert named == "Appointment.participant[1].status"
        assert _refused(who, "proposed", (_DR, "declined")) == "Appointment.participant[0].status"
    assert _refused("carer", "proposed", (_CARER, "accepted")) == ""
    assert _refused("patient", "proposed", (_CARER, "accepted")) == "Appointment.participant[0].status"
    assert _refused("clinic", "booked", (_DR, "accepted")) == ""


def test_a_refusal_says_what_is_allowed() -> None:
    with pytest.raises(FhirError, match="must be proposed or cancelled: a patient asks"):
        requests.check(PATIENT, {"status": "booked"}, first=False)
    with pytest.raises(FhirError, match="must be needs-action for everybody but the patient"):
        requests.check(PATIENT, {"status": "proposed", "participant": [{"status": "accepted"}]}, first=True)
