"""Who somebody is to a patient: the RelatedPerson of a carer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fhir_server.identity.ages import PARENT
from fhir_server.portal.models.words import Json, items

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
