"""What makers of apps said of them, and what was decided, as rows; the client itself is in `oauth_clients`.

A client that the operator registered has no such row.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, func, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us
from fhir_server.store.oauth_clients import secret_hash
from fhir_server.store.oauth_tables import access_token, app, code, grant, refresh_token


class AppState(StrEnum):
    """Where the registration of an app is; only an approved app gets tokens."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class App:
    """One registration of somebody who is not the operator.

    Attributes:
        owner: Account of its developer, or "" where it came by dynamic registration (RFC 7591).
        about: Metadata of RFC 7591 §2 that decide nothing: addresses for people, contacts, software.
        decided_by: Account of the administrator who decided last, or "".
        reason: What its maker was told.
    """

    client_id: str
    state: AppState
    owner: str
    about: Mapping[str, Any]
    registered_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    reason: str = ""


def add(session: Session, new: App, *, token: str = "") -> None:
    """Store a registration; of its registration access token (RFC 7592 §1.2) the hash only."""
    session.connection.execute(
        insert(app),
        {
            "client_id": new.client_id,
            "owner": new.owner or None,
            "token_hash": secret_hash(token) if token else None,
            "registered_at": to_us(new.registered_at),
            **_changeable(new),
        },
    )


def change(session: Session, changed: App) -> None:
    """Store the next state of a registration; one that is removed loses its registration access token."""
    values = _changeable(changed) | ({"token_hash": None} if changed.state is AppState.REMOVED else {})
    session.connection.execute(update(app).where(app.c.client_id == changed.client_id).values(values))


def found(session: Session, client_id: str, *, lock: bool = False) -> App | None:
    """Return a registration; with `lock`, nobody else decides about it until the end of the transaction."""
    statement = select(app).where(app.c.client_id == client_id)
    row = session.connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return _app(row) if row else None


def token_matches(session: Session, client_id: str, token: str) -> bool:
    """Return whether this is the registration access token of this client, in constant time."""
    stored = session.connection.execute(select(app.c.token_hash).where(app.c.client_id == client_id)).scalar()
    return stored is not None and hmac.compare_digest(stored, secret_hash(token))


def in_states(session: Session, states: Iterable[AppState], *, after: str = "", limit: int = 100) -> tuple[App, ...]:
    """Return registrations in these states, oldest first, those after a client id."""
    return _page(session, app.c.state.in_([str(state) for state in states]), after, limit)


def of_owner(session: Session, owner: str, *, after: str = "", limit: int = 100) -> tuple[App, ...]:
    """Return what a developer registered and did not remove, oldest first."""
    return _page(session, (app.c.owner == owner) & (app.c.state != str(AppState.REMOVED)), after, limit)


def count_pending(session: Session, owner: str | None = None) -> int:
    """Return how many registrations wait, of everybody or of one developer (with "": of those without an account)."""
    statement = select(func.count()).select_from(app).where(app.c.state == str(AppState.PENDING))
    if owner is not None:
        statement = statement.where(func.coalesce(app.c.owner, "") == owner)
    return int(session.connection.execute(statement).scalar_one())


def end_everything(session: Session, client_id: str, now: datetime) -> None:
    """End every permission, token and code of a client, for good: letting it in again brings none of them back."""
    live = select(grant.c.id).where(grant.c.client_id == client_id, grant.c.revoked_at.is_(None)).order_by(grant.c.id)
    # INVARIANT: locked first, so that nothing is issued beside it (see `store.oauth`).
    session.connection.execute(live.with_for_update())
    now_us = to_us(now)
    for table in (grant, access_token, refresh_token):
        statement = update(table).where(table.c.client_id == client_id, table.c.revoked_at.is_(None))
        session.connection.execute(statement.values(revoked_at=now_us))
    unused = update(code).where(code.c.client_id == client_id, code.c.used_at.is_(None))
    session.connection.execute(unused.values(used_at=now_us))


def _page(session: Session, condition: ColumnElement[bool], after: str, limit: int) -> tuple[App, ...]:
    order = (app.c.registered_at, app.c.client_id)
    statement = select(app).where(condition).order_by(*order).limit(limit)
    start = found(session, after) if after else None
    if start is not None:
        at = to_us(start.registered_at)
        later = (app.c.registered_at > at) | ((app.c.registered_at == at) & (app.c.client_id > after))
        statement = statement.where(later)
    return tuple(_app(row) for row in session.connection.execute(statement))


def _changeable(registered: App) -> dict[str, Any]:
    return {
        "state": str(registered.state),
        "about": orjson.dumps(dict(registered.about)).decode(),
        "decided_at": to_us(registered.decided_at) if registered.decided_at else None,
        "decided_by": registered.decided_by or None,
        "reason": registered.reason or None,
    }


def _app(row: Row[Any]) -> App:
    return App(
        client_id=row.client_id,
        state=AppState(row.state),
        owner=row.owner or "",
        about=orjson.loads(row.about),
        registered_at=from_us(row.registered_at),
        decided_at=maybe_from_us(row.decided_at),
        decided_by=row.decided_by or "",
        reason=row.reason or "",
    )
