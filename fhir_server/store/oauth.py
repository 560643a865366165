"""The permissions people gave to OAuth clients, as rows. Clients are in `oauth_clients`, codes in `oauth_codes`.

One authorization makes one grant row, and every code and token of it points there. To a person several authorizations
of one app for one record are one permission: they are listed and removed together.

INVARIANT: whoever issues from a grant or ends it locks the grant's row first (`lock`), so that no token is made beside
a revocation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, or_, select, update

from fhir_server.store.account_tables import portal_session
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.oauth_clients import secret_hash
from fhir_server.store.oauth_tables import access_token, choice, code, grant, oauth_client, refresh_token


@dataclass(frozen=True, slots=True)
class Authorization:
    """One person's yes to one client: what every token of it stands for.

    Attributes:
        subject: `Patient/…`, `RelatedPerson/…` or `Practitioner/…`.
        patient: Launch patient (`Patient/…`), or "".
        scope: What was granted.
        auth_time: When the person had signed in, aware UTC.
        encounter: `Encounter/…` the app was launched in, or "".
        context: Further resources it was launched with, such as `DocumentReference/…`.
        session_id: The portal session it was granted in: `online_access` ends with it.
    """

    id: str
    client_id: str
    account_id: str
    subject: str
    patient: str
    scope: str
    purpose: str
    organization: str
    may_break_glass: bool
    auth_time: datetime
    granted_at: datetime
    encounter: str = ""
    context: tuple[str, ...] = ()
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """One app connected to one record, as its person sees it; instants aware UTC."""

    id: str
    client_id: str
    client_name: str
    scope: str
    patient: str
    granted_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A stored access token as introspection shows it; instants aware UTC; `key_thumbprint` "" for a bearer token."""

    grant_id: str
    client_id: str
    subject: str
    account_id: str
    patient: str
    scope: str
    issued_at: datetime
    expires_at: datetime
    key_thumbprint: str = ""


def add_authorization(session: Session, new: Authorization) -> None:
    """Store a person's permission."""
    session.connection.execute(
        insert(grant),
        {
            "id": new.id,
            "client_id": new.client_id,
            "account_id": new.account_id,
            "subject": new.subject,
            "patient": new.patient or None,
            "scope": new.scope,
            "purpose": new.purpose,
            "organization": new.organization or None,
            "may_break_glass": new.may_break_glass,
            "auth_time": to_us(new.auth_time),
            "granted_at": to_us(new.granted_at),
            "encounter": new.encounter or None,
            "context": " ".join(new.context) or None,
            "session_id": new.session_id or None,
        },
    )


def lock(session: Session, grant_id: str) -> None:
    """Serialise issuing from a grant with ending it, until the end of the transaction."""
    session.connection.execute(select(grant.c.id).where(grant.c.id == grant_id).with_for_update())


def authorization(session: Session, grant_id: str) -> Authorization | None:
    """Return a permission that has not been taken back."""
    statement = select(grant).where(grant.c.id == grant_id, grant.c.revoked_at.is_(None))
    row = session.connection.execute(statement).one_or_none()
    if row is None:
        return None
    return Authorization(
        id=row.id,
        client_id=row.client_id,
        account_id=row.account_id,
        subject=row.subject,
        patient=row.patient or "",
        scope=row.scope,
        purpose=row.purpose,
        organization=row.organization or "",
        may_break_glass=row.may_break_glass,
        auth_time=from_us(row.auth_time),
        granted_at=from_us(row.granted_at),
        encounter=row.encounter or "",
        context=tuple((row.context or "").split()),
        session_id=row.session_id or "",
    )


def online_since(session: Session, session_id: str) -> datetime | None:
    """Return when a portal session began that its person has not ended, None for any other."""
    row = portal_session.c
    statement = select(row.started_at).where(row.id == session_id, row.ended_at.is_(None))
    started_at = session.connection.execute(statement).scalar_one_or_none()
    return from_us(started_at) if started_at is not None else None


