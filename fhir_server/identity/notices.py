"""The messages an account chose to get; every other message goes to whom it concerns without asking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fhir_server.store import notice_choices
from fhir_server.store.database import Session, Store


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages an account gets.

    Attributes:
        news: That there is something new in a record: unless they said no.
        emergencies: That a record shared with them was opened in an emergency: where they asked.
    """

    news: bool
    emergencies: bool


def chosen(store: Store, account_id: str) -> Choice:
    """Return which messages an account gets."""
    with store.read() as session:
        return Choice(
            news=not notice_choices.wants(session, account_id, notice_choices.NO_NEWS),
            emergencies=notice_choices.wants(session, account_id, notice_choices.EMERGENCIES),
        )


def choose(session: Session, account_id: str, wish: Choice, now: datetime) -> None:
    """Remember which messages an account is to get."""
    notice_choices.choose(session, account_id, notice_choices.NO_NEWS, wanted=not wish.news, now=now)
    notice_choices.choose(session, account_id, notice_choices.EMERGENCIES, wanted=wish.emergencies, now=now)
