"""The messages an account asked for; every other message goes to whom it concerns without asking."""

from __future__ import annotations

from datetime import datetime

from fhir_server.store import notice_choices
from fhir_server.store.database import Session, Store


def wants_emergencies(store: Store, account_id: str) -> bool:
    """Return whether a carer asked to be told when a record shared with them is opened in an emergency."""
    with store.read() as session:
        return notice_choices.wants(session, account_id, notice_choices.EMERGENCIES)


def choose_emergencies(session: Session, account_id: str, *, wanted: bool, now: datetime) -> None:
    """Remember whether a carer wants to be told of emergencies."""
    notice_choices.choose(session, account_id, notice_choices.EMERGENCIES, wanted=wanted, now=now)
