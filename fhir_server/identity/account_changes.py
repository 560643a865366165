"""What people change about their own account. Each runs in the caller's transaction, with its AuditEvent and messages.

The caller has asked for a fresh proof of who they are.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fhir_server.identity import codes, limits, passwords, second_proof
from fhir_server.identity.accounts import plain_email
from fhir_server.identity.second_proof import Purpose
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, devices, pending_proofs, sessions
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store

NEW_EMAIL = "change-email"
_CONFIRM_WITHIN = timedelta(hours=24)


def tell(session: Session, account: Account, what: str, now: datetime) -> None:
    """Tell somebody that the way they sign in changed: `what` is a fixed sentence of ours."""
    queue(session, Notice.SECURITY_CHANGED, account.email, now, what=what)


def replace_password(session: Session, account: Account, password_hash: str, now: datetime, *, keep: str = "") -> None:
    """Put a new password in place; whoever knew the old one is out.

    Every session ends but the one to `keep`, no device is remembered any more, no proof under way can be finished and
    no new e-mail address that was asked for before can be confirmed.
    """
    accounts.set_password(session, account.id, password_hash)
    sessions.end_all(session, account.id, now, but=keep)
    devices.remove(session, account.id)
    pending_proofs.end_all(session, account.id, now)
    accounts.end_links(session, account.id, NEW_EMAIL, now)
    queue(session, Notice.PASSWORD_CHANGED, account.email, now)


def ask_new_email(session: Session, account: Account, new: str, now: datetime) -> bool:
    """Send a link to a new address and tell the old one, which stays in use until the link is followed.

    The same happens, but for the link, when the new address belongs to somebody else: nobody learns who has an account.
    False where it was asked for too often.
    """
    if not limits.allow(session, now, (limits.CHANGE_EMAIL, account.id)):
        return False
    token = codes.new_token()
    accounts.add_link(
        session,
        codes.token_hash(token),
        account_id=account.id,
        purpose=NEW_EMAIL,
        now=now,
        expires_at=now + _CONFIRM_WITHIN,
        detail=new,
    )
    if accounts.by_email(session, new) is None:
        queue(session, Notice.CONFIRM_NEW_EMAIL, new, now, token=token)
    queue(session, Notice.EMAIL_CHANGE_ASKED, account.email, now)
    return True


def new_email_of(session: Session, token: str, now: datetime) -> tuple[Account, str] | None:
    """Return whose address a link changes, and to what; None for a link that does not work (any more)."""
    link = accounts.link(session, codes.token_hash(token), NEW_EMAIL)
    if link is None or link.used_at is not None or link.expires_at <= now:
        return None
    account = accounts.by_id(session, link.account_id)
    return (account, link.detail) if account is not None and account.active else None


def confirm_new_email(session: Session, token: str, now: datetime) -> Account | None:
    """Use the new address from now on and tell the old one; None for a link that does not work (any more)."""
    found = new_email_of(session, token, now)
    if found is None or not accounts.use_link(session, codes.token_hash(token), now):
        return None
    account, new = found
    if accounts.by_email(session, new) is not None:
        return None
    accounts.set_email(session, account.id, new, now)
    queue(session, Notice.EMAIL_CHANGED, account.email, now)
    return account


def ask_new_mobile(store: Store, account: Account, number: str, now: datetime) -> str:
    """Begin the proof that a new number is the person's; return its token."""
    with store.write() as session:
        return second_proof.begin(session, account.id, Purpose.MOBILE, now, detail=number)


def use_mobile(session: Session, account: Account, number: str, now: datetime) -> None:
    """Use a number whose person proved that they read what is sent there, or none ("")."""
    accounts.set_mobile(session, account.id, number)
    tell(session, account, "The mobile phone number of your account was changed.", now)


def want_text_codes(session: Session, account: Account, *, wanted: bool, now: datetime) -> None:
    """Ask for a code by text message at each sign-in, or not."""
    accounts.want_text_codes(session, account.id, now if wanted else None)
    what = "on" if wanted else "off"
    tell(session, account, f"Codes by text message were switched {what} for your account.", now)


def choose_memorable(session: Session, account: Account, question: str, answer_hash: str, now: datetime) -> None:
    """Put another memorable question and answer in place."""
    accounts.set_memorable(session, account.id, question, answer_hash)
    tell(session, account, "The memorable question of your account was changed.", now)


def email_problem(typed: str, account: Account) -> str:
    """Return what is wrong with a new e-mail address in plain words, "" where it will do."""
    address = plain_email(typed)
    if not address:
        return "Enter an e-mail address, such as name@example.org"
    return "This is your e-mail address already" if address == account.email else ""


def answer_hash(answer: str) -> str:
    """Return what is stored of a memorable answer."""
    return passwords.hashed(passwords.plain_answer(answer))
