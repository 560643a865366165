"""Requests of callers who do not say who they are (401): on the log, but not as a way to fill it.

One event per network address and minute in each server process. It names no patient: nothing was decided about a
record, and else a stranger could write into anybody's access log.
"""

from __future__ import annotations

from fhir_server.interactions import audit, road
from fhir_server.interactions.audit_parts import Agent
from fhir_server.interactions.model import Context
from fhir_server.spec.outcome import FhirError


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
