"""Grants compiled from Consents, and emergency accesses: the rules that visibility joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Row, Select, and_, bindparam, insert, select, update

from fhir_server.store import many_rows, prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE

INSTANCE, RELATED, DEPENDENTS, AUTHORED_BY = 1, 2, 3, 4
"""Meanings of `provision.data`, as `Grant.meaning` has them; 0 where a provision names no data."""
READ, WRITE = 1, 2
"""Bits of `Grant.actions`."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One compiled node of a Consent for one actor (and, rarely, one type, code and piece of data).

    Attributes:
        consent: Key of the Consent.
        node: FHIRPath of the node, for explanations.
        position, ends: Number of the node in document order, and of its last descendant: a node further down is one
            with `position < its position <= ends`.
        permit: Permits, or denies.
        patient, actor: Keys; actor 0 is anyone.
        valid_from, valid_to: Half-open interval in microseconds since the epoch.
        purposes, purpose: Bits of `access.purposes`; a purpose of another code system by key, else 0. Either hits.
        actions: `READ`, `WRITE` or both.
        labels: Bit mask of privacy labels: a permit covers a row whose label bits are all in it, a deny hits one that
            shares a bit.
        confidentiality: Highest level a permit covers; lowest level a deny hits.
        rare: One of the criteria below is there.
        type: `keys.type_key` of the only type it is about, 0 for every type.
        code, system: A code that has to be in the resource, and its system (0 for any); 0 for no code.
        data_from, data_to: Clinical time of the data, half-open; None for any.
        meaning, target: What the resource has to be to another one, and which; 0 for nothing.
        blocks_emergency: Refuses emergency access to this patient.
    """

    consent: int
    node: str
    position: int
    ends: int
    permit: bool
    patient: int
    actor: int
    valid_from: int
    valid_to: int
    purposes: int
    purpose: int
    actions: int
    labels: int
    confidentiality: int
    rare: bool
    type: int
    code: int
    system: int
    data_from: int | None
    data_to: int | None
    meaning: int
    target: int
    blocks_emergency: bool


_FIELDS = tuple(Grant.__dataclass_fields__)
_columns = attrgetter(*(column.name for column in tables.consent_grant.c if column.name != "id"))


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    """One break-glass grant; instants in microseconds since the epoch, `ended_at` None while it runs."""

    id: str
    practitioner: int
    practitioner_reference: str
    patient: int
    patient_id: str
    organization: int
    reason_system: str
    reason_code: str
    reason: str
    started_at: int
    expires_at: int
    ended_at: int | None
    end_recorded: bool
    session: str


_EMERGENCY = [tables.break_glass.c[name] for name in EmergencyAccess.__dataclass_fields__]


def replace(session: Session, consent: int, grants: Sequence[Grant]) -> None:
    """Put the grants of a Consent in place of those it had; effective with the transaction's commit."""
    rows = {tables.consent_grant: [_columns(grant) for grant in grants]}
    many_rows.exchange(session, (tables.consent_grant.c.consent,), consent, rows)


def of_patients(session: Session, patients: Sequence[int]) -> list[Grant]:
    """Return the compiled grants of these patients, in a settled order."""
    row = tables.consent_grant.c
    columns = [row[name] for name in _FIELDS]
    statement = select(*columns).where(row.patient.in_(patients)).order_by(row.consent, row.position, row.id)
    return [_granted(found) for found in session.connection.execute(statement)]


def of_consent(session: Session, consent: int) -> list[Grant]:
    """Return the compiled grants of one Consent, in the order they were compiled."""
    row = tables.consent_grant.c
    columns = [row[name] for name in _FIELDS]
    statement = select(*columns).where(row.consent == consent).order_by(row.id)
    return [_granted(found) for found in session.connection.execute(statement)]


class Named(NamedTuple):
    """Whom a Consent in force names: its key, an actor (0 for anyone), and whether it permits."""

    consent: int
    actor: int
    permit: bool


def named_for(session: Session, patient: int, now_us: int) -> list[Named]:
    """Return whom the Consents of a patient name that are in force now or later."""

    def build() -> Select[Any]:
        row = tables.consent_grant.c
        whose, since = bindparam("patient", NONE, BigInteger), bindparam("now", 0, BigInteger)
        return select(row.consent, row.actor, row.permit).where(row.patient == whose, row.valid_to > since)

    found = prepared.run(session, "named_for", build, {"patient": patient, "now": now_us})
    return [Named(row.consent, row.actor, bool(row.permit)) for row in found]


def sharing_disabled(session: Session, patient: int, now_us: int) -> bool:
    """Return whether the patient's policy refuses emergency access."""
    row = tables.consent_grant.c
    statement = select(row.id).where(
        row.patient == patient, row.blocks_emergency.is_(True), row.valid_from <= now_us, row.valid_to > now_us
    )
    return session.connection.execute(statement.limit(1)).first() is not None


def start_emergency(session: Session, access: EmergencyAccess) -> None:
    """Store a new emergency access."""
    session.connection.execute(insert(tables.break_glass), asdict(access))


def live_emergencies(session: Session, practitioner: int, now_us: int) -> tuple[EmergencyAccess, ...]:
    """Return the emergency accesses of a practitioner that are running now, newest first."""
    values = {"practitioner": practitioner, "now": now_us}
    found = prepared.run(session, "live_emergencies", _live_statement, values)
    return tuple(_emergency(row) for row in found)


def _live_statement() -> Select[Any]:
    row = tables.break_glass.c
    now = bindparam("now", 0, BigInteger)
    return (
        select(*_EMERGENCY)
        .where(
            row.practitioner == bindparam("practitioner", 0, BigInteger),
            row.ended_at.is_(None),
            row.started_at <= now,
            row.expires_at > now,
        )
        .order_by(row.started_at.desc())
    )


def unrecorded_ends(session: Session, now_us: int) -> tuple[EmergencyAccess, ...]:
    """Return the emergency accesses that are over but whose end has no AuditEvent yet."""
    row = tables.break_glass.c
    over = (row.ended_at.is_not(None)) | (row.expires_at <= now_us)
    statement = select(*_EMERGENCY).where(row.end_recorded.is_(False), over).limit(100)
    return tuple(_emergency(found) for found in session.connection.execute(statement))


def end_emergency(session: Session, access_id: str, now_us: int, *, recorded: bool) -> bool:
    """End an emergency access; returns False where it was already over and recorded."""
    row = tables.break_glass
    statement = (
        update(row)
        .where(and_(row.c.id == access_id, row.c.end_recorded.is_(False)))
        .values(ended_at=now_us, end_recorded=recorded)
    )
    return session.connection.execute(statement).rowcount == 1


def _granted(row: Row[Any]) -> Grant:
    fields = dict(zip(_FIELDS, row, strict=True))
    for name in ("permit", "rare", "blocks_emergency"):
        fields[name] = bool(fields[name])
    return Grant(**fields)


def _emergency(row: Row[Any]) -> EmergencyAccess:
    fields = dict(zip(EmergencyAccess.__dataclass_fields__, row, strict=True))
    fields["end_recorded"] = bool(fields["end_recorded"])
    return EmergencyAccess(**fields)
