"""Invitations from the coordinator's side: invite, send again, remind, make the letter, cancel, list.

Link and code travel on two roads (e-mail or letter, and text); neither is enough alone, and the date of birth is asked
too.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from fhir_server.identity import codes
from fhir_server.identity.invitation_person import Person, checked, plain_mobile
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, invitations
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.invitations import Invitation, State
from fhir_server.store.keys import hash64

__all__ = [
    "Invitation", "Person", "State", "cancel", "checked", "found", "invite", "letter", "listed", "plain_mobile",
    "refuse_duplicates", "remind_due", "resend", "state_of",
]  # fmt: skip

VALID_FOR = timedelta(days=14)
_REMIND_AFTER = timedelta(days=7)
_PAGE_COUNT = 500


def refuse_duplicates(session: Session, coordinator: Account, details: Person, now: datetime) -> None:
    """Refuse to invite somebody a second time; other organisations' invitations are not told of.

    Raises:
        FhirError: DUPLICATE when the record or the e-mail address has an account, or an invitation of the coordinator's
            organisation that still works.
    """
    organization = coordinator.organization
    if accounts.by_reference(session, details.patient):
        raise FhirError(Kind.DUPLICATE, "This person already has an account", ("patient",))
    if details.email and accounts.by_email(session, details.email) is not None:
        raise FhirError(Kind.DUPLICATE, "This e-mail address already has an account", ("email",))
    if invitations.open_ones(session, organization, now, patient=details.patient):
        text = "This person is invited already. You can send the invitation again from the list"
        raise FhirError(Kind.DUPLICATE, text, ("patient",))
    if details.email and invitations.open_ones(session, organization, now, email=details.email):
        raise FhirError(Kind.DUPLICATE, "Somebody else is invited at this e-mail address already", ("email",))


def invite(
    session: Session, coordinator: Account, person: Person, now: datetime, *, invitation_id: str = ""
) -> Invitation:
    """Invite a person to open the account of their record; an invitation of another organisation is replaced.

    Queues the e-mail with the link and the text with the code in the same transaction; where there is no e-mail
    address both wait for `letter`.

    Raises:
        FhirError: INVALID_VALUE as `checked`; DUPLICATE as `refuse_duplicates`.
    """
    details = checked(person, now.date())
    # The lock that registration takes: of two who invite at once, one finds the other's invitation.
    session.lock(hash64(f"account:{details.patient}"))
    refuse_duplicates(session, coordinator, details, now)
    invitations.cancel_others(session, details.patient, now)
    token, code = codes.new_token(), codes.new_code()
    new = Invitation(
        id=invitation_id or str(uuid.uuid4()),
        patient=details.patient,
        given=details.given,
        family=details.family,
        birth_date=details.birth_date,
        nhs_number=details.nhs_number,
        email=details.email,
        mobile=details.mobile,
        invited_by=coordinator.id,
        organization=coordinator.organization,
        created_at=now,
        expires_at=now + VALID_FOR,
    )
    invitations.add(session, new, token_hash=codes.token_hash(token), code_hash=codes.code_hash(code, new.id))
    _send(session, new, token, code, now)
    return new


def resend(session: Session, invitation: Invitation, now: datetime) -> None:
    """Send a new link and a new code; the old ones stop working. A completed or cancelled invitation stays so.

    One without an e-mail address can have its letter made once more.
    """
    if invitation.completed_at is not None or invitation.cancelled_at is not None:
        return
    token, code = codes.new_token(), codes.new_code()
    _renew(session, invitation, token, code, now)
    _send(session, invitation, token, code, now)


def letter(session: Session, invitation: Invitation, now: datetime) -> str:
    """Return the code of a new link, to be printed once, and send the code by text message; old ones stop working.

    Raises:
        FhirError: BUSINESS_RULE where the invitation went by e-mail, is over, or its letter was made before.
    """
    over = invitation.completed_at is not None or invitation.cancelled_at is not None
    if over or invitation.email or invitation.letter_at is not None:
        text = "A letter can be made once, for an invitation without an e-mail address. Send it again for a new one"
        raise FhirError(Kind.BUSINESS_RULE, text)
    link_code, code = codes.new_link_code(), codes.new_code()
    _renew(session, invitation, codes.plain_code(link_code), code, now)
    if not invitations.made_letter(session, invitation.id, now):
        raise FhirError(Kind.CONFLICT, "Somebody else made this letter just now")
    queue(session, Notice.INVITATION_LETTER_CODE, invitation.mobile, now, code=code)
    return link_code


def remind_due(store: Store, now: datetime) -> int:
    """Remind everybody who was invited a week ago and has no account yet, once; return how many.

    The reminder has a link of its own; the first one and the code go on working.
    """
    with store.read() as session:
        due = invitations.to_remind(session, now, made_before=now - _REMIND_AFTER)
    reminded = 0
    for invitation in due:
        token = codes.new_token()
        with store.write() as session:
            if invitations.remind(session, invitation.id, codes.token_hash(token), now):
                last_day = invitation.expires_at.date().isoformat()
                details = {"given": invitation.given, "token": token, "last_day": last_day}
                queue(session, Notice.INVITATION_REMINDER, invitation.email, now, **details)
                reminded += 1
    return reminded


def cancel(session: Session, invitation: Invitation, now: datetime) -> None:
    """Make an invitation useless at once."""
    invitations.cancel(session, invitation.id, now)


def listed(
    session: Session,
    organization: str,
    now: datetime,
    *,
    state: State | None = None,
    text: str = "",
    after: str = "",
    limit: int = _PAGE_COUNT,
) -> tuple[Invitation, ...]:
    """Return the invitations of an organisation, newest first; "*" means of all (administrators)."""
    return invitations.of_organization(session, organization, now, state=state, text=text, after=after, limit=limit)


def found(session: Session, organization: str, invitation_id: str) -> Invitation:
    """Return one invitation of an organisation; "*" means of any (administrators).

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's.
    """
    invitation = invitations.by_id(session, invitation_id)
    if invitation is None or organization not in {"*", invitation.organization}:
        raise FhirError(Kind.NOT_FOUND, "There is no such invitation")
    return invitation


def state_of(invitation: Invitation, now: datetime) -> State:
    """Return what became of an invitation."""
    if invitation.completed_at:
        return State.COMPLETED
    if invitation.cancelled_at:
        return State.CANCELLED
    if invitation.expires_at <= now:
        return State.EXPIRED
    return State.LOCKED if invitation.locked_until and invitation.locked_until > now else State.WAITING


def _renew(session: Session, invitation: Invitation, token: str, code: str, now: datetime) -> None:
    invitations.renew(
        session,
        invitation.id,
        token_hash=codes.token_hash(token),
        code_hash=codes.code_hash(code, invitation.id),
        expires_at=now + VALID_FOR,
    )


def _send(session: Session, invitation: Invitation, token: str, code: str, now: datetime) -> None:
    if not invitation.email:
        return
    queue(session, Notice.INVITATION, invitation.email, now, given=invitation.given, token=token)
    queue(session, Notice.INVITATION_CODE, invitation.mobile, now, code=code)
