"""A private address for a calendar: whoever has it sees one record's appointments, as its person would now.

The address is shown once and only its SHA-256 is kept. It opens appointments and nothing else, and says no more of
them than its person chose.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from fhir_server.access import scopes, tokens
from fhir_server.access.principal import Principal
from fhir_server.identity import carers, codes
from fhir_server.store import calendar_links
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store

Link: TypeAlias = calendar_links.CalendarLink
CLIENT: Final = "calendar"
"""What the access log names as the way an appointment was seen."""
_ONLY_APPOINTMENTS: Final = scopes.parse("user/Appointment.rs")
_USE_NOTED_EVERY: Final = timedelta(hours=1)


class Detail(StrEnum):
    """How much an event of the calendar says besides when it is."""

    TIME = "time"
    PLACE = "place"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who a calendar asks for.

    Attributes:
        principal: The person, with the right to read appointments only.
        patient: Literal reference of whose appointments.
        detail: How much an event may say.
        link_id: Id of the link.
    """

    principal: Principal
    patient: str
    detail: Detail
    link_id: str


def of_reader(session: Session, account_id: str, patient: str) -> Link | None:
    """Return the link of an account to the appointments of a patient, None where there is none."""
    return calendar_links.of_reader(session, account_id, patient)


def make(session: Session, account: Account, patient: str, detail: Detail, now: datetime) -> str:
    """Return the token of a new link; an older one of the same reader stops working."""
    calendar_links.remove(session, account.id, patient)
    token = codes.new_token()
    new = Link(str(uuid.uuid4()), account.id, account.reference, patient, str(detail), now)
    calendar_links.add(session, new, codes.token_hash(token))
    return token


def revoke(session: Session, account_id: str, patient: str) -> None:
    """Make the link of an account to the appointments of a patient useless at once."""
    calendar_links.remove(session, account_id, patient)


def reader(store: Store, token: str, now: datetime) -> Reader | None:
    """Return who a calendar asks for; None for a token that is unknown, revoked or of somebody who may not sign in."""
    with store.read() as session:
        link = calendar_links.by_token(session, codes.token_hash(token))
        if link is None:
            return None
        # INVARIANT: who the account stands for is looked up at each request, as for a session.
        known = carers.identities(session, link.account_id)
        account = next((each for each in known if each.active and each.reference == link.reference), None)
        if account is None:
            return None
        principal = tokens.for_account(session, account, link.created_at, "", now)
    if link.used_at is None or now - link.used_at > _USE_NOTED_EVERY:
        with store.write() as session:
            calendar_links.used(session, link.id, now)
    limited = replace(principal, scopes=_ONLY_APPOINTMENTS, client_id=CLIENT)
    return Reader(limited, link.patient, Detail(link.detail), link.id)
