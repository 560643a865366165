"""Who belongs to what: PractitionerRole, CareTeam and Group compiled to rows on write, as Consents are to grants.

A row says that `member` belongs to `container` (a role, its organisation, a team, a group) for a time. The subjects
closure of a caller is what these rows reach from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy import cast as sql_cast

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


def members(session: Session, organization: int, now_us: int) -> frozenset[int]:
    """Return the keys of whoever belongs to an organisation itself now."""
    row = tables.membership.c
    holds = (row.valid_from <= now_us) & (row.valid_to > now_us)
    found = select(row.member).where(row.container == organization, row.kind == ORGANIZATION, holds)
    return frozenset(session.connection.execute(found).scalars())


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member is now.

    Attributes:
        belongs: (container, kind) of all it belongs to, itself not included, in a settled order.
        organization_ids: Logical ids of the organisations among them by key.
        in_emergency: Whether an emergency access of the member is running.
        has_rare: Whether a grant to it, or to anyone, has a criterion that needs a look at content.
    """

    belongs: tuple[tuple[int, int], ...]
    organization_ids: Mapping[int, str]
    in_emergency: bool
    has_rare: bool


def standing(session: Session, member: int, now_us: int) -> Standing:
    """Return what a member is now, in one statement: it is asked at every request."""

    def build() -> Select[Any]:
        return standing_of(select(sql_cast(bindparam("member", NONE, BigInteger), BigInteger).label("subject_key")))

    return read_standing(prepared.run(session, "standing", build, {"member": member, "now": now_us}).all())


def read_standing(found: Sequence[Row[Any]]) -> Standing:
    """Return what the rows of `standing_of` say about their one member."""
    belongs = tuple((row.container, row.kind) for row in found if row.depth)
    ids = {row.container: row.named_id for row in found if row.named_id is not None}
    return Standing(belongs, ids, bool(found[0].in_emergency), bool(found[0].has_rare))


def standing_of(members: Select[Any]) -> Select[Any]:
    """Return the statement that adds its standing, as at parameter `now`, to each row of a selection of one member.

    Args:
        members: Has the column `subject_key`; every other column is passed on.
    """
    who, row, now = members.cte("who"), tables.membership, bindparam("now", 0, BigInteger)
    above = select(
        who.c.subject_key.label("container"), literal(NONE, Integer).label("kind"), literal(0, Integer).label("depth")
    ).cte("above", recursive=True)
    above = above.union(
        select(row.c.container, row.c.kind, above.c.depth + 1).where(
            row.c.member == above.c.container,
            row.c.valid_from <= now,
            row.c.valid_to > now,
            above.c.depth < _DEEPEST,
        )
    )
    reached = (
        select(above.c.container, above.c.kind, func.min(above.c.depth).label("depth"))
        .group_by(above.c.container, above.c.kind)
        .subquery()
    )
    named, access, grant = tables.resource, tables.break_glass, tables.consent_grant
    running = exists().where(
        access.c.practitioner == who.c.subject_key,
        access.c.ended_at.is_(None),
        access.c.started_at <= now,
        access.c.expires_at > now,
    )
    rare = exists().where(
        grant.c.rare.is_(True), or_(grant.c.actor == NONE, grant.c.actor.in_(select(above.c.container)))
    )
    is_named = and_(reached.c.kind == ORGANIZATION, named.c.key == reached.c.container, named.c.deleted.is_(False))
    return (
        select(
            *who.c,
            reached.c.container,
            reached.c.kind,
            reached.c.depth,
            named.c.id.label("named_id"),
            running.label("in_emergency"),
            rare.label("has_rare"),
        )
        .select_from(who.join(reached, true()).outerjoin(named, is_named))
        .order_by(reached.c.container, reached.c.kind)
    )
