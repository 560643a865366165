"""Links of accounts to identities of other providers, attempts to sign in there, and what came in each other's way.

What may be linked is `identity`'s word. An identity is a pair (issuer, subject) and never an e-mail address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from fhir_server.store.account_tables import portal_session
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us
from fhir_server.store.login_tables import login_attempt, login_conflict, login_link, login_pending


@dataclass(frozen=True, slots=True)
class LoginLink:
    """An identity that signs an account in."""

    issuer: str
    subject: str
    account_id: str
    linked_at: datetime
    used_at: datetime


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """A browser sent to a provider.

    Attributes:
        browser_hash: SHA-256 of the token in that browser's cookie.
        provider: `nhs-login` or `cis2`.
        vtr: The vectors of trust asked for, separated by spaces.
        fresh: Whether the person has to prove themselves anew.
        return_to: Path of this site to go on to.
    """

    browser_hash: str
    provider: str
    vtr: str
    fresh: bool
    return_to: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class PendingLink:
    """An identity that was proved and matched to a record, and waits for the person's next step.

    Attributes:
        person: Whose account it is or will be: `Patient/…` (NHS login), `Practitioner/…` (launch by an EHR).
        name: As it is in the record.
        email: Confirmed by the provider, or "".
        mobile: E.164, or "".
        launched: Whom an EHR launched the portal for: NHS number and date of birth, or "".
    """

    issuer: str
    subject: str
    person: str
    name: str
    email: str
    mobile: str
    return_to: str
    expires_at: datetime
    launched: str = ""


@dataclass(frozen=True, slots=True)
class LoginConflict:
    """An identity that could not be linked, for the service desk.

    Attributes:
        reason: A fixed sentence of ours.
        patient: `Patient/…`, or "" where none was found.
        account_id: The account in the way, or "".
        seen_at: When it happened last; the same conflict is one row.
    """

    id: str
    issuer: str
    subject: str
    reason: str
    patient: str
    account_id: str
    found_at: datetime
    seen_at: datetime
    closed_at: datetime | None = None


def link_of(session: Session, issuer: str, subject: str) -> LoginLink | None:
    """Return the link of an identity."""
    row = login_link.c
    statement = select(login_link).where(row.issuer == issuer, row.subject == subject)
    return _link(session.connection.execute(statement).one_or_none())


def link_to(session: Session, issuer: str, account_id: str) -> LoginLink | None:
    """Return the identity of a provider that signs an account in."""
    row = login_link.c
    statement = select(login_link).where(row.issuer == issuer, row.account_id == account_id)
    return _link(session.connection.execute(statement).one_or_none())


def add_link(session: Session, issuer: str, subject: str, account_id: str, now: datetime) -> None:
    """Store a link.

    Raises:
        FhirError: CONFLICT (409, from the enclosing transaction) when the identity or the account has another one.
    """
    values = {"issuer": issuer, "subject": subject, "account_id": account_id}
    session.connection.execute(insert(login_link), {**values, "linked_at": to_us(now), "used_at": to_us(now)})


def use(session: Session, found: LoginLink, now: datetime) -> None:
    """Remember when an identity signed in last."""
    row = login_link.c
    statement = update(login_link).where(row.issuer == found.issuer, row.subject == found.subject)
    session.connection.execute(statement.values(used_at=to_us(now)))


def remove_link(session: Session, issuer: str, account_id: str) -> bool:
    """Forget a link; False where there is none."""
    row = login_link.c
    statement = delete(login_link).where(row.issuer == issuer, row.account_id == account_id)
    return session.connection.execute(statement).rowcount == 1


def remove_links(session: Session, account_id: str) -> None:
    """Forget every identity that signs an account in."""
    session.connection.execute(delete(login_link).where(login_link.c.account_id == account_id))


def start(session: Session, state_hash: str, attempt: LoginAttempt) -> None:
    """Store an attempt."""
    values = {name: getattr(attempt, name) for name in LoginAttempt.__dataclass_fields__}
    values |= {"state_hash": state_hash, "started_at": to_us(attempt.started_at)}
    session.connection.execute(insert(login_attempt), values)


def take(session: Session, state_hash: str, browser_hash: str, now: datetime) -> LoginAttempt | None:
    """Return an attempt of this browser and use it up; None where there is none, or it was used before."""
    row = login_attempt.c
    mine = (row.state_hash == state_hash, row.browser_hash == browser_hash)
    taken = update(login_attempt).where(*mine, row.used_at.is_(None)).values(used_at=to_us(now))
    # INVARIANT: only who marks it used goes on: of two requests with one state the second finds nothing.
    if session.connection.execute(taken).rowcount != 1:
        return None
    found = session.connection.execute(select(login_attempt).where(*mine)).one()
    return LoginAttempt(
        found.browser_hash, found.provider, found.vtr, found.fresh, found.return_to, from_us(found.started_at)
    )


def forget_before(session: Session, before: datetime) -> int:
    """Forget attempts and pending links older than this; return how many."""
    old = delete(login_attempt).where(login_attempt.c.started_at < to_us(before))
    ended = delete(login_pending).where(login_pending.c.expires_at < to_us(before))
    return session.connection.execute(old).rowcount + session.connection.execute(ended).rowcount


def keep_pending(session: Session, token_hash: str, new: PendingLink) -> None:
    """Store an identity that waits for its person's next step."""
    values: dict[str, Any] = {name: getattr(new, name) for name in PendingLink.__dataclass_fields__}
    values |= {"token_hash": token_hash, "expires_at": to_us(new.expires_at)}
    session.connection.execute(insert(login_pending), values)


