"""How the database is: reachable, of this version's schema, ready to record; and what waits in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from fhir_server.spec.outcome import FhirError
from fhir_server.store import checkpoints, messages
from fhir_server.store.database import Session, Store
from fhir_server.store.event_tables import audit_event


@dataclass(frozen=True, slots=True)
class Condition:
    """What the operator wants to know of a running server's database.

    Attributes:
        revision: Revision of its schema, "" where there is none.
        revision_wanted: Revision that this version of the server was made for.
        messages_waiting_count: Messages neither delivered nor given up.
        checkpoint_size: Audit entries under the newest signed checkpoint, 0 where there is none.
        checkpoint_at: When that was signed, None where there is none.
    """

    revision: str
    revision_wanted: str
    messages_waiting_count: int
    checkpoint_size: int
    checkpoint_at: datetime | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be answered: each is a reason of its own to send them elsewhere.

    Attributes:
        database: It answers.
        schema: Its schema is of this version.
        audit: Audit events can be written, without which nothing is disclosed.
    """

    database: bool
    schema: bool
    audit: bool

    @property
    def complete(self) -> bool:
        """Return whether all of it holds."""
        return self.database and self.schema and self.audit


def condition(session: Session) -> Condition:
    """Return the condition of the database, from one snapshot."""
    newest = checkpoints.newest(session)
    return Condition(
        revision=_revision(session),
        revision_wanted=_head(),
        messages_waiting_count=messages.waiting_count(session),
        checkpoint_size=newest.size if newest else 0,
        checkpoint_at=newest.signed_at if newest else None,
    )


def waiting_count(store: Store) -> int:
    """Return how many messages are neither delivered nor given up."""
    with store.read() as session:
        return messages.waiting_count(session)


def readiness(store: Store) -> Readiness:
    """Try what every request needs; never raises."""
    return Readiness(
        database=_holds(lambda: _reached(store)),
        schema=_holds(lambda: _is_current(store)),
        audit=_holds(lambda: _can_record(store)),
    )


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (FhirError, SQLAlchemyError):
        return False


def _reached(store: Store) -> bool:
    with store.read() as session:
        return bool(session.connection.execute(text("SELECT 1")).scalar_one() == 1)


def _is_current(store: Store) -> bool:
    with store.read() as session:
        return _revision(session) == _head()


def _can_record(store: Store) -> bool:
    """Ask for what an append takes: a standby, a read-only file and a lost right do not have it."""
    with store.write() as session:
        if session.is_postgresql:
            # A server's own role may add rows but not choose their numbers: a right on columns, not on the table.
            may_add = select(func.has_any_column_privilege(audit_event.name, "INSERT"))
            if not session.connection.execute(may_add).scalar_one():
                return False
            if session.connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on":
                return False
        session.connection.execute(select(audit_event.c.seq).limit(1)).first()
    return True


def _revision(session: Session) -> str:
    return session.connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or ""


@cache
def _head() -> str:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - slow to import, and not needed to start

    from fhir_server.store.schema import configuration  # noqa: PLC0415 - as above

    return ScriptDirectory.from_config(configuration("sqlite://")).get_current_head() or ""
