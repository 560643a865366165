"""From a principal to a `Decision`: which rows it may read and write now. Deny on doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from fhir_server.access import policy, purposes
from fhir_server.access.closure import closure
from fhir_server.access.principal import PRIVACY_OFFICER, Caller, Principal
from fhir_server.access.scopes import Clinical
from fhir_server.access.visibility import Gate, ScopeFilter
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Session
from fhir_server.store.grants import WRITE, EmergencyAccess, live_emergencies
from fhir_server.store.instants import to_us
from fhir_server.store.keys import NONE, key_of_reference, type_key
from fhir_server.store.visibility import RowCondition

Narrow = Callable[[str, tuple[tuple[str, str], ...]], RowCondition | None]
"""Returns what the parameters of a granular scope on a type let through; None where they cannot be enforced."""

_REVIEWS = (type_key("Task"),)
_REVIEWED = (*_REVIEWS, type_key("Consent"))
"""What a privacy officer reads of every record: who may see it, and what this service asks the office, to close it."""
_COORDINATED = (type_key("Patient"), type_key("Task"))
"""What of the data of their organisation a coordinator reads; no person and no feed writes a Task."""
_FAMILY = frozenset({Caller.PATIENT, Caller.RELATED})
"""Those from whom a record may be withheld by its author or under embargo."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the caller may do in this request.

    Attributes:
        readable: Rows that exist for the caller.
        writable: Rows that the caller may bring about or change; a write needs both.
        emergencies: Live emergency accesses of the caller, newest first; empty for most.
    """

    readable: Gate
    writable: Gate
    emergencies: tuple[EmergencyAccess, ...] = ()


def gate(principal: Principal, right: str, resource_type: str) -> None:
    """Refuse what this token or role may never do, before data is touched.

    Raises:
        FhirError: FORBIDDEN (403).
    """
    if not principal.scopes.allows(right, resource_type):
        raise FhirError(Kind.FORBIDDEN, f"The access token has no scope for '{right}' on {resource_type}")
    if not policy.may(principal, right, resource_type):
        raise FhirError(Kind.FORBIDDEN, f"This caller may not write {resource_type}")


def decide(session: Session, principal: Principal, narrow: Narrow, now: datetime, right: str = "r") -> Decision:
    """Return the visibilities of a principal at an instant.

    Args:
        session: The transaction the decision is used in; emergency accesses are read from it.
        principal: The caller.
        narrow: Understands the search parameters of granular scopes.
        now: The instant.
        right: The right that SMART scopes are narrowed by (`r`, `s`, …).
    """
    at_us = to_us(now)
    readable_scopes = _scope_filters(principal, narrow, "rs" if right in "rs" else right)
    if principal.caller is Caller.OPERATOR:
        everything = Gate(at_us, everything=True, scopes=readable_scopes)
        return Decision(everything, everything)
    emergencies = running_emergencies(session, principal, now)
    own = key_of_reference(principal.subject) if principal.caller is Caller.PATIENT else NONE
    authored = principal.organizations
    own_data_types: tuple[int, ...] = ()
    if principal.caller is Caller.PROFESSIONAL:
        authored = (*authored, key_of_reference(principal.subject))
    if principal.caller is Caller.STAFF:
        # Staff have no clinical rights: a coordinator knows whom the organisation registered and what is asked about
        # its bookings, nobody else even that.
        authored = authored if principal.role == "coordinator" else ()
        own_data_types = _COORDINATED
    actors = () if own else principal.actors
    bits, others = purposes.of_caller(principal.purpose)
    readable = Gate(
        at_us,
        own=own,
        actors=actors,
        organizations=() if own else authored,
        directory=True,
        purposes=bits,
        other_purposes=others if actors else (),
        rare=principal.has_rare,
        shielded=principal.caller in _FAMILY,
        emergencies=tuple(access.patient for access in emergencies),
        reviewed_types=_REVIEWED if principal.role == PRIVACY_OFFICER else (),
        own_data_types=own_data_types,
        scopes=readable_scopes,
    )
    return Decision(readable, _writable(principal, readable), emergencies)


def running_emergencies(session: Session, principal: Principal, now: datetime) -> tuple[EmergencyAccess, ...]:
    """Return the emergency accesses that are live in this sign-in of the caller, newest first."""
    if not principal.in_emergency or not principal.may_break_glass or principal.caller is not Caller.PROFESSIONAL:
        return ()
    running = live_emergencies(session, key_of_reference(principal.subject), to_us(now))
    return tuple(access for access in running if access.session == principal.session_id)


def gate_of(session: Session, reference: str, purpose: str, now: datetime) -> Gate:
    """Return what an actor would see, as the owner of a record or by consent and own data: no token, no emergency.

    Args:
        session: The transaction; the actor's roles, teams and groups are read from it.
        reference: `Patient/1`, `Practitioner/2`, `PractitionerRole/3`, `Organization/4`, `RelatedPerson/5`, …
        purpose: Purposes of use, as a token has them.
        now: The instant.
    """
    at_us = to_us(now)
    bits, others = purposes.of_caller(purpose)
    if reference.startswith("Patient/"):
        return Gate(at_us, own=key_of_reference(reference), directory=True, purposes=bits, shielded=True)
    found = closure(session, reference, at_us)
    family = reference.startswith("RelatedPerson/")
    person = (key_of_reference(reference),) if reference.startswith("Practitioner/") else ()
    return Gate(
        at_us,
        actors=found.actors,
        organizations=(*found.organizations, *person),
        directory=True,
        purposes=bits,
        other_purposes=others,
        rare=found.has_rare,
        shielded=family,
    )


def _writable(principal: Principal, readable: Gate) -> Gate:
    """Return what the caller may bring about; the scopes of the token narrow it as they narrow reading."""
    empty = Gate(readable.at_us, scopes=readable.scopes)
    if principal.caller in _FAMILY:
        return replace(
            readable,
            organizations=(key_of_reference(principal.subject),),
            action=WRITE,
            own_only=True,
            managed_types=(type_key("Consent"),),
        )
    if principal.caller is Caller.PROFESSIONAL:
        return replace(readable, action=WRITE, own_only=True, emergencies=())
    if principal.caller is Caller.ORGANIZATION or principal.role == "coordinator":
        return replace(empty, organizations=readable.organizations)
    return replace(empty, reviewed_types=_REVIEWS if principal.role == PRIVACY_OFFICER else ())


def author_of(principal: Principal) -> int:
    """Return the key that marks a new row as the caller's own data: its organisation's, else its own."""
    if principal.caller is Caller.OPERATOR:
        return NONE
    if principal.organization:
        return key_of_reference(principal.organization)
    return key_of_reference(principal.subject)


def _scope_filters(principal: Principal, narrow: Narrow, rights: str) -> tuple[ScopeFilter, ...] | None:
    """Return one filter per clinical scope that gives one of the rights; None where nothing is restricted.

    INVARIANT: a granular scope that cannot be enforced as it is written lets nothing through.
    """
    if principal.scopes.unrestricted:
        return None
    scopes = [scope for scope in principal.scopes.clinical if set(rights) & set(scope.rights)]
    if any(scope.level != "patient" and scope.type == "*" and not scope.query for scope in scopes):
        return None
    found = (_filter(scope, principal, narrow) for scope in scopes)
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _filter(scope: Clinical, principal: Principal, narrow: Narrow) -> ScopeFilter | None:
    patient = NONE
    if scope.level == "patient":
        if not principal.patient:
            return None
        patient = key_of_reference(principal.patient)
    kind = NONE if scope.type == "*" else type_key(scope.type)
    if not scope.query:
        return ScopeFilter(kind, patient)
    narrowing = narrow(scope.type, scope.query)
    return ScopeFilter(kind, patient, narrowing) if narrowing is not None else None
