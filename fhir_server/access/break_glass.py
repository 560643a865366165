"""Emergency access: who may start it, and the grant it makes (access.md §6).

A grant belongs to one professional, one patient and one sign-in: it opens the patient's whole record for reading and
ends by itself.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.access.principal import Caller, Principal
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import grants
from fhir_server.store.database import Session
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.instants import to_us
from fhir_server.store.keys import NONE, key_of_reference, reference_key

FRESH_SIGN_IN = timedelta(minutes=5)
SHORTEST_REASON = 20
LONGEST_REASON = 2000
NOT_POSSIBLE = "Emergency access to this record is not possible"
"""For disabled sharing and for one's own record alike."""
REASON_SYSTEMS = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "http://snomed.info/sct")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the glass is broken: a code, the professional's own words, and their declaration."""

    system: str
    code: str
    text: str
    declared: bool


def check_caller(principal: Principal, now: datetime) -> None:
    """Refuse everybody but a human professional with the role, a fresh sign-in and the right to read a record.

    Raises:
        FhirError: FORBIDDEN (403).
    """
    if principal.caller is not Caller.PROFESSIONAL or not principal.may_break_glass:
        raise FhirError(Kind.FORBIDDEN, "Emergency access is for professionals whose role allows it")
    # INVARIANT: an app that acts while nobody is there must not hold an emergency open.
    if "offline_access" in principal.scopes.other:
        raise FhirError(Kind.FORBIDDEN, "Emergency access is not for an app with offline access")
    if not principal.scopes.allows("r", "Patient"):
        raise FhirError(Kind.FORBIDDEN, "The access token has no scope to read Patient")
    if now - principal.auth_time > FRESH_SIGN_IN:
        raise FhirError(Kind.FORBIDDEN, "Emergency access needs a sign-in at most 5 minutes old; sign in again")


def check_reason(reason: Reason) -> None:
    """Refuse an incomplete reason, naming the part.

    Raises:
        FhirError: INVALID_VALUE (400).
    """
    if reason.system not in REASON_SYSTEMS or not reason.code:
        raise FhirError(
            Kind.INVALID_VALUE,
            "reasonCode must be a Coding of v3-ActReason or SNOMED CT",
            ("Parameters.parameter.where(name = 'reasonCode')",),
        )
    if not SHORTEST_REASON <= len(" ".join(reason.text.split())) <= LONGEST_REASON:
        raise FhirError(
            Kind.INVALID_VALUE,
            f"reason must have {SHORTEST_REASON} to {LONGEST_REASON} characters",
            ("Parameters.parameter.where(name = 'reason')",),
        )
    if not reason.declared:
        raise FhirError(
            Kind.INVALID_VALUE, "declaration must be true", ("Parameters.parameter.where(name = 'declaration')",)
        )


def start(
    session: Session, principal: Principal, patient_id: str, reason: Reason, *, now: datetime, lifetime: timedelta
) -> EmergencyAccess:
    """Store and return the grant.

    Raises:
        FhirError: FORBIDDEN (403) for the caller, for a token bound to another patient and for disabled sharing;
            INVALID_VALUE (400) for the reason.
    """
    check_caller(principal, now)
    check_reason(reason)
    check_patient(session, principal, patient_id, now)
    access = EmergencyAccess(
        id=str(uuid.uuid4()),
        practitioner=key_of_reference(principal.subject),
        practitioner_reference=principal.subject,
        patient=reference_key("Patient", patient_id),
        patient_id=patient_id,
        organization=key_of_reference(principal.organization) if principal.organization else NONE,
        reason_system=reason.system,
        reason_code=reason.code,
        reason=reason.text.strip(),
        started_at=to_us(now),
        expires_at=to_us(now + lifetime),
        ended_at=None,
        end_recorded=False,
        session=principal.session_id,
    )
    grants.start_emergency(session, access)
    return access


def check_patient(session: Session, principal: Principal, patient_id: str, now: datetime) -> None:
    """Refuse a patient whom the token does not reach, or who has disabled sharing.

    Raises:
        FhirError: FORBIDDEN (403).
    """
    if principal.patient and principal.patient != f"Patient/{patient_id}":
        raise FhirError(Kind.FORBIDDEN, "The access token is for another patient")
    if grants.sharing_disabled(session, reference_key("Patient", patient_id), to_us(now)):
        raise FhirError(Kind.FORBIDDEN, NOT_POSSIBLE)
