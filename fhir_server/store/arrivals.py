"""What arrives in records: whose readers to look at again, whether one of them sees anything new, who is told of it.

Nothing here discloses content. Who reads a record is looked up past the gate; what they see of it never is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Select, bindparam, insert, literal, literal_column, or_, select, union, update

from fhir_server.store import prepared, tables
from fhir_server.store.account_tables import account
from fhir_server.store.carer_tables import carer_link
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import NONE, hash64, type_key
from fhir_server.store.portal_tables import record_news
from fhir_server.store.tallies import WHOSE, of_patient
from fhir_server.store.visibility import Visibility, readable

EVERYBODY: Final = ""
"""Stands for no account: `told_at` is until when all records were looked through."""
_LOCK: Final = hash64("record-news")
_ROW = record_news.c


def readers(
    session: Session, types: Sequence[str], after: datetime, until: datetime, held_for: timedelta
) -> tuple[str, ...]:
    """Return the accounts of patients and their family in whose records something arrived, whether they see it or not.

    Args:
        session: The transaction.
        types: Of what arrives.
        after: When it was written, or released to the patient: later than this.
        until: And not later than this.
        held_for: So long at most it is between the two.
    """
    row, further, person = tables.resource, tables.resource_patient, tables.resource.alias()
    kinds = row.c.type.in_([type_key(name) for name in types])
    rows = select(row.c.key, row.c.patient).where(kinds, row.c.deleted.is_(False))
    written = rows.where(row.c.updated_at > to_us(after), row.c.updated_at <= to_us(until))
    released = rows.where(
        row.c.updated_at > to_us(after - held_for), row.c.released_at > to_us(after), row.c.released_at <= to_us(until)
    )
    found = (union(written, released) if held_for else written).cte()
    whose = union(
        select(found.c.patient), select(further.c.patient).join(found, found.c.key == further.c.key)
    ).scalar_subquery()
    family = person.c.type == type_key("RelatedPerson")
    people = union(
        select(literal("Patient/").concat(person.c.id)).where(person.c.key.in_(whose)),
        select(literal("RelatedPerson/").concat(person.c.id)).where(family, person.c.patient.in_(whose)),
    ).cte()
    links = carer_link.c
    names = select(people.c[0])
    accounts = union(
        select(account.c.id).where(account.c.reference.in_(names), account.c.active.is_(True)),
        select(links.account_id).where(links.reference.in_(names), links.ended_at.is_(None)),
    )
    return tuple(sorted(session.connection.execute(accounts).scalars()))


def sees_new(
    session: Session,
    visibility: Visibility,
    patient: int,
    types: Sequence[str],
    since: datetime,
    but_by: tuple[int, int],
) -> bool:
    """Return whether something exists for a visibility that came into a record, or was released, after an instant.

    Args:
        session: The transaction.
        visibility: Of whoever reads.
        patient: Key of the patient whose record it is.
        types: Of what counts.
        since: The instant.
        but_by: Keys of two authors whose own entries do not count.
    """

    def build() -> Select[Any]:
        row = readable(visibility, types)
        after, authors = bindparam("since", NONE, BigInteger), ("but_by_0", "but_by_1")
        is_new = or_(row.c.updated_at > after, row.c.released_at > after)
        others = row.c.author.not_in([bindparam(name, NONE, BigInteger) for name in authors])
        return select(literal_column("1")).select_from(of_patient(row, types)).where(is_new, others).limit(1)

    values = {**visibility.parameters(), WHOSE: patient, "since": to_us(since)}
    values |= {f"but_by_{place}": key for place, key in enumerate(but_by)}
    return prepared.run(session, ("sees new", visibility.shape, tuple(types)), build, values).first() is not None


def told_at(session: Session, account_id: str) -> datetime | None:
    """Return when an account was told last that there is something new; of `EVERYBODY`, see there; None for never."""
    found = session.connection.execute(select(_ROW.told_at).where(_ROW.account_id == account_id)).scalar()
    return from_us(found) if found is not None else None


def look_again(session: Session, account_ids: Sequence[str], until: datetime) -> None:
    """Put accounts down to be looked at, and that all records were looked through until an instant."""
    session.lock(_LOCK)
    for account_id in account_ids:
        _put(session, account_id, due_at=to_us(until))
    _put(session, EVERYBODY, told_at=to_us(until))


def due(session: Session, told_before: datetime) -> tuple[str, ...]:
    """Return the accounts to be looked at, without those that were told later than this."""
    rested = or_(_ROW.told_at.is_(None), _ROW.told_at <= to_us(told_before))
    statement = select(_ROW.account_id).where(_ROW.due_at.is_not(None), rested).order_by(_ROW.account_id)
    return tuple(session.connection.execute(statement).scalars())


def take(session: Session, account_id: str) -> bool:
    """Take an account off those to be looked at; False where somebody else did."""
    session.lock(_LOCK)
    statement = update(record_news).where(_ROW.account_id == account_id, _ROW.due_at.is_not(None))
    return session.connection.execute(statement.values(due_at=None)).rowcount == 1


def note_told(session: Session, account_id: str, now: datetime) -> None:
    """Note that an account is told now."""
    session.lock(_LOCK)
    _put(session, account_id, told_at=to_us(now))


def _put(session: Session, account_id: str, **values: int) -> None:
    statement = update(record_news).where(_ROW.account_id == account_id).values(values)
    if not session.connection.execute(statement).rowcount:
        session.connection.execute(insert(record_news), {"account_id": account_id, **values})
