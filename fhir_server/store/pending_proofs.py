"""Proofs under way: what was shown so far, and the code or challenge that was sent, in a row that only a browser names.

INVARIANT: one wrong answer is one count, made before the answer is judged; one right answer uses the row up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from fhir_server.store.account_tables import pending_proof
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class PendingProof:
    """One proof under way.

    Attributes:
        account_id: Who has to prove it; "" where the answer will tell (a passkey).
        purpose: What it is for.
        detail: What it is about, such as a session or a new number.
        failed_count: Answers judged or being judged, right ones included.
        sent_count: Codes sent.
        code_hash: Keyed hash of the code that was sent last, "" for none.
        challenge: Random value that a passkey has to sign, base64url.
    """

    token_hash: str
    account_id: str
    purpose: str
    detail: str
    created_at: datetime
    expires_at: datetime
    failed_count: int = 0
    sent_count: int = 0
    code_hash: str = ""
    code_expires_at: datetime | None = None
    challenge: str = ""
    used_at: datetime | None = None


def add(session: Session, new: PendingProof) -> None:
    """Store a proof that begins."""
    session.connection.execute(
        insert(pending_proof),
        {
            "token_hash": new.token_hash,
            "account_id": new.account_id or None,
            "purpose": new.purpose,
            "detail": new.detail or None,
            "created_at": to_us(new.created_at),
            "expires_at": to_us(new.expires_at),
            "failed_count": 0,
            "sent_count": 0,
            "challenge": new.challenge or None,
        },
    )


def live(session: Session, token_hash: str, purpose: str, now: datetime) -> PendingProof | None:
    """Return a proof that is neither over nor used."""
    row = pending_proof.c
    statement = select(pending_proof).where(
        row.token_hash == token_hash, row.purpose == purpose, row.expires_at > to_us(now), row.used_at.is_(None)
    )
    found = session.connection.execute(statement).one_or_none()
    if found is None:
        return None
    return PendingProof(
        token_hash=found.token_hash,
        account_id=found.account_id or "",
        purpose=found.purpose,
        detail=found.detail or "",
        created_at=from_us(found.created_at),
        expires_at=from_us(found.expires_at),
        failed_count=found.failed_count,
        sent_count=found.sent_count,
        code_hash=found.code_hash or "",
        code_expires_at=maybe_from_us(found.code_expires_at),
        challenge=found.challenge or "",
    )


def count_try(session: Session, token_hash: str) -> int:
    """Count one answer and return how many there are now."""
    statement = update(pending_proof).where(pending_proof.c.token_hash == token_hash)
    counted = statement.values(failed_count=pending_proof.c.failed_count + 1).returning(pending_proof.c.failed_count)
    return int(session.connection.execute(counted).scalar_one())


def send(session: Session, token_hash: str, code_hash: str, expires_at: datetime, most: int) -> bool:
    """Put a new code in place of the last one; False where as many as allowed were sent."""
    row = pending_proof.c
    statement = update(pending_proof).where(row.token_hash == token_hash, row.sent_count < most)
    values = {"sent_count": row.sent_count + 1, "code_hash": code_hash, "code_expires_at": to_us(expires_at)}
    return session.connection.execute(statement.values(values)).rowcount == 1


def use(session: Session, token_hash: str, now: datetime) -> bool:
    """Use a proof up; False where another request was first."""
    row = pending_proof.c
    statement = update(pending_proof).where(row.token_hash == token_hash, row.used_at.is_(None))
    return session.connection.execute(statement.values(used_at=to_us(now), code_hash=None)).rowcount == 1


def end_all(session: Session, account_id: str, now: datetime) -> None:
    """Let no proof that is under way for an account be finished."""
    row = pending_proof.c
    statement = update(pending_proof).where(row.account_id == account_id, row.used_at.is_(None))
    session.connection.execute(statement.values(used_at=to_us(now), code_hash=None))


def prune(session: Session, before: datetime) -> int:
    """Forget proofs that were over before an instant; return how many."""
    return session.connection.execute(delete(pending_proof).where(pending_proof.c.expires_at < to_us(before))).rowcount
