"""Who somebody is to a patient: the RelatedPerson of a carer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from fhir_server.identity import ages
from fhir_server.portal.models.words import Json, items

PARENT: Final = "PRN"
_ROLES: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"


@dataclass(frozen=True, slots=True)
class Relation:
    """A code of v3-RoleCode, and what it is called."""

    code: str
    name: str


RELATIONS: Final = (
    Relation("SPS", "Husband, wife or partner"),
    Relation(PARENT, "Parent"),
    Relation("CHILD", "Son or daughter"),
    Relation("SIB", "Brother or sister"),
    Relation("FAMMEMB", "Other family"),
    Relation("FRND", "Friend or neighbour"),
    Relation("CAREGIVER", "Carer"),
)


def related_person(patient: Json, name: str, relation: str) -> dict[str, Any]:
    """Return the RelatedPerson of somebody whom a patient invites.

    How to reach them stays out of it: it is for the invitation only.
    """
    known = next(entry for entry in RELATIONS if entry.code == relation)
    given, _, family = name.rpartition(" ")
    parts: dict[str, Any] = {"use": "usual", "text": name, "family": family} | ({"given": [given]} if given else {})
    return {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": dict(patient),
        "relationship": [{"coding": [{"system": _ROLES, "code": known.code}], "text": known.name}],
        "name": [parts],
    }


def is_parent(person: Json) -> bool:
    """Return whether a RelatedPerson is a parent of the patient."""
    return any(
        coding.get("code") == PARENT for concept in items(person, "relationship") for coding in items(concept, "coding")
    )


def last_day_of_childhood(birth_date: object, years: int, today: date) -> date | None:
    """Return the day before a birthday; None for somebody who has had it, or whose date of birth is not known whole."""
    try:
        born = date.fromisoformat(birth_date) if isinstance(birth_date, str) else None
    except ValueError:
        born = None
    if born is None:
        return None
    birthday = ages.birthday(born, years)
    return birthday - timedelta(days=1) if birthday > today else None
