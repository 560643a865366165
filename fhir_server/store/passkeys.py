"""Passkeys as rows: public keys only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from fhir_server.store.account_tables import passkey
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class Passkey:
    """One credential of WebAuthn.

    Attributes:
        credential_id: base64url, as the authenticator chose it.
        public_key: COSE key, base64url.
        sign_count: Highest signature counter seen; 0 for authenticators that count nothing.
        name: What its person calls it.
    """

    credential_id: str
    account_id: str
    public_key: str
    sign_count: int
    name: str
    created_at: datetime
    last_used_at: datetime | None = None


def add(session: Session, new: Passkey) -> None:
    """Store a new passkey.

    Raises:
        FhirError: CONFLICT (409, from the enclosing transaction) where this credential is known already.
    """
    session.connection.execute(
        insert(passkey),
        {
            "credential_id": new.credential_id,
            "account_id": new.account_id,
            "public_key": new.public_key,
            "sign_count": new.sign_count,
            "name": new.name,
            "created_at": to_us(new.created_at),
        },
    )


def by_id(session: Session, credential_id: str) -> Passkey | None:
    """Return a passkey by the id of its credential."""
    found = session.connection.execute(select(passkey).where(passkey.c.credential_id == credential_id)).one_or_none()
    return _from_row(found) if found else None


def of_account(session: Session, account_id: str) -> tuple[Passkey, ...]:
    """Return the passkeys of an account, oldest first."""
    statement = select(passkey).where(passkey.c.account_id == account_id)
    rows = session.connection.execute(statement.order_by(passkey.c.created_at, passkey.c.credential_id))
    return tuple(_from_row(row) for row in rows)


def used(session: Session, known: Passkey, sign_count: int, now: datetime) -> bool:
    """Remember a use; False where another use came between, so that one signature is never taken twice."""
    row = passkey.c
    statement = update(passkey).where(row.credential_id == known.credential_id, row.sign_count == known.sign_count)
    return session.connection.execute(statement.values(sign_count=sign_count, last_used_at=to_us(now))).rowcount == 1


def rename(session: Session, account_id: str, credential_id: str, name: str) -> bool:
    """Give a passkey another name; False where it is none of the account's."""
    row = passkey.c
    statement = update(passkey).where(row.account_id == account_id, row.credential_id == credential_id)
    return session.connection.execute(statement.values(name=name)).rowcount == 1


def remove(session: Session, account_id: str, credential_id: str = "") -> int:
    """Forget one passkey of an account, or all of them; return how many."""
    statement = delete(passkey).where(passkey.c.account_id == account_id)
    if credential_id:
        statement = statement.where(passkey.c.credential_id == credential_id)
    return session.connection.execute(statement).rowcount


def _from_row(row: object) -> Passkey:
    values = {name: getattr(row, name) for name in Passkey.__dataclass_fields__}
    values["created_at"] = from_us(values["created_at"])
    values["last_used_at"] = maybe_from_us(values["last_used_at"])
    return Passkey(**values)
