"""Callers who do not say who they are, on the log, but not as a way to fill it.

A refused request (401) is one event per network address and minute in each server process; an act that needs no account
is one each, and limited where it is done. None names a patient: nothing was decided about a record, and else a stranger
could write into anybody's access log.
"""

from __future__ import annotations

from fhir_server.interactions import audit, road
from fhir_server.interactions.audit_parts import Agent
from fhir_server.interactions.model import Context
from fhir_server.spec.outcome import FhirError
from fhir_server.store import events
from fhir_server.store.database import Session


def record_stranger(context: Context, error: FhirError) -> None:
    """Make the AuditEvent of a request without a valid token durable, unless this address has one of this minute.

    Args:
        context: Where it happened.
        error: The refusal; its diagnostics are a fixed sentence of ours.

    Raises:
        FhirError: UNAVAILABLE (503) when it cannot be written.
    """
    if context.recorder is not None and context.recorder.is_news(context.address, context.now()):
        agent = Agent("", address=context.address)
        road.record(context, [audit.login_event(agent, context, succeeded=False, reason=error.diagnostics)])


def record_act(context: Context, session: Session, action: str, description: str, *, reason: str = "") -> None:
    """Write the AuditEvent of an act that needs no account, in the act's transaction.

    Args:
        context: Where it happened.
        session: The transaction.
        action: What was done, such as `send-contact-message`.
        description: To what: kind and id, never what was typed.
        reason: Why it was refused, a fixed sentence of ours; "" where it was done.
    """
    agent = Agent("", address=context.address)
    event = audit.stranger_event(agent, context, action=action, description=description, reason=reason)
    events.append(session, [event])
