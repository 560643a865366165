"""Invitations as the coordinator's list shows them, and the Patient that one needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fhir_server.portal.models.words import Moment, moment_of


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
    def letter_at(self) -> datetime | None:
        """Return when its letter was made."""

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
        email: Where the link went, "" for a letter.
        sent: When.
        expires: Until when it works.
        state: In words.
        tone: Colour of the tag.
        open: Whether link and code still work.
        may_resend: Whether a new link and code can be sent.
        may_print: Whether its letter waits to be made.
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
    may_print: bool


def row(invitation: Invited, now: datetime) -> Row:
    """Return an invitation as the list shows it."""
    state, tone, is_open = _state(invitation, now)
    may_resend = invitation.completed_at is None and invitation.cancelled_at is None
    return Row(
        id=invitation.id,
        name=f"{invitation.given} {invitation.family}",
        email=invitation.email,
        sent=moment_of(invitation.created_at),
        expires=moment_of(invitation.expires_at),
        state=state,
        tone=tone,
        open=is_open,
        may_resend=may_resend,
        may_print=may_resend and not invitation.email and invitation.letter_at is None,
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
