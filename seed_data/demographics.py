"""The Patient resource and the people close to the patient.

Comes in: a person. Goes out: Patient and RelatedPerson resources, written by the GP practice. Must not know: health.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seed_data.codes import HL7, NHS_NUMBER, coding, hl7, reference
from seed_data.directory import ORGANISATIONS
from seed_data.people import slug

if TYPE_CHECKING:
    from seed_data.model import Resource
    from seed_data.population import Person

_UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/"
_VERIFICATION = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus"
_VERIFICATION_DISPLAY = {"01": "Number present and verified", "02": "Number present but not traced"}
# Relation as people say it → v3-RoleCode.
_RELATION = {
    "spouse": ("SPS", "spouse"),
    "parent": ("PRN", "parent"),
    "daughter": ("DAUC", "daughter"),
    "son": ("SONC", "son"),
    "brother": ("BRO", "brother"),
    "sister": ("SIS", "sister"),
}
_LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "cy": "Welsh", "es": "Spanish", "fa": "Persian", "fr": "French",
    "gu": "Gujarati", "ml": "Malayalam", "ne": "Nepali", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "so": "Somali", "ta": "Tamil", "tr": "Turkish", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def related_id(name: str) -> str:
    """Return the id of a related person's resource, such as `related-thomas-hart`."""
    return f"related-{slug(name)}"


def _kin_mobile(person: Person) -> str:
    return f"07700 {900_000 + (person.position + 500) % 1000}"


def _relationship(person: Person) -> dict[str, object]:
    code, display = _RELATION[person.kin[1] if person.kin else "spouse"]
    return {"coding": [coding(HL7 + "v3-RoleCode", code, display)], "text": display.capitalize()}


def patient(person: Person) -> Resource:
    """Return the Patient, shaped after UK Core."""
    practice = ORGANISATIONS[person.practice]
    status = coding(_VERIFICATION, person.nhs_status, _VERIFICATION_DISPLAY[person.nhs_status])
    resource: Resource = {
        "resourceType": "Patient",
        "id": person.slug,
        "meta": {"profile": [_UK_CORE + "UKCore-Patient"]},
        "identifier": [
            {
                "extension": [
                    {
                        "url": _UK_CORE + "Extension-UKCore-NHSNumberVerificationStatus",
                        "valueCodeableConcept": {"coding": [status]},
                    }
                ],
                "use": "official",
                "system": NHS_NUMBER,
                "value": person.nhs_number,
            }
        ],
        "active": True,
        "name": [{"use": "official", "text": person.name, "family": person.family, "given": person.given.split()}],
        "telecom": [
            {"system": "phone", "value": person.mobile, "use": "mobile"},
            {"system": "email", "value": person.email, "use": "home"},
        ],
        "gender": person.gender,
        "birthDate": person.born.isoformat(),
        "address": [
            {
                "use": "home",
                "type": "both",
                "line": [person.street, person.town],
                "city": "London",
                "postalCode": person.postcode,
                "country": "GBR",
            }
        ],
    }
    if person.kin:
        resource["contact"] = [
            {
                "relationship": [hl7("v2-0131", "N", "Next-of-Kin"), _relationship(person)],
                "name": {"text": person.kin[0]},
                "telecom": [{"system": "phone", "value": _kin_mobile(person), "use": "mobile"}],
            }
        ]
    if person.language:
        language = coding("urn:ietf:bcp:47", person.language, _LANGUAGES[person.language])
        resource["communication"] = [{"language": {"coding": [language]}, "preferred": True}]
    return resource | {
        "generalPractitioner": [reference(practice.ref, practice.name)],
        "managingOrganization": reference(practice.ref, practice.name),
    }


def related_person(person: Person) -> Resource | None:
    """Return the RelatedPerson of the next of kin, if one is known."""
    if person.kin is None:
        return None
    given, _, family = person.kin[0].rpartition(" ")
    return {
        "resourceType": "RelatedPerson",
        "id": related_id(person.kin[0]),
        "active": True,
        "patient": reference(person.ref, person.name),
        "relationship": [_relationship(person)],
        "name": [{"use": "official", "text": person.kin[0], "family": family, "given": given.split()}],
        "telecom": [
            {"system": "phone", "value": _kin_mobile(person), "use": "mobile"},
            {
                "system": "email",
                "value": f"{related_id(person.kin[0]).removeprefix('related-').replace('-', '.')}@example.org",
                "use": "home",
            },
        ],
    }
