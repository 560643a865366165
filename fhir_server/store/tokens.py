"""Access tokens as rows: insert, look up with client and account, revoke. Only the SHA-256 of one is stored."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import LargeBinary, and_, bindparam, insert, select, update

from fhir_server.store import prepared
from fhir_server.store.account_tables import account
from fhir_server.store.database import Session
from fhir_server.store.memberships import Standing, read_standing, standing_of
from fhir_server.store.oauth_tables import access_token, oauth_client


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A stored access token; instants in microseconds since the epoch, UTC.

    `key_thumbprint` names the key that whoever uses it has to prove (RFC 9449 §6); None for a bearer token.
    """

    token_hash: bytes
    grant_id: str
    client_id: str
    subject: str
    subject_key: int
    account_id: str | None
    patient: str | None
    scope: str
    purpose: str
    organization: str | None
    trusted: bool
    may_break_glass: bool
    auth_time: int
    issued_at: int
    expires_at: int
    key_thumbprint: str | None = None


_COLUMNS = [access_token.c[name] for name in TokenRow.__dataclass_fields__]
_FOUND = (
    select(*_COLUMNS, access_token.c.revoked_at, oauth_client.c.active.label("client_active"))
    .add_columns(account.c.active.label("account_active"), account.c.role, account.c.name)
    .select_from(
        access_token.outerjoin(oauth_client, oauth_client.c.client_id == access_token.c.client_id).outerjoin(
            account, account.c.id == access_token.c.account_id
        )
    )
    .where(access_token.c.token_hash == bindparam("token_hash", b"", LargeBinary))
)


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A token that holds now.

    Attributes:
        row: As stored.
        role, name: Of its account, "" where it has none.
        standing: What its subject is now.
    """

    row: TokenRow
    role: str
    name: str
    standing: Standing


def add(session: Session, row: TokenRow) -> None:
    """Store a new token."""
    session.connection.execute(
        insert(access_token), {name: getattr(row, name) for name in TokenRow.__dataclass_fields__}
    )


def live(session: Session, token_hash: bytes, now_us: int) -> LiveToken | None:
    """Return the token if it is neither expired nor revoked and its client and account are active."""
    values = {"token_hash": token_hash, "now": now_us}
    rows = prepared.run(session, "token", lambda: standing_of(_FOUND), values).all()
    found = rows[0] if rows else None
    if found is None or found.revoked_at is not None or found.expires_at <= now_us:
        return None
    # Rows have the driver's plain types: SQLite's truth is 0 or 1, and None is an outer join without a partner.
    if found.client_active is not None and not found.client_active:
        return None
    if found.account_id is not None and not found.account_active:
        return None
    return LiveToken(TokenRow(*found[: len(_COLUMNS)]), found.role or "", found.name or "", read_standing(rows))


def revoke(session: Session, token_hash: bytes, now_us: int) -> None:
    """End one token at once; an unknown token is no error (RFC 7009 §2.2)."""
    _revoke(session, access_token.c.token_hash == token_hash, now_us)


def revoke_grant(session: Session, grant_id: str, now_us: int) -> None:
    """End every access token of a grant at once."""
    _revoke(session, access_token.c.grant_id == grant_id, now_us)


def _revoke(session: Session, condition: object, now_us: int) -> None:
    statement = update(access_token).where(and_(condition, access_token.c.revoked_at.is_(None)))  # type: ignore[arg-type]
    session.connection.execute(statement.values(revoked_at=now_us))
