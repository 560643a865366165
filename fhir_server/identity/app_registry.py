"""The registry of apps: what somebody registers waits for an administrator (`identity.app_decisions`).

Knows no HTTP. An app that is not approved gets no token, and none of its old ones works; a change that would widen what
was approved waits for approval again.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from fhir_server.identity import app_names
from fhir_server.identity.app_metadata import Metadata
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, app_registry, oauth_clients
from fhir_server.store.accounts import Account
from fhir_server.store.app_registry import App, AppState
from fhir_server.store.database import Session
from fhir_server.store.oauth_clients import Client

__all__ = ["App", "AppState", "Client"]

_MOST_PENDING: Final = 500
"""Of those without an account, together: more than administrators could look at."""
_MOST_PENDING_OF_ONE: Final = 20
_REVIEWED: Final = ("description", "client_uri", "logo_uri", "tos_uri", "policy_uri")
CHANGED: Final = "changed"
"""Where `App.about` keeps which fields were changed since it was last approved."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A client with what its maker said of it.

    Attributes:
        client: What it may do.
        app: What its maker said and what was decided; None where the operator registered it.
    """

    client: Client
    app: App | None

    @property
    def state(self) -> AppState:
        """Return where it is."""
        if self.app is not None:
            return self.app.state
        return AppState.APPROVED if self.client.active else AppState.SUSPENDED

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the fields that were changed since it was last approved."""
        return tuple(self.app.about.get(CHANGED, ())) if self.app is not None else ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is shown once.

    Attributes:
        secret: The client's, "" where it has none or keeps its own.
        token: Registration access token (RFC 7592), "" where it has none.
    """

    secret: str = ""
    token: str = ""


def register(
    session: Session, metadata: Metadata, *, owner: Account | None, now: datetime
) -> tuple[Registration, Credentials]:
    """Register an app that waits for an administrator; without an owner it can be managed with a token of its own.

    Raises:
        FhirError: THROTTLED (429) when too many wait already.
    """
    pending = app_registry.count_pending(session, owner.id if owner else "")
    if pending >= (_MOST_PENDING_OF_ONE if owner else _MOST_PENDING):
        raise FhirError(Kind.THROTTLED, "Too many registrations wait for an administrator. Try again another day")
    client = _described(Client(str(uuid.uuid4()), "", "", (), "", now, active=False), metadata)
    app = App(client.client_id, AppState.PENDING, owner.id if owner else "", metadata.about, now)
    shown = Credentials(_new_secret() if client.kind == "secret" else "", "" if owner else _new_token())
    oauth_clients.add_client(session, client, secret=shown.secret or None)
    app_registry.add(session, app, token=shown.token)
    return Registration(client, app), shown


def change(session: Session, client_id: str, metadata: Metadata) -> tuple[Registration, Credentials]:
    """Replace what was registered; unless it only narrows, the app waits for an administrator again.

    Raises:
        FhirError: NOT_FOUND (404), FORBIDDEN (403) for one that is suspended.
    """
    before = found(session, client_id, lock=True)
    if before.app is None or before.state is AppState.REMOVED:
        raise _unknown()
    if before.state is AppState.SUSPENDED:
        raise FhirError(Kind.FORBIDDEN, "This app is suspended; ask the administrator")
    client = _described(before.client, metadata)
    wider = tuple(dict.fromkeys((*before.changed, *_widened(before, client, metadata.about))))
    waits = before.state is not AppState.APPROVED or bool(wider)
    app = replace(
        before.app,
        state=AppState.PENDING if waits else AppState.APPROVED,
        about={**metadata.about, **({CHANGED: list(wider)} if wider else {})},
    )
    client = replace(client, active=not waits)
    secret = _new_secret() if client.kind == "secret" and before.client.kind != "secret" else ""
    oauth_clients.change_client(session, client, secret=secret or None)
    app_registry.change(session, app)
    return Registration(client, app), Credentials(secret)


def new_secret(session: Session, client_id: str) -> str:
    """Return a new secret for an app; the old one no longer works.

    Raises:
        FhirError: NOT_FOUND (404), BUSINESS_RULE (422) for an app without secret.
    """
    registration = found(session, client_id, lock=True)
    if registration.client.kind != "secret":
        raise FhirError(Kind.BUSINESS_RULE, "This app proves itself in another way and has no secret")
    secret = _new_secret()
    oauth_clients.change_client(session, registration.client, secret=secret)
    return secret


def remove(session: Session, client_id: str, now: datetime) -> None:
    """Take an app away for good, with everything that people allowed it; its id stays known to the log.

    Raises:
        FhirError: NOT_FOUND (404).
    """
    registration = found(session, client_id, lock=True)
    if registration.app is None or registration.state is AppState.REMOVED:
        raise _unknown()
    end(session, registration.client, now)
    app_registry.change(session, replace(registration.app, state=AppState.REMOVED))


def found(session: Session, client_id: str, *, lock: bool = False) -> Registration:
    """Return a client with what is known of it.

    Raises:
        FhirError: NOT_FOUND (404).
    """
    app = app_registry.found(session, client_id, lock=lock)
    client = oauth_clients.client(session, client_id)
    if client is None:
        raise _unknown()
    return Registration(client, app)


def own(session: Session, owner: Account, client_id: str) -> Registration:
    """Return a developer's own app; anybody else's is as if it were not there.

    Raises:
        FhirError: NOT_FOUND (404).
    """
    registration = found(session, client_id)
    if registration.app is None or registration.app.owner != owner.id or registration.state is AppState.REMOVED:
        raise _unknown()
    return registration


def of_owner(session: Session, owner: Account) -> tuple[Registration, ...]:
    """Return a developer's apps, oldest first."""
    return tuple(found(session, app.client_id) for app in app_registry.of_owner(session, owner.id))


