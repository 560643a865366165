"""Questions about emergency accesses beyond the rule itself: how often, whose sign-in is over, whom to tell.

The grants themselves are in `store.grants`. Nothing here discloses content of a record.
"""

from __future__ import annotations

from sqlalchemy import Select, and_, exists, func, or_, select

from fhir_server.store import account_tables, event_tables, oauth_tables, tables
from fhir_server.store.database import Session
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.keys import type_key

_STARTED = "110127"
_BATCH = 100


def count_since(session: Session, practitioner: int, since_us: int, *, patient: int = 0) -> int:
    """Return how many emergency accesses a practitioner started since an instant, of all patients or of one."""
    row = tables.break_glass.c
    statement = select(func.count()).where(row.practitioner == practitioner, row.started_at >= since_us)
    if patient:
        statement = statement.where(row.patient == patient)
    return int(session.connection.execute(statement).scalar_one())


def abandoned(session: Session, now_us: int) -> tuple[EmergencyAccess, ...]:
    """Return accesses that run by the clock but whose sign-in is over: session ended, tokens expired or revoked."""
    row, portal, token = tables.break_glass.c, account_tables.portal_session, oauth_tables.access_token
    in_portal = portal.c.id == row.session
    by_token = token.c.grant_id == row.session
    alive = and_(by_token, token.c.revoked_at.is_(None), token.c.expires_at > now_us)
    over = or_(
        exists().where(in_portal, portal.c.ended_at.is_not(None)),
        and_(exists().where(by_token), ~exists().where(alive)),
    )
    running = and_(row.ended_at.is_(None), row.started_at <= now_us, row.expires_at > now_us)
    columns = [row[name] for name in EmergencyAccess.__dataclass_fields__]
    found = session.connection.execute(select(*columns).where(running, over).limit(_BATCH))
    return tuple(EmergencyAccess(*record) for record in found)


def people_permitted(session: Session, patient: int, now_us: int, *, later: bool = False) -> tuple[str, ...]:
    """Return literal references of the RelatedPersons whom a Consent of this patient in force permits something.

    With `later`, also of those whom one permits something from a later day on.
    """
    row, grant = tables.resource.c, tables.consent_grant.c
    named = (
        select(grant.actor)
        .distinct()
        .where(
            grant.patient == patient,
            grant.permit.is_(True),
            *(() if later else (grant.valid_from <= now_us,)),
            grant.valid_to > now_us,
        )
    )
    statement = select(row.id).where(row.key.in_(named), row.type == type_key("RelatedPerson"), row.deleted.is_(False))
    return tuple(f"RelatedPerson/{found}" for found in session.connection.execute(statement).scalars())


def start_is_unsealed(session: Session, since_us: int) -> bool:
    """Return whether an emergency access that started since an instant is not yet in the signed tree of the log."""
    return session.connection.execute(_unsealed_start(since_us)).first() is not None


def _unsealed_start(since_us: int) -> Select[tuple[int]]:
    access, event, leaf = tables.break_glass.c, event_tables.audit_event.c, event_tables.audit_leaf.c
    return (
        select(event.seq)
        .where(
            access.started_at >= since_us,
            event.patient == access.patient,
            event.recorded_at >= access.started_at,
            event.kind == _STARTED,
            ~exists().where(leaf.seq == event.seq),
        )
        .limit(1)
    )
