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
REASON_SYSTEMS = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "http://snomed.info/sct")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the glass is broken: a code, the professional's own words, and their declaration."""

    system: str
    code: str
    text: str
    declared: bool


def check_caller(principal: Principal, now: datetime) -> None:
    """Refuse everybody but a human professional with the role and a fresh sign-in.

    Raises:
        FhirError: FORBIDDEN (403).
    """
    if principal.caller is not Caller.PROFESSIONAL or not principal.may_break_glass:
        raise FhirError(Kind.FORBIDDEN, "Emergency access is for professionals whose role allows it")
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
        FhirError: FORBIDDEN (403) for the caller, for disabled sharing and for one's own record; INVALID_VALUE (400)
            for the reason.
    """
    check_caller(principal, now)
    check_reason(reason)
    patient = reference_key("Patient", patient_id)
    if grants.sharing_disabled(session, patient, to_us(now)):
        raise FhirError(Kind.FORBIDDEN, "Emergency access to this record is not possible")
    access = EmergencyAccess(
        id=str(uuid.uuid4()),
        practitioner=key_of_reference(principal.subject),
        practitioner_reference=principal.subject,
        patient=patient,
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
