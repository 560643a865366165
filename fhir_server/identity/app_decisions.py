"""What an administrator decides of an app: approve, refuse, suspend, let in again, limit.

Knows no HTTP. Every decision is final when its transaction commits, and the app's maker is told of it by e-mail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from fhir_server.identity.app_registry import CHANGED, App, AppState, Registration, end, found, owner_of
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import app_registry, oauth_clients, resources
from fhir_server.store.database import Session

STEPS: Final = ("approve", "refuse", "suspend", "resume", "limit")
LONGEST_REASON: Final = 500
MOST_REQUESTS_PER_MINUTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    Attributes:
        step: One of `STEPS`.
        by: Account of the administrator, or another caller's subject.
        organization: `Organization/…` that a backend service acts for, with `approve` alone.
        requests_per_minute: With `approve` and `limit`: None for what the settings say, 0 for no limit.
        reason: What its maker is told.
        is_operator: The record's operator decides.
    """

    step: str
    by: str
    organization: str = ""
    requests_per_minute: int | None = None
    reason: str = ""
    is_operator: bool = False


def decide(session: Session, client_id: str, decision: Decision, now: datetime) -> None:
    """Do what was decided.

    Raises:
        FhirError: As the function of the step does; INVALID_VALUE (400) for a step that is none.
    """
    step, by, reason = decision.step, decision.by, decision.reason
    if step == "approve":
        limit, organization = decision.requests_per_minute, decision.organization
        approve(session, client_id, by=by, now=now, organization=organization, requests_per_minute=limit, reason=reason)
    elif step == "refuse":
        refuse(session, client_id, by=by, reason=reason, now=now)
    elif step == "suspend":
        suspend(session, client_id, by=by, reason=reason, now=now)
    elif step == "resume":
        resume(session, client_id, by=by, now=now, is_operator=decision.is_operator)
    elif step == "limit":
        set_limit(session, client_id, decision.requests_per_minute)
    else:
        raise _wrong("step", f"must be one of {', '.join(STEPS)}")


def approve(
    session: Session,
    client_id: str,
    *,
    by: str,
    now: datetime,
    organization: str = "",
    requests_per_minute: int | None = None,
    reason: str = "",
) -> Registration:
    """Let an app in that waits.

    Args:
        session: A write transaction.
        client_id: Which.
        by: Account of the administrator, or another caller's subject.
        now: Aware UTC.
        organization: `Organization/…` that a backend service acts for; an app has none.
        requests_per_minute: How often it may ask; None for what the settings say, 0 for no limit.
        reason: A note to its maker.

    Raises:
        FhirError: NOT_FOUND (404), CONFLICT (409) when it does not wait, INVALID_VALUE naming the field.
    """
    registration, app = _waiting(session, client_id)
    is_service = not registration.client.redirect_uris
    if is_service and not _is_there(session, organization):
        raise _wrong("organization", "must be an entry of the directory such as Organization/x: whom does it act for?")
    if not is_service and organization:
        raise _wrong("organization", "is for backend services only: an app acts for the person who uses it")
    _check_limit(requests_per_minute)
    client = replace(
        registration.client, active=True, organization=organization, requests_per_minute=requests_per_minute
    )
    oauth_clients.change_client(session, client)
    about = {name: value for name, value in app.about.items() if name != CHANGED}
    decided = replace(_decided(app, AppState.APPROVED, by, reason, now), about=about)
    return _told(session, Registration(client, decided), Notice.APP_APPROVED, now)


def refuse(session: Session, client_id: str, *, by: str, reason: str, now: datetime) -> Registration:
    """Turn down an app that waits; changing it asks again.

    Raises:
        FhirError: NOT_FOUND (404), CONFLICT (409) when it does not wait, INVALID_VALUE without a reason.
    """
    registration, app = _waiting(session, client_id)
    _require_reason(reason)
    # An app that was approved once may hold permissions; they must not come back when a later change is approved.
    end(session, registration.client, now)
    refused = replace(registration, app=_decided(app, AppState.REFUSED, by, reason, now))
    return _told(session, refused, Notice.APP_REFUSED, now)


