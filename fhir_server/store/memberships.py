"""Who belongs to what: PractitionerRole, CareTeam and Group compiled to rows on write, as Consents are to grants.

A row says that `member` belongs to `container` (a role, its organisation, a team, a group) for a time. The subjects
closure of a caller is what these rows reach from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, delete, insert, literal, select

from fhir_server.store import prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, type_key

ORGANIZATION = type_key("Organization")
_DEEPEST = 3
"""Person, role and organisation, team of those, group of teams."""


@dataclass(frozen=True, slots=True)
class Membership:
    """One row; keys of `store.keys`, the interval half-open in microseconds since the epoch.

    Attributes:
        source: The resource that says so.
        member: Who belongs.
        container: To what.
        kind: `keys.type_key` of the container's type.
        valid_from, valid_to: For how long.
    """

    source: int
    member: int
    container: int
    kind: int
    valid_from: int
    valid_to: int


def replace(session: Session, source: int, found: Sequence[Membership]) -> None:
    """Put the memberships that a resource states in place of those it stated; effective with the commit."""
    row = tables.membership
    session.connection.execute(delete(row).where(row.c.source == source))
    if found:
        session.connection.execute(insert(row), [asdict(each) for each in found])


def of_sources(session: Session, sources: Sequence[int]) -> list[Membership]:
    """Return the memberships that these resources state, in a settled order."""
    row = tables.membership.c
    columns = [row[name] for name in Membership.__dataclass_fields__]
    statement = select(*columns).where(row.source.in_(sources)).order_by(*columns)
    return [Membership(*found) for found in session.connection.execute(statement)]


def reached(session: Session, member: int, now_us: int) -> tuple[tuple[int, int], ...]:
    """Return (container, kind) of all that a member belongs to now, itself not included, in a settled order."""
    found = prepared.run(session, "reached", _reached_statement, {"member": member, "now": now_us})
    return tuple((row.container, row.kind) for row in found)


def _reached_statement() -> Select[Any]:
    row, now = tables.membership, bindparam("now", 0, BigInteger)
    first = select(row.c.container, row.c.kind, literal(1).label("depth")).where(
        row.c.member == bindparam("member", NONE, BigInteger), row.c.valid_from <= now, row.c.valid_to > now
    )
    above = first.cte("above", recursive=True)
    further = tables.membership.alias()
    above = above.union(
        select(further.c.container, further.c.kind, above.c.depth + 1).where(
            further.c.member == above.c.container,
            further.c.valid_from <= now,
            further.c.valid_to > now,
            above.c.depth < _DEEPEST,
        )
    )
    return select(above.c.container, above.c.kind).distinct().order_by(above.c.container, above.c.kind)
