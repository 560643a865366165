"""Invitations as the coordinator's list shows them, and the Patient that one needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from fhir_server.portal.models.words import NHS_NUMBER, Moment, moment_of

_VERIFIED = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
_STATUS = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus"


class Invited(Protocol):
    """What is known of an invitation."""

    @property
    def id(self) -> str:
        """Return its id."""

    @property
    def given(self) -> str:
        """Return the first name."""

    @property
    def family(self) -> str:
        """Return the last name."""

    @property
    def email(self) -> str:
        """Return where the link went."""

    @property
    def created_at(self) -> datetime:
        """Return when it was made."""

    @property
    def expires_at(self) -> datetime:
        """Return until when link and code work."""

    @property
    def locked_until(self) -> datetime | None:
        """Return until when no try is taken."""

    @property
    def completed_at(self) -> datetime | None:
        """Return when the account was made."""

    @property
    def cancelled_at(self) -> datetime | None:
        """Return when it was cancelled."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list.

    Attributes:
        id: Id of the invitation.
        name: Whom it is for.
        email: Where the link went.
        sent: When.
        expires: Until when it works.
        state: In words.
        tone: Colour of the tag.
        open: Whether link and code still work.
        may_resend: Whether a new link and code can be sent.
    """

    id: str
    name: str
    email: str
    sent: Moment
    expires: Moment
    state: str
    tone: str
    open: bool
    may_resend: bool


def row(invitation: Invited, now: datetime) -> Row:
    """Return an invitation as the list shows it."""
    state, tone, is_open = _state(invitation, now)
    return Row(
        id=invitation.id,
        name=f"{invitation.given} {invitation.family}",
        email=invitation.email,
        sent=moment_of(invitation.created_at),
        expires=moment_of(invitation.expires_at),
        state=state,
        tone=tone,
        open=is_open,
        may_resend=invitation.completed_at is None and invitation.cancelled_at is None,
    )


def _state(invitation: Invited, now: datetime) -> tuple[str, str, bool]:
    if invitation.completed_at:
        return "Account opened", "green", False
    if invitation.cancelled_at:
        return "Cancelled", "grey", False
    if invitation.expires_at <= now:
        return "Expired", "orange", False
    if invitation.locked_until and invitation.locked_until > now:
        return "Locked after wrong codes", "red", True
    return "Waiting", "blue", True


def patient(given: str, family: str, *, birth_date: str, nhs_number: str) -> dict[str, Any]:
    """Return the Patient of somebody whom the coordinator checked face to face and who has no record yet."""
    status = {"coding": [{"system": _STATUS, "code": "01", "display": "Number present and verified"}]}
    return {
        "resourceType": "Patient",
        "identifier": [
            {
                "extension": [{"url": _VERIFIED, "valueCodeableConcept": status}],
                "use": "official",
                "system": NHS_NUMBER,
                "value": nhs_number,
            }
        ],
        "active": True,
        "name": [{"use": "official", "text": f"{given} {family}", "family": family, "given": given.split()}],
        "birthDate": birth_date,
    }
