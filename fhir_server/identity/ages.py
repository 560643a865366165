"""The age from which a child decides alone: parent and child are told before, and on the day.

INVARIANT: nothing ends here. What a child shares with a parent ends by the period of the Consent, whether this job ran
or not, and whether anybody reads the message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from fhir_server.notify import templates
from fhir_server.notify.outbox import queue
from fhir_server.store import accounts, carers, notice_choices, resources
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import hash64

PARENT: Final = "PRN"
"""Of v3-RoleCode."""
_LONDON: Final = ZoneInfo("Europe/London")
_LATE: Final = timedelta(days=7)
"""So long after the day a message about it is still sent: the server may have stood still."""


@dataclass(frozen=True, slots=True)
class Notice:
    """When people are told.

    Attributes:
        until_years: The birthday at which a child decides alone.
        before: So long before it they are told first.
    """

    until_years: int
    before: timedelta


@dataclass(frozen=True, slots=True)
class _Parent:
    reference: str
    account_id: str
    child: str
    birthday: date


def birthday(born: date, years: int) -> date:
    """Return a birthday.

    Who was born on 29 February has it on the 28th in other years: less is seen, never more.
    """
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return date(born.year + years, 2, 28)


def last_day_of_childhood(birth_date: object, years: int, today: date) -> date | None:
    """Return the day before a birthday; None for somebody who has had it, or whose date of birth is not known whole."""
    try:
        born = date.fromisoformat(birth_date) if isinstance(birth_date, str) else None
    except ValueError:
        born = None
    if born is None:
        return None
    decides = birthday(born, years)
    return decides - timedelta(days=1) if decides > today else None


def tell_due(store: Store, notice: Notice, now: datetime) -> int:
    """Tell parents and children of whom a birthday comes, or has come; return how many birthdays were told of.

    Each message is sent once, however often and by however many processes this runs.
    """
    today = now.astimezone(_LONDON).date()
    with store.read() as session:
        found = [parent for parent in _parents(session, notice.until_years) if _kind(parent, notice, today)]
    told = 0
    for parent in found:
        kind = _kind(parent, notice, today)
        with store.write() as session:
            session.lock(hash64(f"age:{parent.reference}"))
            if kind is None or notice_choices.is_given(session, parent.reference, kind.kind):
                continue
            notice_choices.give(session, parent.reference, kind.kind, now)
            for account in _concerned(session, parent):
                queue(session, kind, account.email, now)
            told += 1
    return told


def _kind(parent: _Parent, notice: Notice, today: date) -> templates.Notice | None:
    if parent.birthday - notice.before <= today < parent.birthday:
        return templates.Notice.AGE_SOON
    return templates.Notice.AGE_REACHED if parent.birthday <= today <= parent.birthday + _LATE else None


def _parents(session: Session, years: int) -> Iterable[_Parent]:
    """Yield every parent with an account whose child's date of birth is known whole."""
    for reference, account_id in carers.active_links(session):
        person = _current(session, reference)
        if person is None or not _is_parent(person):
            continue
        child = str(person.get("patient", {}).get("reference", ""))
        record = _current(session, child)
        try:
            born = date.fromisoformat(str(record.get("birthDate", ""))) if record else None
        except ValueError:
            born = None
        if born is not None:
            yield _Parent(reference, account_id, child, birthday(born, years))


def _concerned(session: Session, parent: _Parent) -> tuple[Account, ...]:
    own = accounts.by_id(session, parent.account_id)
    found = (*((own,) if own else ()), *accounts.by_reference(session, parent.child))
    return tuple(account for account in found if account.active)


def _is_parent(person: Mapping[str, Any]) -> bool:
    codings = (coding for concept in person.get("relationship", ()) for coding in concept.get("coding", ()))
    return any(coding.get("code") == PARENT for coding in codings)


def _current(session: Session, reference: str) -> dict[str, Any] | None:
    kind, _, logical_id = reference.partition("/")
    stored = resources.current(session, kind, logical_id) if logical_id else None
    if stored is None or stored.content is None:
        return None
    found: dict[str, Any] = json.loads(stored.content)
    return found
