"""Search parameters and profiles that an operator adds at run time: which are in force, and how far an index is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import ColumnElement, and_, func, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.keys import hash64
from fhir_server.store.parameter_tables import own_parameter

_LOCK = hash64("own search parameters")


class State(IntEnum):
    """What may be done with a parameter."""

    GONE = 0
    INDEXING = 1
    READY = 2


@dataclass(frozen=True, slots=True)
class Own:
    """One parameter.

    Attributes:
        key: Key of the SearchParameter resource.
        revision: Of the last change of what is in force.
        state: What may be done with it.
        content: The resource, JSON bytes.
        registered_at: Microseconds since the epoch.
        position: Key of the last resource that was indexed; None at the start.
        done_count: How many were.
    """

    key: int
    revision: int
    state: State
    content: bytes
    registered_at: int
    position: int | None
    done_count: int


def lock(session: Session) -> None:
    """Let nobody else change what is in force until the end of the transaction."""
    session.lock(_LOCK)


def revision(session: Session) -> int:
    """Return a number that changes with what is in force."""
    return int(session.connection.execute(select(func.coalesce(func.max(own_parameter.c.revision), 0))).scalar_one())


def in_force(session: Session) -> list[Own]:
    """Return the parameters, by key."""
    row = own_parameter.c
    statement = select(own_parameter).where(row.state != State.GONE).order_by(row.key)
    found = session.connection.execute(statement)
    return [Own(**{**each, "state": State(each["state"])}) for each in found.mappings()]


def register(session: Session, key: int, content: bytes, now_us: int, state: State = State.INDEXING) -> None:
    """Put a parameter in force, or another definition in the place of the one that was: indexing begins anew.

    A profile needs no index: it is `READY` at once.
    """
    session.lock(_LOCK)
    values = {
        "revision": revision(session) + 1,
        "state": state,
        "content": content,
        "registered_at": now_us,
        "position": None,
        "done_count": 0,
    }
    changed = session.connection.execute(update(own_parameter).where(own_parameter.c.key == key).values(values))
    if not changed.rowcount:
        session.connection.execute(insert(own_parameter), {"key": key, **values})


def take_back(session: Session, key: int) -> None:
    """Take a parameter out of force, if it was in."""
    session.lock(_LOCK)
    row = own_parameter.c
    gone = {"state": State.GONE, "revision": revision(session) + 1}
    session.connection.execute(update(own_parameter).where(row.key == key, row.state != State.GONE).values(gone))


def advance(session: Session, own: Own, position: int, count: int) -> bool:
    """Note how far the index of a parameter is; False when another definition took its place meanwhile."""
    progress = {"position": position, "done_count": own.done_count + count}
    return session.connection.execute(update(own_parameter).where(_same(own)).values(progress)).rowcount == 1


def finish(session: Session, own: Own) -> None:
    """Make a parameter ready to be searched with, unless another definition took its place."""
    session.lock(_LOCK)
    ready = {"state": State.READY, "revision": revision(session) + 1}
    session.connection.execute(update(own_parameter).where(_same(own)).values(ready))


def _same(own: Own) -> ColumnElement[bool]:
    row = own_parameter.c
    return and_(row.key == own.key, row.revision == own.revision, row.state == own.state)
