"""The invented organisations, places, services and professionals.

Comes in: nothing. Goes out: directory resources with fixed ids, and typed rows other modules look staff up by.
Must not know: patients. All names, ODS-like, GMC-like and SDS-like codes are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seed_data.codes import (
    GMC,
    HL7,
    JOB_ROLE,
    MENTAL_HEALTH,
    ODS,
    ORGANIZATION_TYPE,
    PRACTICE_SETTING,
    SDS_ROLE,
    SDS_USER,
    SEXUAL_HEALTH,
    SOCIAL_CARE,
    coding,
    concept,
    reference,
)

if TYPE_CHECKING:
    from seed_data.model import Resource


@dataclass(frozen=True, slots=True)
class Organisation:
    """One organisation; `kind` is the code of its type, from which a server may derive a privacy label."""

    id: str
    name: str
    ods: str
    kind: str
    kind_display: str
    hl7_type: str
    phone: str
    address: tuple[str, str, str]

    @property
    def ref(self) -> str:
        """Return `Organization/<id>`."""
        return f"Organization/{self.id}"


@dataclass(frozen=True, slots=True)
class Department:
    """A service of an organisation and the place it is given at; the label is what its sender puts on its data."""

    id: str
    organisation: str
    name: str
    setting: str
    setting_display: str
    place: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Professional:
    """One person on the staff, in one role, at one department."""

    id: str
    prefix: str
    given: str
    family: str
    gender: str
    job: str
    job_code: str
    department: str

    @property
    def name(self) -> str:
        """Return the name as signed, such as `Dr Priya Raman`."""
        return f"{self.prefix} {self.given} {self.family}"

    @property
    def ref(self) -> str:
        """Return `Practitioner/<id>`."""
        return f"Practitioner/{self.id}"


ACUTE = "brentmoor-hospitals"
COMMUNITY = "harrowmere-community"
MENTAL = "perivane-mental-health"
PRACTICES = ("kenbourne-road-surgery", "ealdene-health-centre")
COUNCIL = "brentmoor-council"

_ROWS = (
    Organisation(
        ACUTE, "Brentmoor University Hospitals NHS Trust", "ZZ901", "acute-trust", "Acute hospital trust", "prov",
        "020 7946 0101", ("Lockgate Way", "Brentmoor", "NW99 1AA"),
    ),
    Organisation(
        COMMUNITY, "Harrowmere Community Healthcare NHS Trust", "ZZ902", "community-trust", "Community health trust",
        "prov", "020 7946 0102", ("Millpond Lane", "Harrowmere", "HA99 2BB"),
    ),
    Organisation(
        MENTAL, "Perivane Mental Health NHS Trust", "ZZ903", "mental-health-trust", "Mental health trust", "prov",
        "020 7946 0103", ("Orchard Rise", "Perivane", "UB99 3CC"),
    ),
    Organisation(
        PRACTICES[0], "Kenbourne Road Surgery", "ZZ904", "gp-practice", "GP practice", "prov",
        "020 7946 0104", ("112 Kenbourne Road", "Brentmoor", "NW99 4DD"),
    ),
    Organisation(
        PRACTICES[1], "Ealdene Health Centre", "ZZ905", "gp-practice", "GP practice", "prov",
        "020 7946 0105", ("7 Ealdene Green", "Ealdene", "W99 5EE"),
    ),
    Organisation(
        COUNCIL, "London Borough of Brentmoor Adult and Children's Social Care", "ZZ906", "local-authority",
        "Local authority", "govt", "020 7946 0106", ("Civic Hall, Station Parade", "Brentmoor", "NW99 6FF"),
    ),
)  # fmt: skip
ORGANISATIONS = {row.id: row for row in _ROWS}

_DEPARTMENTS = (
    Department("cardiology", ACUTE, "Cardiology", "320", "Cardiology Service", "Clinic 4, Heron Wing"),
    Department("diabetes", ACUTE, "Diabetes and endocrinology", "307", "Diabetes Service", "Clinic 2, Heron Wing"),
    Department("renal", ACUTE, "Kidney clinic", "361", "Renal Medicine Service", "Clinic 6, Kestrel Wing"),
    Department("respiratory", ACUTE, "Respiratory medicine", "340", "Respiratory Medicine Service",
            "Clinic 5, Kestrel Wing"),
    Department("rheumatology", ACUTE, "Rheumatology", "410", "Rheumatology Service", "Clinic 8, Kestrel Wing"),
    Department("haematology", ACUTE, "Haematology", "303", "Clinical Haematology Service", "Day unit, Heron Wing"),
    Department("neurology", ACUTE, "Neurology", "400", "Neurology Service", "Clinic 7, Heron Wing"),
    Department("maternity", ACUTE, "Maternity", "501", "Obstetrics Service", "Antenatal clinic, Swan Building"),
    Department("breast", ACUTE, "Breast clinic", "103", "Breast Surgery Service", "Clinic 1, Swan Building"),
    Department("paediatrics", ACUTE, "Children's outpatients", "420", "Paediatric Service", "Otter Building"),
    Department("emergency", ACUTE, "Emergency department", "180", "Emergency Medicine Service", "Emergency entrance"),
    Department("pathology", ACUTE, "Blood tests and pathology", "822", "Chemical Pathology Service",
            "Ground floor, Heron Wing"),
    Department("physiotherapy", COMMUNITY, "Physiotherapy", "650", "Physiotherapy Service", "Millpond Clinic, room 3"),
    Department("community-nursing", COMMUNITY, "Community nursing", "840", "Community Nursing Service", "At home"),
    Department("sexual-health", COMMUNITY, "Sexual and reproductive health", "504",
               "Community Sexual and Reproductive Health Service", "Millpond Clinic, room 9", SEXUAL_HEALTH),
    Department("adult-mental-health", MENTAL, "Adult community mental health", "710", "Adult Mental Health Service",
               "Orchard House", MENTAL_HEALTH),
    Department("older-mental-health", MENTAL, "Memory service", "715", "Old Age Psychiatry Service",
            "Orchard House, annexe",
               MENTAL_HEALTH),
    Department("kenbourne-gp", PRACTICES[0], "General practice", "600", "General Medical Practice Service",
            "Consulting room 2"),
    Department("ealdene-gp", PRACTICES[1], "General practice", "600", "General Medical Practice Service",
            "Consulting room 5"),
    Department("social-work", COUNCIL, "Adult social care", "656", "Social Work Service", "Civic Hall, second floor",
            SOCIAL_CARE),
)  # fmt: skip
DEPARTMENTS = {row.id: row for row in _DEPARTMENTS}

_STAFF = (
    Professional("helen-ashworth", "Dr", "Helen", "Ashworth", "female", "General practitioner",
            "general-practitioner", "kenbourne-gp"),
    Professional("tunde-bakare", "Dr", "Tunde", "Bakare", "male", "General practitioner", "general-practitioner",
            "ealdene-gp"),
    Professional("priya-raman", "Dr", "Priya", "Raman", "female", "Consultant cardiologist", "consultant",
            "cardiology"),
    Professional("marcus-feld", "Dr", "Marcus", "Feld", "male", "Consultant in diabetes", "consultant", "diabetes"),
    Professional("yasmin-haddad", "Dr", "Yasmin", "Haddad", "female", "Consultant in emergency medicine",
            "consultant", "emergency"),
    Professional("owen-pritchard", "Dr", "Owen", "Pritchard", "male", "Consultant psychiatrist", "consultant",
            "adult-mental-health"),
    Professional("lucia-moretti", "Dr", "Lucia", "Moretti", "female", "Consultant in sexual health", "consultant",
            "sexual-health"),
    Professional("joy-mensah", "Ms", "Joy", "Mensah", "female", "Community nurse", "nurse", "community-nursing"),
    Professional("callum-reid", "Mr", "Callum", "Reid", "male", "Practice nurse", "nurse", "kenbourne-gp"),
    Professional("wei-ling-tan", "Ms", "Wei Ling", "Tan", "female", "Physiotherapist", "physiotherapist",
            "physiotherapy"),
    Professional("dorothy-pike", "Mrs", "Dorothy", "Pike", "female", "Receptionist", "receptionist", "kenbourne-gp"),
    Professional("samuel-adeyemi", "Mr", "Samuel", "Adeyemi", "male", "Social worker", "social-worker", "social-work"),
)  # fmt: skip
STAFF = {row.id: row for row in _STAFF}
RECEPTIONIST = "dorothy-pike"

# A department without a professional of its own in this small directory is covered by a colleague of the same trust.
_COVER = {
    "renal": "marcus-feld", "respiratory": "priya-raman", "rheumatology": "marcus-feld", "haematology": "priya-raman",
    "neurology": "priya-raman", "maternity": "yasmin-haddad", "breast": "yasmin-haddad", "paediatrics": "yasmin-haddad",
    "pathology": "marcus-feld", "older-mental-health": "owen-pritchard",
}  # fmt: skip


def professional_of(department: str) -> Professional:
    """Return who sees patients in a department."""
    if department in _COVER:
        return STAFF[_COVER[department]]
    return next(row for row in _STAFF if row.department == department)


def organisation_of(department: str) -> Organisation:
    """Return the organisation a department belongs to."""
    return ORGANISATIONS[DEPARTMENTS[department].organisation]


def practice_department(practice: str) -> str:
    """Return the id of the general practice department of a GP practice."""
    return next(row.id for row in _DEPARTMENTS if row.organisation == practice)


def _organization(row: Organisation) -> Resource:
    street, town, postcode = row.address
    return {
        "resourceType": "Organization",
        "id": row.id,
        "identifier": [{"system": ODS, "value": row.ods}],
        "active": True,
        "type": [
            {
                "coding": [
                    coding(ORGANIZATION_TYPE, row.kind, row.kind_display),
                    coding(HL7 + "organization-type", row.hl7_type),
                ],
                "text": row.kind_display,
            }
        ],
        "name": row.name,
        "telecom": [{"system": "phone", "value": row.phone, "use": "work"}],
        "address": [
            {"use": "work", "line": [street, town], "city": "London", "postalCode": postcode, "country": "GBR"}
        ],
    }


def _location(row: Department) -> Resource:
    organisation = ORGANISATIONS[row.organisation]
    return {
        "resourceType": "Location",
        "id": row.id,
        "status": "active",
        "name": f"{row.place}, {organisation.name}",
        "mode": "instance",
        "type": [concept(PRACTICE_SETTING, row.setting, row.setting_display)],
        "telecom": [{"system": "phone", "value": organisation.phone, "use": "work"}],
        "managingOrganization": reference(organisation.ref, organisation.name),
    }


def _service(row: Department) -> Resource:
    organisation = ORGANISATIONS[row.organisation]
    return {
        "resourceType": "HealthcareService",
        "id": row.id,
        "active": True,
        "providedBy": reference(organisation.ref, organisation.name),
        "type": [concept(PRACTICE_SETTING, row.setting, row.setting_display)],
        "location": [reference(f"Location/{row.id}")],
        "name": row.name,
    }


def _practitioner(number: int, row: Professional) -> Resource:
    identifiers = [{"system": SDS_USER, "value": f"9990000{number:05d}"}]
    if row.prefix == "Dr":
        identifiers.append({"system": GMC, "value": f"C99{number:05d}"})
    return {
        "resourceType": "Practitioner",
        "id": row.id,
        "identifier": identifiers,
        "active": True,
        "name": [{"use": "official", "family": row.family, "given": [row.given], "prefix": [row.prefix]}],
        "telecom": [{"system": "email", "value": f"{row.id.replace('-', '.')}@example.org", "use": "work"}],
        "gender": row.gender,
    }


def _role(number: int, row: Professional) -> Resource:
    department = DEPARTMENTS[row.department]
    organisation = ORGANISATIONS[department.organisation]
    return {
        "resourceType": "PractitionerRole",
        "id": row.id,
        "identifier": [{"system": SDS_ROLE, "value": f"9991000{number:05d}"}],
        "active": True,
        "practitioner": reference(row.ref, row.name),
        "organization": reference(organisation.ref, organisation.name),
        "code": [concept(JOB_ROLE, row.job_code, row.job)],
        "specialty": [concept(PRACTICE_SETTING, department.setting, department.setting_display)],
        "location": [reference(f"Location/{department.id}")],
        "healthcareService": [reference(f"HealthcareService/{department.id}", department.name)],
    }


def directory() -> tuple[Resource, ...]:
    """Return every directory resource, each after the ones it refers to."""
    return (
        *(_organization(row) for row in _ROWS),
        *(_location(row) for row in _DEPARTMENTS),
        *(_service(row) for row in _DEPARTMENTS),
        *(_practitioner(number, row) for number, row in enumerate(_STAFF, 1)),
        *(_role(number, row) for number, row in enumerate(_STAFF, 1)),
    )
