"""What each kind of caller may ever do: role policy, before any row is looked at (403 otherwise).

One function per kind of caller, one table of types each; the consent gate and SMART scopes narrow further.
"""

from __future__ import annotations

from fhir_server.access.principal import Caller, Principal
from fhir_server.access.visibility import DIRECTORY_TYPES

READ_RIGHTS = frozenset("rs")
_NEVER_WRITTEN = frozenset({"AuditEvent"})
_PATIENT_WRITES = frozenset(
    {"Consent", "Observation", "DocumentReference", "Binary", "QuestionnaireResponse", "Appointment", "Communication"}
)
_FEED_DIRECTORY = frozenset({"Practitioner", "PractitionerRole", "Location", "HealthcareService"})
_NOT_CLINICAL = DIRECTORY_TYPES | {
    "AuditEvent", "Consent", "Parameters", "Bundle", "Subscription", "Task", "OperationOutcome", "TestScript",
    "TestReport",
}  # fmt: skip
_MEMBERSHIP = frozenset({"CareTeam", "Group"})
"""Whoever is in one counts as it: an organisation's system says so, nobody for themselves."""
_FAMILY = frozenset({Caller.PATIENT, Caller.RELATED})
_NOT_RELABELLED = _NOT_CLINICAL | {"Patient", "Binary", "Provenance"}
"""Who somebody is has no privacy label; a Binary and a Provenance have that of what they belong to."""
_STAFF_WRITES = {"coordinator": frozenset({"Patient"})}


def may(principal: Principal, right: str, resource_type: str) -> bool:
    """Return whether the role policy allows a right (`c`, `r`, `u`, `d`, `s`) on a type.

    A patient or family member may ask to update any record: `writes` says whether more of it than its label.
    """
    if right in READ_RIGHTS or writes(principal, resource_type):
        return True
    return right == "u" and relabels(principal, resource_type)


def relabels(principal: Principal, resource_type: str) -> bool:
    """Return whether a caller of this kind may choose the privacy label of a type, whoever wrote it."""
    return principal.caller in _FAMILY and resource_type not in _NOT_RELABELLED


def writes(principal: Principal, resource_type: str) -> bool:
    """Return whether a caller of this kind ever writes the content of a type."""
    if resource_type in _NEVER_WRITTEN:
        return False
    if principal.caller is Caller.OPERATOR:
        return True
    if principal.caller in _FAMILY:
        return resource_type in _PATIENT_WRITES
    if principal.caller is Caller.ORGANIZATION:
        return resource_type in _FEED_DIRECTORY or resource_type not in _NOT_CLINICAL
    if principal.caller is Caller.PROFESSIONAL:
        return resource_type not in _NOT_CLINICAL | _MEMBERSHIP and resource_type != "Patient"
    if principal.caller is Caller.STAFF:
        return resource_type in _STAFF_WRITES.get(principal.role, ())
    return False


def chooses_ids(principal: Principal) -> bool:
    """Return whether the caller may create a resource under an id of its choice (update as create)."""
    return principal.caller in {Caller.OPERATOR, Caller.ORGANIZATION}


def deletes_several(principal: Principal) -> bool:
    """Return whether one condition of this caller may delete several resources: of a program, never of a person."""
    return principal.caller in {Caller.OPERATOR, Caller.ORGANIZATION}


def matches_everyone(principal: Principal) -> bool:
    """Return whether the caller's mandate includes finding a person by NHS number over the whole index (nhs.md §4)."""
    if principal.caller is Caller.STAFF:
        return principal.role == "coordinator"
    return principal.caller is Caller.ORGANIZATION
