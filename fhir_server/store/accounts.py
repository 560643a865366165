"""Accounts and the one-time links sent to them, as rows. What may be done with an account is `identity`'s word.

INVARIANT: hashes of password and memorable answer leave only through `secrets_of`; an `Account` may be passed around.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, or_, select, update

from fhir_server.store.account_tables import account, account_link, portal_session
from fhir_server.store.carer_tables import carer_link
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class Account:
    """A person who can sign in.

    Attributes:
        id: UUID.
        email: Lower case, unique.
        name: Shown to people.
        role: `patient`, `carer`, `professional`, `coordinator`, `service-desk`, `privacy-officer` or `admin`.
        reference: `Patient/…`, `RelatedPerson/…`, `Practitioner/…`, or "" for staff without a directory entry.
        organization: `Organization/…` worked for, or "".
        may_break_glass: A human professional whose role allows emergency access.
        active: May sign in; leaving ends every session and token at once.
        created_at: Aware UTC.
        email_confirmed_at: When the link in the confirmation e-mail was followed, None before.
        mobile: Number for text messages, or "".
        memorable_question: The question asked on recovery, or "".
        agreement_version: Version of the user agreement that was accepted, or "".
        privacy_version: Version of the privacy policy that was accepted, or "".
        text_codes_at: Since when its person wants a code by text message as second proof, None where not.
        language: Code of the language that its person chose for pages and messages, or "".
    """

    id: str
    email: str
    name: str
    role: str
    reference: str
    organization: str
    may_break_glass: bool
    active: bool
    created_at: datetime
    email_confirmed_at: datetime | None = None
    mobile: str = ""
    memorable_question: str = ""
    agreement_version: str = ""
    privacy_version: str = ""
    accepted_at: datetime | None = None
    text_codes_at: datetime | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The argon2 hashes of an account; "" where it has none."""

    password_hash: str
    memorable_hash: str


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link sent by e-mail (confirmation, recovery)."""

    account_id: str
    purpose: str
    expires_at: datetime
    failed_count: int
    used_at: datetime | None
    detail: str = ""


_COLUMNS = [account.c[name] for name in Account.__dataclass_fields__]


def from_row(row: Row[Any]) -> Account:
    """Return the account of a row that has at least the columns of `Account`."""
    return Account(
        id=row.id,
        email=row.email,
        name=row.name,
        role=row.role,
        reference=row.reference or "",
        organization=row.organization or "",
        may_break_glass=row.may_break_glass,
        active=row.active,
        created_at=from_us(row.created_at),
        email_confirmed_at=maybe_from_us(row.email_confirmed_at),
        mobile=row.mobile or "",
        memorable_question=row.memorable_question or "",
        agreement_version=row.agreement_version or "",
        privacy_version=row.privacy_version or "",
        accepted_at=maybe_from_us(row.accepted_at),
        text_codes_at=maybe_from_us(row.text_codes_at),
        language=row.language or "",
    )


def add(session: Session, new: Account, secrets: Secrets) -> None:
    """Store a new account.

    Raises:
        FhirError: CONFLICT (409, from the enclosing transaction) when the e-mail address is taken.
    """
    values: dict[str, Any] = {name: getattr(new, name) or None for name in Account.__dataclass_fields__}
    values |= {
        "may_break_glass": new.may_break_glass,
        "active": new.active,
        "created_at": to_us(new.created_at),
        "email_confirmed_at": to_us(new.email_confirmed_at) if new.email_confirmed_at else None,
        "accepted_at": to_us(new.accepted_at) if new.accepted_at else None,
        "text_codes_at": to_us(new.text_codes_at) if new.text_codes_at else None,
        "password_hash": secrets.password_hash or None,
        "memorable_hash": secrets.memorable_hash or None,
    }
    session.connection.execute(insert(account), values)


def by_id(session: Session, account_id: str) -> Account | None:
    """Return the account with this id, active or not."""
    return _one(session, account.c.id == account_id)


def by_email(session: Session, email: str) -> Account | None:
    """Return the account with this e-mail address (lower case), active or not."""
    return _one(session, account.c.email == email)


def by_reference(session: Session, reference: str) -> tuple[Account, ...]:
    """Return the accounts of a person, such as `Patient/1`, active or not, oldest first.

    The account of a carer stands for one RelatedPerson for each record shared with its person.
    """
    linked = select(carer_link.c.account_id).where(carer_link.c.reference == reference, carer_link.c.ended_at.is_(None))
    whose = or_(account.c.reference == reference, account.c.id.in_(linked))
    statement = select(*_COLUMNS).where(whose).order_by(account.c.created_at)
    return tuple(from_row(row) for row in session.connection.execute(statement))


def with_role(session: Session, role: str) -> tuple[Account, ...]:
    """Return the active accounts of a role, ordered by name."""
    statement = select(*_COLUMNS).where(account.c.role == role, account.c.active.is_(True)).order_by(account.c.name)
    return tuple(from_row(row) for row in session.connection.execute(statement))


def page(session: Session, *, after: str = "", role: str = "", limit: int) -> tuple[Account, ...]:
    """Return accounts, active or not, in the order of their ids, from the one after an id on; `role` "" for all."""
    statement = select(*_COLUMNS).where(account.c.id > after).order_by(account.c.id).limit(limit)
    if role:
        statement = statement.where(account.c.role == role)
    return tuple(from_row(row) for row in session.connection.execute(statement))


def secrets_of(session: Session, account_id: str) -> Secrets:
    """Return the hashes of an account; empty ones where it has none."""
    statement = select(account.c.password_hash, account.c.memorable_hash).where(account.c.id == account_id)
    row = session.connection.execute(statement).one_or_none()
    return Secrets(row.password_hash or "", row.memorable_hash or "") if row else Secrets("", "")


def set_password(session: Session, account_id: str, password_hash: str) -> None:
    """Replace the password hash."""
    _update(session, account_id, password_hash=password_hash)


def set_email(session: Session, account_id: str, email: str, now: datetime) -> None:
    """Replace the e-mail address by one that its person has confirmed.

    Raises:
        FhirError: CONFLICT (409, from the enclosing transaction) when the address is taken.
    """
    _update(session, account_id, email=email, email_confirmed_at=to_us(now))


def set_mobile(session: Session, account_id: str, mobile: str) -> None:
    """Replace the number for text messages; without one no code can be sent, so none is wanted."""
    values: dict[str, object] = {} if mobile else {"text_codes_at": None}
    _update(session, account_id, mobile=mobile or None, **values)


def want_text_codes(session: Session, account_id: str, since: datetime | None) -> None:
    """Remember since when a code by text message is wanted as second proof, None for not."""
    _update(session, account_id, text_codes_at=to_us(since) if since else None)


def set_language(session: Session, account_id: str, language: str) -> None:
    """Remember the language that somebody chose."""
    _update(session, account_id, language=language)


def language_at(session: Session, address: str) -> str:
    """Return the language that whoever is at an e-mail address or mobile number chose, "" where that is not known."""
    of, its = account.c, account.c.email if "@" in address else account.c.mobile
    # Of a number that a family shares, the language of the first account is as good as any.
    statement = select(of.language).where(its == address, of.language.is_not(None))
    return session.connection.execute(statement.order_by(of.created_at).limit(1)).scalar_one_or_none() or ""


def accept(session: Session, account_id: str, agreement: str, privacy: str, now: datetime) -> None:
    """Remember which agreement and privacy policy somebody accepted, and when."""
    _update(session, account_id, agreement_version=agreement, privacy_version=privacy, accepted_at=to_us(now))


def set_memorable(session: Session, account_id: str, question: str, answer_hash: str) -> None:
    """Replace memorable question and answer."""
    _update(session, account_id, memorable_question=question, memorable_hash=answer_hash)


def set_active(session: Session, account_id: str, *, active: bool, now: datetime) -> None:
    """Let an account sign in, or end it with every session of it at once."""
    _update(session, account_id, active=active)
    if not active:
        statement = update(portal_session).where(portal_session.c.account_id == account_id)
        session.connection.execute(statement.where(portal_session.c.ended_at.is_(None)).values(ended_at=to_us(now)))


def allow_emergencies(session: Session, account_id: str, *, allowed: bool) -> None:
    """Let a professional use emergency access, or not any more; running ones end with their session."""
    _update(session, account_id, may_break_glass=allowed)


def set_organization(session: Session, account_id: str, organization: str) -> None:
    """Let a professional act for another organisation, without what they may do in emergencies for the last one."""
    _update(session, account_id, organization=organization or None, may_break_glass=False)


def confirm_email(session: Session, account_id: str, now: datetime) -> None:
    """Make a registered account active, its e-mail address confirmed."""
    _update(session, account_id, active=True, email_confirmed_at=to_us(now))


def forget_email(session: Session, account_id: str) -> None:
    """Take the e-mail address from a closed account, so that another can have it: nobody can be reached by the new one.

    It is one of a domain that is never there (RFC 2606), and told apart from every other account's.
    """
    _update(session, account_id, email=f"{account_id}@closed.invalid")


def signed_in(session: Session, account_id: str, now: datetime) -> None:
    """Remember when somebody signed in last."""
    _update(session, account_id, last_sign_in_at=to_us(now))


def add_link(
    session: Session,
    token_hash: str,
    *,
    account_id: str,
    purpose: str,
    now: datetime,
    expires_at: datetime,
    detail: str = "",
) -> None:
    """Store a one-time link; earlier links of the same purpose stop working."""
    end_links(session, account_id, purpose, now)
    session.connection.execute(
        insert(account_link),
        {
            "token_hash": token_hash,
            "account_id": account_id,
            "purpose": purpose,
            "created_at": to_us(now),
            "expires_at": to_us(expires_at),
            "failed_count": 0,
            "detail": detail or None,
        },
    )


def end_links(session: Session, account_id: str, purpose: str, now: datetime) -> None:
    """Let no link of a purpose that was sent to an account work any more."""
    older = update(account_link).where(account_link.c.account_id == account_id, account_link.c.purpose == purpose)
    session.connection.execute(older.where(account_link.c.expires_at > to_us(now)).values(expires_at=to_us(now)))


def link(session: Session, token_hash: str, purpose: str) -> Link | None:
    """Return a one-time link, used or expired too."""
    statement = select(account_link).where(account_link.c.token_hash == token_hash, account_link.c.purpose == purpose)
    row = session.connection.execute(statement).one_or_none()
    if row is None:
        return None
    return Link(
        row.account_id,
        row.purpose,
        from_us(row.expires_at),
        row.failed_count,
        maybe_from_us(row.used_at),
        row.detail or "",
    )


def use_link(session: Session, token_hash: str, now: datetime) -> bool:
    """Mark a link used; False when another request was first."""
    statement = update(account_link).where(account_link.c.token_hash == token_hash, account_link.c.used_at.is_(None))
    return session.connection.execute(statement.values(used_at=to_us(now))).rowcount == 1


def count_link_failure(session: Session, token_hash: str) -> None:
    """Count one wrong second proof against a link."""
    statement = update(account_link).where(account_link.c.token_hash == token_hash)
    session.connection.execute(statement.values(failed_count=account_link.c.failed_count + 1))


def _one(session: Session, condition: ColumnElement[bool]) -> Account | None:
    row = session.connection.execute(select(*_COLUMNS).where(condition)).one_or_none()
    return from_row(row) if row else None


def _update(session: Session, account_id: str, **values: object) -> None:
    session.connection.execute(update(account).where(account.c.id == account_id).values(values))
