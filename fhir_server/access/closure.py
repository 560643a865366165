"""The subjects closure: all that a caller is, worked out on the server from stored resources (access.md §2).

A PractitionerRole makes its practitioner count as the role and its organisation; a CareTeam and a Group make their
members count as the team or the group. What these resources say is compiled when they are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.access.criteria import ACTOR_TYPES
from fhir_server.spec.values import parse_reference, period_interval
from fhir_server.store import memberships
from fhir_server.store.database import Session
from fhir_server.store.keys import key_of_reference, reference_key, type_key
from fhir_server.store.memberships import ORGANIZATION, Membership, Standing

ALWAYS = (-(2**62), 2**62)
CONTAINERS = frozenset({"PractitionerRole", "CareTeam", "Group"})
_MEMBERS = frozenset(ACTOR_TYPES)
_NOT_IN_FORCE = frozenset({"proposed", "suspended", "inactive", "entered-in-error"})


class Closure(NamedTuple):
    """All that a caller is at an instant.

    Attributes:
        actors: Keys of everything that counts as the caller.
        organizations: Keys of its organisations among them.
        organization_ids: Logical ids of those that are stored, by key.
        in_emergency: Whether an emergency access of the caller is running.
        has_rare: Whether a grant to the caller, or to anyone, has a criterion that needs a look at content.
    """

    actors: tuple[int, ...]
    organizations: tuple[int, ...]
    organization_ids: Mapping[int, str]
    in_emergency: bool
    has_rare: bool


def closure(session: Session, reference: str, now_us: int) -> Closure:
    """Return the closure of a `Practitioner/1`, `Organization/2`, … at an instant."""
    return closure_of(reference, memberships.standing(session, key_of_reference(reference), now_us))


def closure_of(reference: str, found: Standing) -> Closure:
    """Return the closure of a `Practitioner/1`, `Organization/2`, … by what it is now."""
    own = key_of_reference(reference)
    organizations = [key for key, kind in found.belongs if kind == ORGANIZATION]
    if reference.startswith("Organization/"):
        organizations.append(own)
    actors = tuple(dict.fromkeys((own, *(key for key, _ in found.belongs))))
    return Closure(
        actors, tuple(dict.fromkeys(organizations)), found.organization_ids, found.in_emergency, found.has_rare
    )


def compile_memberships(resource: Mapping[str, Any], key: int, fhir_base: str) -> tuple[Membership, ...]:
    """Compile a PractitionerRole, CareTeam or Group; what is not in force, or not understood, states nothing."""
    kind = resource.get("resourceType")
    if kind == "PractitionerRole":
        return tuple(_role(resource, key, fhir_base))
    if kind == "CareTeam":
        found = () if resource.get("status") in _NOT_IN_FORCE else resource.get("participant", ())
        members = [(each.get("member", {}), each.get("period")) for each in found]
        return tuple(_members("CareTeam", key, members, resource.get("period"), fhir_base))
    if kind == "Group" and resource.get("active") is not False and resource.get("actual") is True:
        found = [each for each in resource.get("member", ()) if each.get("inactive") is not True]
        members = [(each.get("entity", {}), each.get("period")) for each in found]
        return tuple(_members("Group", key, members, None, fhir_base))
    return ()


def _role(resource: Mapping[str, Any], key: int, fhir_base: str) -> Iterator[Membership]:
    who = _key(resource.get("practitioner", {}), {"Practitioner"}, fhir_base)
    if not who or resource.get("active") is False:
        return
    interval = _interval(resource.get("period"))
    yield Membership(key, who, key, type_key("PractitionerRole"), *interval)
    organization = _key(resource.get("organization", {}), {"Organization"}, fhir_base)
    if organization:
        yield Membership(key, who, organization, ORGANIZATION, *interval)
        # The role by itself, as the subject of a system, counts as its organisation too.
        yield Membership(key, key, organization, ORGANIZATION, *interval)


def _members(kind: str, key: int, members: list[Any], whole: object, fhir_base: str) -> Iterator[Membership]:
    limits = _interval(whole)
    for reference, period in members:
        who = _key(reference, _MEMBERS, fhir_base)
        own = _interval(period)
        start, end = max(limits[0], own[0]), min(limits[1], own[1])
        if who and start < end:
            yield Membership(key, who, key, type_key(kind), start, end)


def _key(reference: object, kinds: frozenset[str] | set[str], fhir_base: str) -> int:
    if not isinstance(reference, Mapping):
        return 0
    found = parse_reference(str(reference.get("reference", "")), fhir_base)
    return reference_key(found.type, found.id) if found.type and found.type in kinds and found.id else 0


def _interval(period: object) -> tuple[int, int]:
    """Return a Period's interval; none is always, one that is not understood never."""
    if period is None:
        return ALWAYS
    found = period_interval(period) if isinstance(period, dict) else None
    return found or (0, 0)