def pending(session: Session, token_hash: str, kind: str, now: datetime) -> PendingLink | None:
    """Return what waits under a token for a `Patient` or `Practitioner`, unless it ran out or was used."""
    row = login_pending.c
    # INVARIANT: a step that one kind of provider began is not gone on with on the pages of another.
    of_kind = row.person.startswith(f"{kind}/")
    mine = (row.token_hash == token_hash, of_kind, row.used_at.is_(None), row.expires_at > to_us(now))
    found = session.connection.execute(select(login_pending).where(*mine)).one_or_none()
    if found is None:
        return None
    texts = (found.issuer, found.subject, found.person, found.name, found.email, found.mobile, found.return_to)
    return PendingLink(*texts, from_us(found.expires_at), found.launched)


def use_pending(session: Session, token_hash: str, now: datetime) -> bool:
    """Use a pending link up; False when another request was first."""
    row = login_pending.c
    statement = update(login_pending).where(row.token_hash == token_hash, row.used_at.is_(None))
    return session.connection.execute(statement.values(used_at=to_us(now))).rowcount == 1


def note_conflict(session: Session, new: LoginConflict) -> bool:
    """Store a conflict for the service desk; False where the same one waits there already."""
    row = login_conflict.c
    same = (row.issuer == new.issuer, row.subject == new.subject, row.reason == new.reason, row.patient == new.patient)
    again = update(login_conflict).where(*same, row.closed_at.is_(None)).values(seen_at=to_us(new.seen_at))
    if session.connection.execute(again).rowcount:
        return False
    values: dict[str, Any] = {name: getattr(new, name) for name in LoginConflict.__dataclass_fields__}
    values |= {"found_at": to_us(new.found_at), "seen_at": to_us(new.seen_at), "account_id": new.account_id or None}
    session.connection.execute(insert(login_conflict), values)
    return True


def open_conflicts(session: Session, limit: int) -> tuple[LoginConflict, ...]:
    """Return conflicts that nobody has closed, oldest first."""
    row = login_conflict.c
    statement = select(login_conflict).where(row.closed_at.is_(None)).order_by(row.found_at, row.id).limit(limit)
    return tuple(
        LoginConflict(
            found.id,
            found.issuer,
            found.subject,
            found.reason,
            found.patient,
            found.account_id or "",
            from_us(found.found_at),
            from_us(found.seen_at),
            maybe_from_us(found.closed_at),
        )
        for found in session.connection.execute(statement)
    )


def close_conflict(session: Session, conflict_id: str, by: str, now: datetime) -> bool:
    """Close a conflict; False where it is closed or unknown."""
    row = login_conflict.c
    statement = update(login_conflict).where(row.id == conflict_id, row.closed_at.is_(None))
    return session.connection.execute(statement.values(closed_at=to_us(now), closed_by=by)).rowcount == 1


def proved_at(session: Session, session_id: str, at: datetime) -> None:
    """Let a portal session say when its person proved themselves to the provider, which may be before it began."""
    statement = update(portal_session).where(portal_session.c.id == session_id)
    session.connection.execute(statement.values(auth_time=to_us(at)))


def _link(row: Row[Any] | None) -> LoginLink | None:
    if row is None:
        return None
    return LoginLink(row.issuer, row.subject, row.account_id, from_us(row.linked_at), from_us(row.used_at))
