"""Authorization codes, refresh tokens and assertions already seen: what may be used once, as rows.

INVARIANT: each is claimed under the lock of its grant or by one conditional INSERT, so that of two concurrent uses
exactly one succeeds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store import oauth
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.oauth_clients import secret_hash
from fhir_server.store.oauth_tables import access_token, assertion, code, grant, refresh_token


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code and what it is bound to; `code_challenge` is always S256.

    `key_thumbprint` names the key that its tokens are to be bound to (`dpop_jkt`, RFC 9449 §10), "" for any or none.
    """

    grant_id: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    nonce: str
    key_thumbprint: str = ""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token; instants aware UTC; `key_thumbprint` "" where it is bound to no key."""

    grant_id: str
    client_id: str
    scope: str
    issued_at: datetime
    expires_at: datetime
    key_thumbprint: str = ""


def add_code(session: Session, value: str, new: Code, *, now: datetime, expires_in_s: int) -> None:
    """Store the hash of a new authorization code, a random value of at least 256 bits."""
    session.connection.execute(
        insert(code),
        {
            "code_hash": secret_hash(value),
            "grant_id": new.grant_id,
            "client_id": new.client_id,
            "redirect_uri": new.redirect_uri,
            "code_challenge": new.code_challenge,
            "nonce": new.nonce or None,
            "key_thumbprint": new.key_thumbprint or None,
            "issued_at": to_us(now),
            "expires_at": to_us(now + timedelta(seconds=expires_in_s)),
        },
    )


def claim_code(
    session: Session, value: str, client_id: str, now: datetime, replayed: Callable[[str], None]
) -> Code | None:
    """Use a code up and return it; None when it is unknown, expired, used or another client's.

    A second use ends the authorization with all its tokens (RFC 6749 §4.1.2); before that, `replayed` is told its id.
    A code shown by another client stays as it is, so that knowing one does not let a stranger burn it.
    """
    mine = (code.c.code_hash == secret_hash(value)) & (code.c.client_id == client_id)
    grant_id = session.connection.execute(select(code.c.grant_id).where(mine)).scalar_one_or_none()
    if grant_id is None:
        return None
    oauth.lock(session, grant_id)
    row = session.connection.execute(select(code).where(mine)).one()
    if row.used_at is not None:
        replayed(grant_id)
        oauth.revoke_authorization(session, grant_id, now)
        return None
    session.connection.execute(update(code).where(mine).values(used_at=to_us(now)))
    if row.expires_at <= to_us(now):
        return None
    bound = (row.redirect_uri, row.code_challenge, row.nonce or "", row.key_thumbprint or "")
    return Code(row.grant_id, row.client_id, *bound)


def add_refresh_token(
    session: Session,
    *,
    grant_id: str,
    client_id: str,
    scope: str,
    now: datetime,
    expires_in_s: int,
    key_thumbprint: str = "",
) -> str:
    """Make a refresh token of 256 random bits and store its hash; `key_thumbprint` binds it to a key."""
    value = secrets.token_urlsafe(32)
    session.connection.execute(
        insert(refresh_token),
        {
            "token_hash": secret_hash(value),
            "grant_id": grant_id,
            "client_id": client_id,
            "scope": scope,
            "issued_at": to_us(now),
            "expires_at": to_us(now + timedelta(seconds=expires_in_s)),
            "key_thumbprint": key_thumbprint or None,
        },
    )
    return value


def claim_refresh_token(
    session: Session, value: str, client_id: str, now: datetime, replayed: Callable[[str], None]
) -> RefreshToken | None:
    """Use a refresh token up and return it; None when it is unknown, expired, revoked, used or another client's.

    A second use means that somebody else has it, so the whole family ends (RFC 9700 §4.14.2); before that,
    `replayed` is told its id.
    """
    mine = (refresh_token.c.token_hash == secret_hash(value)) & (refresh_token.c.client_id == client_id)
    grant_id = session.connection.execute(select(refresh_token.c.grant_id).where(mine)).scalar_one_or_none()
    if grant_id is None:
        return None
    oauth.lock(session, grant_id)
    row = session.connection.execute(select(refresh_token).where(mine)).one()
    if row.used_at is not None:
        replayed(grant_id)
        oauth.revoke_authorization(session, grant_id, now)
        return None
    if row.revoked_at is not None or row.expires_at <= to_us(now):
        return None
    session.connection.execute(update(refresh_token).where(mine).values(used_at=to_us(now)))
    return _refresh_token(row)


def live_refresh_token(session: Session, value: str, now: datetime) -> RefreshToken | None:
    """Return a refresh token that could be used now, without using it."""
    statement = select(refresh_token).where(
        refresh_token.c.token_hash == secret_hash(value),
        refresh_token.c.used_at.is_(None),
        refresh_token.c.revoked_at.is_(None),
        refresh_token.c.expires_at > to_us(now),
    )
    row = session.connection.execute(statement).one_or_none()
    return _refresh_token(row) if row else None


def client_of_refresh_token(session: Session, value: str) -> str:
    """Return the client a refresh token was made for, whatever became of the token; "" for an unknown one."""
    statement = select(refresh_token.c.client_id).where(refresh_token.c.token_hash == secret_hash(value))
    return session.connection.execute(statement).scalar_one_or_none() or ""


def remember_assertion(session: Session, client_id: str, jti: str, *, expires_at: datetime, now: datetime) -> bool:
    """Remember that a client used this `jti`; False when it did before (RFC 7523 §3), also concurrently or long ago."""
    return _remember(session, f"{client_id}\n{jti}", expires_at, now)


def remember_proof(session: Session, thumbprint: str, jti: str, *, expires_at: datetime, now: datetime) -> bool:
    """Remember that a key's holder used this `jti` in a DPoP proof; False when they did before (RFC 9449 §11.1)."""
    # No client id begins with a line break, so a proof is never taken for an assertion.
    return _remember(session, f"\n{thumbprint}\n{jti}", expires_at, now)


def _remember(session: Session, name: str, expires_at: datetime, now: datetime) -> bool:
    session.connection.execute(delete(assertion).where(assertion.c.expires_at < to_us(now)))
    dialect_insert = postgresql.insert if session.is_postgresql else sqlite.insert
    values = {"assertion_hash": secret_hash(name), "expires_at": to_us(expires_at)}
    # RETURNING, as drivers do not agree on the row count of an INSERT.
    statement = dialect_insert(assertion).values(values).on_conflict_do_nothing().returning(assertion.c.expires_at)
    return session.connection.execute(statement).scalar_one_or_none() is not None


def purge(session: Session, before: datetime) -> None:
    """Delete codes, tokens and grants that ended before this instant; a reused one is then merely unknown."""
    limit = to_us(before)
    for table in (code, refresh_token, access_token):
        session.connection.execute(delete(table).where(table.c.expires_at < limit))
    kept = [
        select(table.c.grant_id).where(table.c.grant_id == grant.c.id).exists()
        for table in (code, refresh_token, access_token)
    ]
    stale = delete(grant).where(grant.c.granted_at < limit, *(~used for used in kept))
    session.connection.execute(stale)


def _refresh_token(row: Row[Any]) -> RefreshToken:
    times = (from_us(row.issued_at), from_us(row.expires_at))
    return RefreshToken(row.grant_id, row.client_id, row.scope, *times, key_thumbprint=row.key_thumbprint or "")
