"""Audit events: append, record durably, search.

In come `Event`s, built by `interactions.audit`; out go stored bytes, newest first. Nothing here changes or deletes an
event, and the database refuses it (`event_tables.APPEND_ONLY_DDL`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, LargeBinary, and_, false, func, literal, not_, or_, select

from fhir_server.store import wire
from fhir_server.store.database import Session
from fhir_server.store.event_tables import audit_event
from fhir_server.store.keys import NONE, key_of_reference
from fhir_server.store.tables import resource


@dataclass(frozen=True, slots=True)
class Event:
    """One AuditEvent and what it is found by.

    Attributes:
        id: Logical id.
        recorded_at: Microseconds since the epoch, UTC.
        patient: Key of the patient whose record it is about, 0 for none.
        agent: Key of the reference of who asked.
        organization: Key of the organisation acted for, 0 for none.
        entity: Key of the resource touched, 0 for none or several.
        kind: Code of the first `subtype`, such as `read`, `search-type`, `110127`.
        action: `C`, `R`, `U`, `D` or `E`.
        outcome: `0` success, `4` refused, `8` failed.
        purpose: Purpose of use, such as `TREAT` or `BTG`.
        content: The AuditEvent as JSON bytes.
    """

    id: str
    recorded_at: int
    patient: int
    agent: int
    organization: int
    entity: int
    kind: str
    action: str
    outcome: str
    purpose: str
    content: bytes


ONE_STATEMENT_LIMIT = 500
"""Events that go to PostgreSQL as one statement, which is atomic and one round trip."""
_TYPES = {
    "id": wire.TEXT,
    "recorded_at": wire.BIGINT,
    "patient": wire.BIGINT,
    "agent": wire.BIGINT,
    "organization": wire.BIGINT,
    "entity": wire.BIGINT,
    "kind": wire.TEXT,
    "action": wire.TEXT,
    "outcome": wire.TEXT,
    "purpose": wire.TEXT,
    "content": wire.BYTEA,
}
COLUMNS = tuple(_TYPES)

_row = attrgetter(*COLUMNS)
_INTO = f"INSERT INTO audit_event ({', '.join(COLUMNS)})"
_INSERT = f"{_INTO} VALUES ({', '.join('?' * len(COLUMNS))})"
_ONE = f"{_INTO} VALUES ({', '.join(f'${number + 1}' for number in range(len(COLUMNS)))})".encode()
_ARRAYS = ", ".join(f"${number}::{of.name}[]" for number, of in enumerate(_TYPES.values(), 1))
_SEVERAL = f"{_INTO} SELECT * FROM unnest({_ARRAYS})".encode()  # noqa: S608 - names of ours alone


def append(session: Session, events: Sequence[Event]) -> None:
    """Add events inside the given transaction; they are durable when it commits.

    A write's events go here, with the write. A read's events go through `recorder.Recorder`.
    """
    # The driver's own statement: compiling and typing it anew costs Core more than the insert.
    if not session.is_postgresql:
        session.driver.executemany(_INSERT, map(_row, events))
    else:
        for start in range(0, len(events), ONE_STATEMENT_LIMIT):
            insert = _insert(events[start : start + ONE_STATEMENT_LIMIT])
            session.run(insert.text, insert.values)


def commit(session: Session, events: Sequence[Event]) -> None:
    """End what a session has read, then insert and commit events on its connection, in one round trip (PostgreSQL).

    By libpq itself: what the driver does around a statement takes longer than the rest of a read's audit.

    Args:
        session: Of `Store.read` or `Store.glance`; one that writes has its events in its own transaction.
        events: One to `ONE_STATEMENT_LIMIT` events; they are durable when this returns.

    Raises:
        psycopg.Error: They could not be written; none is.
    """
    driver: Any = session.pooled.driver_connection
    if session.writes:
        raise psycopg.OperationalError("The transaction is one that writes")
    # INVARIANT: outside a transaction a statement is committed when it has ended; inside one it would not be.
    ending = () if wire.is_idle(driver) else (_COMMIT,)
    answers = wire.exchange(driver, session.info, (*ending, _insert(events)))
    if answers[-1].rowcount != len(events):
        raise psycopg.OperationalError("Not every event was inserted")


def _insert(events: Sequence[Event]) -> wire.Statement:
    """Return the one statement that inserts these events, in their order."""
    if len(events) == 1:
        return wire.Statement(_ONE, _row(events[0]))
    columns = zip(*map(_row, events), strict=True)
    return wire.Statement(_SEVERAL, [wire.array(*each) for each in zip(_TYPES.values(), columns, strict=True)])


_COMMIT = wire.Statement(b"COMMIT")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as stored."""

    seq: int
    id: str
    recorded_at: int
    patient: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to search for.

    Of each field every group must hold, and of a group one alternative. A field without groups matches anything.

    Attributes:
        patient: Keys of patients.
        agent: Literal references of who asked; an Organization matches everybody who acted for it.
        not_agent: Literal references of which none may be that.
        entity: Literal references of resources touched, such as `Observation/1`.
        recorded: Closed-open intervals in microseconds.
        kind: Codes of the first subtype.
        action: Codes of the action.
        outcome: Codes of the outcome.
        purpose: Codes of the purpose.
        id: Logical ids.
    """

    patient: tuple[tuple[int, ...], ...] = ()
    agent: tuple[tuple[str, ...], ...] = ()
    not_agent: tuple[tuple[str, ...], ...] = ()
    entity: tuple[tuple[str, ...], ...] = ()
    recorded: tuple[tuple[tuple[int, int], ...], ...] = ()
    kind: tuple[tuple[str, ...], ...] = ()
    action: tuple[tuple[str, ...], ...] = ()
    outcome: tuple[tuple[str, ...], ...] = ()
    purpose: tuple[tuple[str, ...], ...] = ()
    id: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Readable:
    """Whose events exist for a caller: everybody's, or those of one patient.

    INVARIANT: it has no default, and `patient=0` without `everything` matches nothing.
    """

    everything: bool
    patient: int


def search(
    session: Session,
    readable: Readable,
    criteria: Criteria,
    *,
    limit: int,
    before: tuple[int, int] | None = None,
    oldest_first: bool = False,
) -> list[StoredEvent]:
    """Return events, newest first unless told otherwise.

    Args:
        session: The transaction.
        readable: Whose events exist for the caller.
        criteria: What to search for.
        limit: At most so many.
        before: (recorded_at, seq) of the last event of the page before.
        oldest_first: Order and page the other way round.
    """
    c = audit_event.c
    conditions = _conditions(session, readable, criteria)
    if before is not None:
        recorded_at, seq = before
        if oldest_first:
            conditions.append(or_(c.recorded_at > recorded_at, and_(c.recorded_at == recorded_at, c.seq > seq)))
            conditions.append(c.recorded_at >= recorded_at)
        else:
            conditions.append(or_(c.recorded_at < recorded_at, and_(c.recorded_at == recorded_at, c.seq < seq)))
            conditions.append(c.recorded_at <= recorded_at)
    order = (c.recorded_at, c.seq) if oldest_first else (c.recorded_at.desc(), c.seq.desc())
    query = select(c.seq, c.id, c.recorded_at, c.patient, c.content).where(*conditions).order_by(*order).limit(limit)
    return [StoredEvent(*row) for row in session.connection.execute(query)]


def count(session: Session, readable: Readable, criteria: Criteria) -> int:
    """Return how many events match."""
    query = select(func.count()).select_from(audit_event).where(*_conditions(session, readable, criteria))
    return session.connection.execute(query).scalar_one()


def _conditions(session: Session, readable: Readable, criteria: Criteria) -> list[ColumnElement[bool]]:
    c = audit_event.c
    conditions: list[ColumnElement[bool]] = []
    if not readable.everything:
        conditions.append(c.patient == readable.patient)
        # A caller without a patient of its own reads nothing: 0 marks events that are about no patient.
        conditions.append(c.patient != NONE)
    for name in ("patient", "kind", "action", "outcome", "purpose", "id"):
        conditions += [c[name].in_(group) for group in getattr(criteria, name)]
    conditions += [or_(false(), *map(_by_agent, group)) for group in criteria.agent]
    conditions += [not_(_by_agent(each)) for group in criteria.not_agent for each in group]
    conditions += [or_(false(), *(_by_entity(session, each) for each in group)) for group in criteria.entity]
    conditions += [
        or_(false(), *(and_(c.recorded_at >= low, c.recorded_at < high) for low, high in group))
        for group in criteria.recorded
    ]
    return conditions


def _by_agent(reference: str) -> ColumnElement[bool]:
    key = key_of_reference(reference)
    if reference.startswith("Organization/"):
        return or_(audit_event.c.agent == key, audit_event.c.organization == key)
    return audit_event.c.agent == key


def _by_entity(session: Session, reference: str) -> ColumnElement[bool]:
    """Match the one resource of a read or write, and any of those that a search returned.

    Rows for every resource of every search would cost more than all the rest of the event. A resource belongs to a
    patient, so it is looked for in the text of that patient's events only.
    """
    c = audit_event.c
    key = key_of_reference(reference)
    within = [_mentions(session, f'"reference":"{reference}{end}'.encode()) for end in ('"', "/")]
    owner = session.connection.execute(
        select(resource.c.patient, resource.c.multi).where(resource.c.key == key)
    ).first()
    several = and_(c.entity == NONE, or_(*within))
    if owner is not None and owner.patient != NONE and not owner.multi:
        several = and_(c.patient == owner.patient, several)
    return or_(c.entity == key, several)


def _mentions(session: Session, text: bytes) -> ColumnElement[bool]:
    needle = literal(text, LargeBinary)
    if session.is_postgresql:
        return func.position(needle.op("IN")(audit_event.c.content)) > 0
    return func.instr(audit_event.c.content, needle) > 0
