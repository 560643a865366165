"""What starting, ending and watching an emergency access have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fhir_server.access.principal import Principal
from fhir_server.interactions import audit
from fhir_server.interactions.audit_parts import Agent
from fhir_server.interactions.model import Context
from fhir_server.store import events, grants
from fhir_server.store.database import Session
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import key_of_reference


def emergency_of(access: EmergencyAccess) -> audit.Emergency:
    """Return an emergency access as the audit room wants it."""
    return audit.Emergency(
        access.id, access.patient, access.patient_id, access.reason_system, access.reason_code, access.reason
    )


def close(session: Session, context: Context, access: EmergencyAccess, agent: Agent | None = None) -> None:
    """End an access that still runs, or record the end of one whose time is over; its event says so once.

    Args:
        session: A write transaction.
        context: Clock and ids.
        access: Which.
        agent: Who ended it; the professional where it ended by itself.
    """
    ended_at = min(to_us(context.now()), access.expires_at)
    if grants.end_emergency(session, access.id, ended_at, recorded=True):
        by = agent or Agent(access.practitioner_reference)
        events.append(session, [audit.emergency_event(emergency_of(access), by, context, started=False)])


def running(context: Context, principal: Principal) -> Mapping[str, datetime]:
    """Return when the emergency accesses of this sign-in end, aware UTC, by logical id of the patient.

    For showing a professional their own accesses; what is disclosed is decided on the road.
    """
    if not principal.may_break_glass:
        return {}
    with context.store.read() as session:
        found = grants.live_emergencies(session, key_of_reference(principal.subject), to_us(context.now()))
    own = [access for access in reversed(found) if access.session == principal.session_id]
    return {access.patient_id: from_us(access.expires_at) for access in own}
