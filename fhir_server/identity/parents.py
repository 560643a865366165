"""Parents whom a coordinator invites to the record of a child: what is typed, and the invitations of an organisation.

INVARIANT: nothing here is a right. What a parent sees is a Consent that ends before the birthday from which a child
decides alone; the invitation says only who the parent is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from fhir_server.identity import carers, invitation_person
from fhir_server.identity.ages import last_day_of_childhood
from fhir_server.identity.carers import Carer
from fhir_server.identity.invitation_person import Person
from fhir_server.identity.limits import Limit
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.store import accounts
from fhir_server.store import carers as rows
from fhir_server.store.accounts import Account
from fhir_server.store.carers import CarerInvitation
from fhir_server.store.database import Session

INVITE: Final = Limit("invite-parent", 60, timedelta(hours=1))
"""Per coordinator; each e-mail counts, one sent again too."""
_NOT_YET: Final = "Patient/unknown"


class Evidence(StrEnum):
    """What a coordinator saw of somebody's parental responsibility; kept with the act in the audit log."""

    BIRTH_CERTIFICATE = "birth-certificate"
    ADOPTION = "adoption"
    COURT_ORDER = "court-order"
    AGREEMENT = "agreement"


class State(StrEnum):
    """What became of an invitation."""

    WAITING = "waiting"
    LOCKED = "locked"
    EXPIRED = "expired"
    COMPLETED = "completed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a coordinator typed.

    Attributes:
        child: Whose record; its e-mail address is not looked at, its mobile number is the parent's.
        parent: Who is invited.
        evidence: What was seen of their parental responsibility.
        may_act: Whether they may also add to the record.
    """

    child: Person
    parent: Carer
    evidence: str
    may_act: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What was typed, in the one form that is stored.

    Attributes:
        last_day: The last day on which the parent sees the record.
    """

    child: Person
    parent: Carer
    evidence: Evidence
    may_act: bool
    last_day: date


def checked(typed: Typed, until_years: int, today: date) -> Checked:
    """Return what was typed in the one form that is stored.

    Raises:
        FhirError: INVALID_VALUE (400) with one issue per wrong detail, whose `expression` is the name of the field.
    """
    issues: list[Issue] = []
    parent, child = typed.parent, replace(typed.child, email="", mobile=typed.parent.mobile, patient=_NOT_YET)
    try:
        parent = carers.checked(parent)
    except FhirError as error:
        issues += error.issues
    try:
        child = invitation_person.checked(child, today)
    except FhirError as error:
        # The number is the parent's, and was looked at as theirs.
        issues += (issue for issue in error.issues if issue.expression != ("mobile",))
    if not child.nhs_number:
        issues.append(_issue("nhs_number", "Enter the NHS number"))
    last_day = last_day_of_childhood(child.birth_date, until_years, today)
    if last_day is None and all(issue.expression != ("birth_date",) for issue in issues):
        text = f"A parent is invited for a child under {until_years}. From then on people invite family themselves"
        issues.append(_issue("birth_date", text))
    if typed.evidence not in set(Evidence):
        issues.append(_issue("evidence", "Choose what you saw of their parental responsibility"))
    if issues or last_day is None:
        raise FhirError(Kind.INVALID_VALUE, issues[0].diagnostics, issues=tuple(issues))
    return Checked(child, parent, Evidence(typed.evidence), typed.may_act, last_day)


def refuse(session: Session, coordinator: Account, details: Checked, patient: str, now: datetime) -> None:
    """Refuse to invite for somebody who decides themselves, or the same parent twice.

    Raises:
        FhirError: DUPLICATE (409) naming the field.
    """
    if accounts.by_reference(session, patient):
        text = "This person has an account. They invite family themselves, under Sharing"
        raise FhirError(Kind.DUPLICATE, text, ("nhs_number",))
    # Of other organisations' invitations nobody is told.
    same = rows.of_parent(session, coordinator.organization, patient, details.parent.email)
    if any(state_of(each, now) not in {State.ENDED, State.EXPIRED} for each in same):
        text = "You have invited them for this child already. You can send the invitation again from the list"
        raise FhirError(Kind.DUPLICATE, text, ("email",))


def listed(session: Session, organization: str, *, after: str = "", limit: int) -> tuple[CarerInvitation, ...]:
    """Return the invitations of parents by an organisation, newest first, from the one after an id on."""
    return rows.of_organization(session, organization, after=after, limit=limit) if organization else ()


def found(session: Session, organization: str, invitation_id: str) -> CarerInvitation:
    """Return one invitation of a parent by an organisation.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's and for a patient's own.
    """
    invitation = rows.by_id(session, invitation_id)
    if invitation is None or not organization or invitation.organization != organization:
        raise FhirError(Kind.NOT_FOUND, "There is no such invitation")
    return invitation


def renewable(
    session: Session, organization: str, invitation_id: str, until_years: int, now: datetime
) -> CarerInvitation:
    """Return one invitation that may be sent again.

    Raises:
        FhirError: NOT_FOUND (404) as `found`, for one that was taken up or ended, and where the child decides alone by
            now: by age, or with an account.
    """
    invitation = found(session, organization, invitation_id)
    decides = last_day_of_childhood(invitation.birth_date, until_years, now.date()) is None
    is_over = invitation.completed_at is not None or invitation.cancelled_at is not None
    if is_over or decides or accounts.by_reference(session, invitation.patient):
        raise FhirError(Kind.NOT_FOUND, "There is no such invitation that waits")
    return invitation


def state_of(invitation: CarerInvitation, now: datetime) -> State:
    """Return what became of an invitation."""
    if invitation.cancelled_at:
        return State.ENDED
    if invitation.completed_at:
        return State.COMPLETED
    if invitation.expires_at <= now:
        return State.EXPIRED
    return State.LOCKED if invitation.locked_until and invitation.locked_until > now else State.WAITING


def end(session: Session, invitation: CarerInvitation, now: datetime) -> bool:
    """End who a parent is to the child, taken up or not; who has an account is told. False where it had ended."""
    # INVARIANT: first of all: a take-up under way is waited for, and its account found; a later one finds the end.
    if not rows.end(session, invitation.id, now):
        return False
    carers.tell(session, invitation.reference, now)
    for account in accounts.by_reference(session, invitation.reference):
        rows.unlink(session, account.id, invitation.reference, now)
    return True


def tell_family(session: Session, patient: str, now: datetime) -> None:
    """Tell everybody who was let into a child's record before that there is something new; says nothing of what."""
    for account_id in rows.relatives(session, patient):
        account = accounts.by_id(session, account_id)
        if account is not None and account.active:
            queue(session, Notice.NEWS, account.email, now)


def _issue(name: str, text: str) -> Issue:
    return Issue("error", Kind.INVALID_VALUE.issue_code, text, (name,))