def grants_of(session: Session, owner: str, now: datetime) -> tuple[Grant, ...]:
    """Return the apps that somebody connected and that can still reach the record, the newest first.

    Args:
        session: The transaction.
        owner: Account id, or subject such as `Patient/1`.
        now: Aware UTC; an app whose every token has expired is not connected any more.
    """
    used = select(func.max(access_token.c.issued_at)).where(access_token.c.grant_id == grant.c.id).scalar_subquery()
    statement = (
        select(grant, oauth_client.c.name.label("client_name"), used.label("used_at"))
        .join(oauth_client, oauth_client.c.client_id == grant.c.client_id)
        .where(
            or_(grant.c.account_id == owner, grant.c.subject == owner), grant.c.revoked_at.is_(None), _alive(to_us(now))
        )
        .order_by(grant.c.granted_at.desc(), grant.c.id)
    )
    apps: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in session.connection.execute(statement):
        apps.setdefault((row.client_id, row.patient or ""), []).append(row)
    return tuple(_grant(rows) for rows in apps.values())


def revoke_grant(session: Session, grant_id: str, now: datetime) -> bool:
    """End an app's connection to a record at once: every authorization of the same person, client and patient.

    Access tokens, refresh tokens and unused codes are dead when the transaction commits, and what was chosen for the
    app is forgotten. False when there is no such grant.
    """
    row = session.connection.execute(select(grant).where(grant.c.id == grant_id)).one_or_none()
    if row is None:
        return False
    same = select(grant.c.id).where(
        grant.c.account_id == row.account_id,
        grant.c.client_id == row.client_id,
        func.coalesce(grant.c.patient, "") == (row.patient or ""),
    )
    same = same.order_by(grant.c.id)
    for sibling in session.connection.execute(same).scalars().all():
        revoke_authorization(session, sibling, now)
    mine = (choice.c.account_id == row.account_id) & (choice.c.client_id == row.client_id)
    session.connection.execute(delete(choice).where(mine))
    return True


def revoke_authorization(session: Session, grant_id: str, now: datetime) -> None:
    """End one authorization: its access tokens, refresh tokens and unused code (RFC 6749 §4.1.2, RFC 9700 §4.14.2)."""
    lock(session, grant_id)
    now_us = to_us(now)
    for table, key in (
        (grant, grant.c.id),
        (access_token, access_token.c.grant_id),
        (refresh_token, refresh_token.c.grant_id),
    ):
        live = update(table).where(key == grant_id, table.c.revoked_at.is_(None))
        session.connection.execute(live.values(revoked_at=now_us))
    unused = update(code).where(code.c.grant_id == grant_id, code.c.used_at.is_(None))
    session.connection.execute(unused.values(used_at=now_us))


def live_access_token(session: Session, token: str, now: datetime) -> AccessToken | None:
    """Return an access token that is neither expired nor revoked."""
    statement = select(access_token).where(
        access_token.c.token_hash == secret_hash(token),
        access_token.c.revoked_at.is_(None),
        access_token.c.expires_at > to_us(now),
    )
    row = session.connection.execute(statement).one_or_none()
    if row is None:
        return None
    return AccessToken(
        grant_id=row.grant_id,
        client_id=row.client_id,
        subject=row.subject,
        account_id=row.account_id or "",
        patient=row.patient or "",
        scope=row.scope,
        issued_at=from_us(row.issued_at),
        expires_at=from_us(row.expires_at),
        key_thumbprint=row.key_thumbprint or "",
    )


def _alive(now_us: int) -> ColumnElement[bool]:
    """Return the condition that a grant still has a usable access or refresh token."""
    refresh = exists().where(
        refresh_token.c.grant_id == grant.c.id,
        refresh_token.c.revoked_at.is_(None),
        refresh_token.c.used_at.is_(None),
        refresh_token.c.expires_at > now_us,
    )
    access = exists().where(
        access_token.c.grant_id == grant.c.id,
        access_token.c.revoked_at.is_(None),
        access_token.c.expires_at > now_us,
    )
    return or_(refresh, access)


def _grant(rows: list[Row[Any]]) -> Grant:
    newest = rows[0]
    used_at = [row.used_at for row in rows if row.used_at is not None]
    return Grant(
        id=newest.id,
        client_id=newest.client_id,
        client_name=newest.client_name,
        scope=" ".join(_distinct(item for row in rows for item in row.scope.split())),
        patient=newest.patient or "",
        granted_at=from_us(newest.granted_at),
        last_used_at=from_us(max(used_at)) if used_at else None,
    )


def _distinct(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
