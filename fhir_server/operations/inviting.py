"""Invite somebody to open their record: find or make the Patient on the road, then send link and code.

The page of one person, each line of a file and the administration API all come through `invite`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from fhir_server.access.principal import Principal
from fhir_server.identity import invitations, limits, nhs_login_records
from fhir_server.identity.invitations import Invitation, Person, checked
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform, record_administration
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session

NHS_NUMBER: Final = "https://fhir.nhs.uk/Id/nhs-number"
_VERIFIED: Final = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
_STATUS: Final = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus"
_NOT_YET: Final = "Patient/unknown"
_FIRST_ERROR_STATUS: Final = 400
_CHECK_THEM = "The NHS number does not belong to this last name and date of birth. Check them with the person"


def invite(
    context: Context, principal: Principal, coordinator: Account, person: Person, *, invitation_id: str = ""
) -> Invitation:
    """Invite a person; their record is found by NHS number, or made where there is none.

    Args:
        context: Where it happens.
        principal: The coordinator as the road knows them.
        coordinator: Their account.
        person: As typed; `patient` is not looked at.
        invitation_id: Id that the invitation gets, so that a second try finds the first; "" for a new one.

    Raises:
        FhirError: INVALID_VALUE naming the field; DUPLICATE for somebody who has an account or an invitation; THROTTLED
            when details that are not the record's were tried too often; what the road refuses.
    """
    now = context.now()
    details = checked(replace(person, patient=_NOT_YET), now.date())
    if not details.nhs_number:
        raise FhirError(Kind.INVALID_VALUE, "Enter the NHS number", ("nhs_number",))
    known = matched(context, details)
    with context.store.read() as session:
        invitations.refuse_duplicates(session, coordinator, replace(details, patient=known or _NOT_YET), now)
    found = replace(details, patient=record_of(context, principal, details))
    with context.store.write() as session:
        confirm(session, found)
        made = invitations.invite(session, coordinator, found, now, invitation_id=invitation_id)
        about = f"invitation {made.id} {made.patient}"
        record_administration(context, session, principal, action="invite", description=about, status=201)
    return made


def matched(context: Context, details: Person) -> str:
    """Return the record of an NHS number, `Patient/…`, "" for none; counts guesses before they are judged.

    Raises:
        FhirError: INVALID_VALUE (400) where last name or date of birth are others; THROTTLED (429) after many of those.
    """
    with context.store.write() as session:
        # INVARIANT: whose record it is depends on the number alone, and a mistyped one may be somebody else's: nobody
        # is invited to a record whose last name and date of birth are others. Guesses count before they are judged.
        is_allowed = limits.allow(session, context.now(), (limits.MISMATCH, details.nhs_number))
        record = nhs_login_records.by_number(session, details.nhs_number, traced=False)
        is_right = record is None or record.is_of(details.birth_date, details.family)
        if is_allowed and is_right:
            limits.give_back(session, (limits.MISMATCH, details.nhs_number))
    if not is_allowed:
        raise FhirError(Kind.THROTTLED, "Too many wrong details for this NHS number. Try again tomorrow")
    if not is_right:
        raise FhirError(Kind.INVALID_VALUE, _CHECK_THEM, ("nhs_number",))
    return record.reference if record else ""


def confirm(session: Session, details: Person) -> None:
    """Let nobody into a record that is another one, or another person's, by the time they are invited.

    Raises:
        FhirError: BUSINESS_RULE (422).
    """
    record = nhs_login_records.by_number(session, details.nhs_number, traced=False)
    if record is None or record.reference != details.patient or not record.is_of(details.birth_date, details.family):
        raise FhirError(Kind.BUSINESS_RULE, "This record cannot be opened by invitation", ("nhs_number",))


def record_of(context: Context, principal: Principal, details: Person) -> str:
    """Return the one record of an NHS number, `Patient/…`, made now where there is none."""
    criteria = (("identifier", f"{NHS_NUMBER}|{details.nhs_number}"),)
    outcome = perform(
        Interaction(Code.CREATE, type="Patient", resource=_patient(details), if_none_exist=criteria), principal, context
    )
    if outcome.status >= _FIRST_ERROR_STATUS:
        raise FhirError(Kind.BUSINESS_RULE, json.loads(outcome.content)["issue"][0]["diagnostics"])
    return f"Patient/{outcome.id}"


def _patient(details: Person) -> dict[str, Any]:
    """Return the Patient of somebody whom the coordinator checked face to face and who has no record yet."""
    status = {"coding": [{"system": _STATUS, "code": "01", "display": "Number present and verified"}]}
    name = {"use": "official", "text": f"{details.given} {details.family}", "family": details.family}
    return {
        "resourceType": "Patient",
        "identifier": [
            {
                "extension": [{"url": _VERIFIED, "valueCodeableConcept": status}],
                "use": "official",
                "system": NHS_NUMBER,
                "value": details.nhs_number,
            }
        ],
        "active": True,
        "name": [name | {"given": details.given.split()}],
        "birthDate": details.birth_date,
    }
