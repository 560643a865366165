"""Who has an NHS CIS2 account in the demo: professionals of the directory with their roles, and some who do not get in.

Comes in: nothing. Goes out: claims. Must not know: how anybody signs in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seed_data import directory
from seed_data.codes import SDS_ROLE, SDS_USER

_ELSEWHERE: Final = "RQM"
_UNKNOWN_USER, _UNKNOWN_ROLE = "999000088001", "999100088001"


@dataclass(frozen=True, slots=True)
class Cis2Role:
    """A role as CIS2 knows it: its id, the organisation's ODS code, and what it is called."""

    id: str
    org_code: str
    name: str


@dataclass(frozen=True, slots=True)
class Cis2Person:
    """One professional; `note` says what the demo shows with them."""

    user_id: str
    name: str
    roles: tuple[Cis2Role, ...]
    note: str


def people() -> tuple[Cis2Person, ...]:
    """Return everybody of the demo who has a smartcard: staff with accounts, and a stranger."""
    found = {entry["id"]: entry for entry in directory.directory() if entry["resourceType"] == "Practitioner"}
    roles = {entry["id"]: entry for entry in directory.directory() if entry["resourceType"] == "PractitionerRole"}
    known = []
    for key, row in directory.STAFF.items():
        organisation = directory.organisation_of(row.department)
        own = Cis2Role(_value(roles[key], SDS_ROLE), organisation.ods, f"{row.job}, {organisation.name}")
        other = Cis2Role(_UNKNOWN_ROLE, _ELSEWHERE, "Locum at a trust that does not use this service")
        note = "has two roles; only one of them is known here"
        known.append(Cis2Person(_value(found[key], SDS_USER), row.name, (own, other), note))
    stranger = Cis2Role(_UNKNOWN_ROLE, _ELSEWHERE, "Nurse at a trust that does not use this service")
    return (*known, Cis2Person(_UNKNOWN_USER, "Robin Elsewhere", (stranger,), "is not known here"))


def _value(resource: dict[str, object], system: str) -> str:
    identifiers = resource["identifier"]
    assert isinstance(identifiers, list)  # noqa: S101 - made a few lines up
    return str(next(each["value"] for each in identifiers if each["system"] == system))