def waiting(session: Session, *, after: str = "", limit: int = 100) -> tuple[Registration, ...]:
    """Return the apps that wait for an administrator, oldest first."""
    listed = app_registry.in_states(session, (AppState.PENDING,), after=after, limit=limit)
    return tuple(found(session, app.client_id) for app in listed)


def in_use(session: Session) -> tuple[Registration, ...]:
    """Return every client that is approved or suspended, by name."""
    shown = (AppState.APPROVED, AppState.SUSPENDED)
    listed = (found(session, client.client_id) for client in oauth_clients.clients(session))
    return tuple(registration for registration in listed if registration.state in shown)


def lookalikes(session: Session, client: Client) -> tuple[str, ...]:
    """Return the names of other clients that a person could take this one for."""
    mine = app_names.skeleton(client.name)
    others = (other for other in oauth_clients.clients(session) if other.client_id != client.client_id)
    return tuple(other.name for other in others if app_names.skeleton(other.name) == mine)


def owner_of(session: Session, registration: Registration) -> Account | None:
    """Return the developer of an app, None where it has none."""
    owner = registration.app.owner if registration.app else ""
    return accounts.by_id(session, owner) if owner else None


def _described(client: Client, metadata: Metadata) -> Client:
    return replace(
        client,
        name=metadata.name,
        kind=metadata.kind,
        redirect_uris=metadata.redirect_uris,
        launch_uri=metadata.launch_uri,
        scope=metadata.scope,
        jwks=metadata.jwks,
        jwks_uri=metadata.jwks_uri,
        id_token_alg=metadata.id_token_alg,
        dpop_bound=metadata.dpop_bound,
    )


def _widened(before: Registration, new: Client, about: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields in which a change is more than less: what an administrator looked at is not that any more."""
    old, said = before.client, before.app.about if before.app else {}
    is_wider = {
        "client_name": new.name != old.name,
        "token_endpoint_auth_method": new.kind != old.kind,
        "redirect_uris": not set(new.redirect_uris) <= set(old.redirect_uris),
        "initiate_login_uri": new.launch_uri not in {"", old.launch_uri},
        "scope": not set(new.scope.split()) <= set(old.scope.split()),
        "jwks": new.jwks != old.jwks,
        "jwks_uri": new.jwks_uri != old.jwks_uri,
        "dpop_bound_access_tokens": old.dpop_bound and not new.dpop_bound,
        **{name: about.get(name) not in {None, said.get(name)} for name in _REVIEWED},
    }
    return tuple(name for name, wider in is_wider.items() if wider)


def end(session: Session, client: Client, now: datetime) -> None:
    """Let a client get nothing any more: its tokens, codes and permissions are over when this commits."""
    oauth_clients.set_client_active(session, client.client_id, active=False)
    app_registry.end_everything(session, client.client_id, now)


def _new_secret() -> str:
    return f"fhsec_{secrets.token_urlsafe(32)}"


def _new_token() -> str:
    return f"fhreg_{secrets.token_urlsafe(32)}"


def _unknown() -> FhirError:
    return FhirError(Kind.NOT_FOUND, "There is no such app")
