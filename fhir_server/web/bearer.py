"""Who an access token stands for: what the doors for programs ask first. A cookie is never looked at here."""

from __future__ import annotations

from typing import cast

from flask import g, request

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.interactions.audit_strangers import record_stranger
from fhir_server.interactions.model import Context
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Session
from fhir_server.web import proof
from fhir_server.web.extension import context, current

PAID = "fhir_server.paid"
"""What a WSGI environment says of a request that was counted already, before it came here."""


def caller() -> Principal:
    """Return who the access token of this request stands for (RFC 6750 §2.1, RFC 9449 §7.1); looked up once.

    Raises:
        FhirError: UNAUTHENTICATED (401) without a valid token.
    """
    known = g.get("bearer")
    if known is None:
        try:
            known = g.bearer = _resolved(current().base)  # a copy of it for this request is not needed here
        except FhirError as error:
            if error.kind is Kind.UNAUTHENTICATED:
                record_stranger(context(), error)
            raise
    return cast("Principal", known)


def caller_again() -> Principal:
    """Return who the access token stands for now, looked up afresh.

    Raises:
        FhirError: UNAUTHENTICATED (401) where it has ended meanwhile.
    """
    g.pop("bearer", None)
    return caller()


def presented() -> tuple[str, str]:
    """Return scheme, in lower case, and token of this request's `Authorization` header, "" where they are not."""
    # Straight from the environment: a header mapping would be built for this look, at every request.
    scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return scheme.lower(), token.strip()


def _resolved(here: Context) -> Principal:
    scheme, token = presented()
    if scheme == "dpop" and token:
        return proof.resolved(here, token)
    if scheme != "bearer" or not token:
        raise FhirError(Kind.UNAUTHENTICATED, "An access token is required")
    return of_token(here, token)


def remembered(here: Context, token: str) -> Principal:
    """Return who a bearer token stands for, for a read: as `of_token`, or as it was a moment ago.

    `perform` finds out whether that still holds (`access.callers`).

    Raises:
        FhirError: UNAUTHENTICATED (401) where it does not hold, or is bound to a key.
    """
    return here.callers.of(token, here.now()) if here.callers is not None else of_token(here, token)


def of_token(here: Context, token: str) -> Principal:
    """Return who a bearer token stands for.

    Raises:
        FhirError: UNAUTHENTICATED (401) where it does not hold, or is bound to a key.
    """
    with here.store.glance() as session:
        return tokens.resolve(session, token, here.now())


def spend(client_id: str, session: Session | None = None) -> None:
    """Count one request of a client that is who it says.

    Args:
        client_id: Who asks.
        session: The write transaction that is open already, where there is one.

    Raises:
        FhirError: THROTTLED (429, with Retry-After) where its minute is used up.
    """
    if request.environ.get(PAID):
        return
    limits, here = current().client_limits, current().base
    wait_s = limits.spend(client_id, here.now(), session or here.store) if limits is not None else 0
    if wait_s:
        g.retry_after_s = wait_s
        raise FhirError(Kind.THROTTLED, f"This client asks more often than it may. Try again in {wait_s} seconds")


def known_client() -> str:
    """Return the client of whoever has proved who they are in this request, "" where nobody has; looks nothing up."""
    if (program := g.get("bearer")) is not None:
        return cast("Principal", program).client_id
    person = g.get("signed_in")
    return cast("str", person.principal.client_id) if person is not None else ""