def suspend(session: Session, client_id: str, *, by: str, reason: str, now: datetime) -> Registration:
    """Stop an app or system at once: every token, code and permission of it has ended when this commits.

    Raises:
        FhirError: NOT_FOUND (404), CONFLICT (409) when it is not in use, INVALID_VALUE without a reason.
    """
    registration = found(session, client_id, lock=True)
    if registration.state is not AppState.APPROVED:
        raise FhirError(Kind.CONFLICT, "Only what is approved can be suspended")
    _require_reason(reason)
    end(session, registration.client, now)
    client = replace(registration.client, active=False)
    if registration.app is None:
        return Registration(client, None)
    app = _decided(registration.app, AppState.SUSPENDED, by, reason, now)
    return _told(session, Registration(client, app), Notice.APP_SUSPENDED, now)


def resume(session: Session, client_id: str, *, by: str, now: datetime, is_operator: bool = False) -> Registration:
    """Let a suspended app or system in again; people have to connect it anew.

    Raises:
        FhirError: NOT_FOUND (404), CONFLICT (409) when it is not suspended, FORBIDDEN (403) for a trusted client,
            unless by the operator.
    """
    registration = found(session, client_id, lock=True)
    if registration.state is not AppState.SUSPENDED:
        raise FhirError(Kind.CONFLICT, "Only what is suspended can be let in again")
    if registration.client.trusted and not is_operator:
        # INVARIANT: a trusted client reads every record, so only who already may can let one in.
        raise FhirError(Kind.FORBIDDEN, "Only the record's operator may let a trusted client in again")
    oauth_clients.set_client_active(session, client_id, active=True)
    client = replace(registration.client, active=True)
    if registration.app is None:
        return Registration(client, None)
    app = _decided(registration.app, AppState.APPROVED, by, "", now)
    return _told(session, Registration(client, app), Notice.APP_RESUMED, now)


def set_limit(session: Session, client_id: str, requests_per_minute: int | None) -> None:
    """Say how often a client may ask: None for what the settings say, 0 for no limit.

    Raises:
        FhirError: NOT_FOUND (404), INVALID_VALUE.
    """
    _check_limit(requests_per_minute)
    client = found(session, client_id, lock=True).client
    oauth_clients.change_client(session, replace(client, requests_per_minute=requests_per_minute))


def _waiting(session: Session, client_id: str) -> tuple[Registration, App]:
    registration = found(session, client_id, lock=True)
    if registration.app is None or registration.state is not AppState.PENDING:
        raise FhirError(Kind.CONFLICT, "This app does not wait for a decision, or somebody has decided it")
    return registration, registration.app


def _decided(app: App, state: AppState, by: str, reason: str, now: datetime) -> App:
    return replace(app, state=state, decided_at=now, decided_by=by, reason=reason.strip()[:LONGEST_REASON])


def _told(session: Session, registration: Registration, notice: Notice, now: datetime) -> Registration:
    app = registration.app
    if app is None:
        return registration
    app_registry.change(session, app)
    owner = owner_of(session, registration)
    for address in [owner.email] if owner else app.about.get("contacts", ()):
        # INVARIANT: nothing that a stranger typed is in the message: it would carry their words to anybody's mailbox.
        queue(session, notice, address, now, client_id=app.client_id, reason=app.reason)
    return registration


def _check_limit(requests_per_minute: int | None) -> None:
    if requests_per_minute is not None and not 0 <= requests_per_minute <= MOST_REQUESTS_PER_MINUTE:
        raise _wrong("requests_per_minute", f"must be 0 (no limit) to {MOST_REQUESTS_PER_MINUTE:,}")


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > LONGEST_REASON or not all(c.isprintable() or c in "\r\n\t" for c in reason):
        raise _wrong("reason", f"is needed, in up to {LONGEST_REASON} characters: its maker is told")


def _is_there(session: Session, reference: str) -> bool:
    kind, _, logical_id = reference.partition("/")
    stored = resources.current(session, kind, logical_id) if kind == "Organization" and logical_id else None
    return stored is not None and not stored.deleted


def _wrong(name: str, text: str) -> FhirError:
    return FhirError(Kind.INVALID_VALUE, f"{name} {text}", (name,))
