"""What one person proposes about somebody's records and another one decides, as rows. `identity` says who may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.enrolment_tables import person_case
from fhir_server.store.instants import from_us, maybe_from_us, to_us


class CaseKind(StrEnum):
    """What is proposed."""

    MERGE = "merge"
    """Two records are one person's: `patient` is the one that ends, `other` the one that stays."""
    UNMERGE = "unmerge"
    """They are not: the merge is taken back."""
    DEATH = "death"
    ALIVE = "alive"
    """A death was recorded wrongly."""


class CaseState(StrEnum):
    """What became of a case."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PersonCase:
    """One case.

    Attributes:
        patient: `Patient/…` it is about.
        other: The other `Patient/…` of a merge, or "".
        day: Day of death, `YYYY-MM-DD`, or "".
        evidence: How it was established, in the words of who proposed it.
        proposed_by: Account id.
        decided_by: Account id, "" while nobody has.
        detail: What a merge moved, as JSON, to take it back by; "" before.
    """

    id: str
    kind: CaseKind
    patient: str
    other: str
    day: str
    evidence: str
    proposed_by: str
    proposed_at: datetime
    state: CaseState = CaseState.OPEN
    decided_by: str = ""
    decided_at: datetime | None = None
    detail: str = ""

    @property
    def about(self) -> str:
        """What the audit log says of it: kind, id and whose records."""
        return f"{self.kind} {self.id} {self.patient} {self.other}".rstrip()


_ROW = person_case.c


def add(session: Session, new: PersonCase) -> None:
    """Store a new case."""
    values: dict[str, Any] = {name: getattr(new, name) for name in ("id", "patient", "other", "day", "evidence")}
    values |= {"kind": str(new.kind), "state": str(new.state)}
    values |= {"proposed_by": new.proposed_by, "proposed_at": to_us(new.proposed_at)}
    session.connection.execute(insert(person_case), values)


def by_id(session: Session, case_id: str) -> PersonCase | None:
    """Return one case."""
    row = session.connection.execute(select(person_case).where(_ROW.id == case_id)).one_or_none()
    return _from_row(row) if row else None


def open_ones(session: Session, *, after: str = "", limit: int = 100) -> tuple[PersonCase, ...]:
    """Return the cases that nobody has decided, oldest first, from the one after an id on."""
    statement = select(person_case).where(_ROW.state == str(CaseState.OPEN))
    last = by_id(session, after) if after else None
    if last is not None:
        at = to_us(last.proposed_at)
        statement = statement.where((_ROW.proposed_at > at) | ((_ROW.proposed_at == at) & (_ROW.id > last.id)))
    rows = session.connection.execute(statement.order_by(_ROW.proposed_at, _ROW.id).limit(limit))
    return tuple(_from_row(row) for row in rows)


def is_waiting(session: Session, patients: tuple[str, ...]) -> bool:
    """Return whether a case about one of these records waits for a decision."""
    about = _ROW.patient.in_(patients) | _ROW.other.in_(patients)
    statement = select(_ROW.id).where(_ROW.state == str(CaseState.OPEN), about)
    return session.connection.execute(statement.limit(1)).first() is not None


def last_done(session: Session, kind: CaseKind, patient: str) -> PersonCase | None:
    """Return the newest case of a kind about a record that was decided with yes."""
    statement = select(person_case).where(
        _ROW.patient == patient, _ROW.kind == str(kind), _ROW.state == str(CaseState.DONE)
    )
    row = session.connection.execute(statement.order_by(_ROW.decided_at.desc()).limit(1)).one_or_none()
    return _from_row(row) if row else None


def decide(session: Session, case_id: str, state: CaseState, *, by: str, now: datetime) -> bool:
    """Decide an open case; False where somebody else was first."""
    statement = update(person_case).where(_ROW.id == case_id, _ROW.state == str(CaseState.OPEN))
    values = {"state": str(state), "decided_by": by, "decided_at": to_us(now)}
    return session.connection.execute(statement.values(values)).rowcount == 1


def keep_detail(session: Session, case_id: str, detail: str) -> None:
    """Remember what a merge moved."""
    session.connection.execute(update(person_case).where(_ROW.id == case_id).values(detail=detail))


def _from_row(row: Row[Any]) -> PersonCase:
    return PersonCase(
        id=row.id,
        kind=CaseKind(row.kind),
        patient=row.patient,
        other=row.other,
        day=row.day,
        evidence=row.evidence,
        proposed_by=row.proposed_by,
        proposed_at=from_us(row.proposed_at),
        state=CaseState(row.state),
        decided_by=row.decided_by or "",
        decided_at=maybe_from_us(row.decided_at),
        detail=row.detail or "",
    )
