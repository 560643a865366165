"""Who works in the acute trust's own record system, and who is a patient there: for a launch of the portal from it.

Comes in: nothing. Goes out: the three kinds of resource that a launch reads, with the hospital's own ids. Must not
know: how a launch works. Some of the staff and patients are known to the shared record, some are not.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from seed_data import directory
from seed_data.codes import GMC, JOB_ROLE, NHS_NUMBER, SDS_USER, concept, reference
from seed_data.population import person_at

NAME = "brentmoor"
ODS_CODE = directory.ORGANISATIONS[directory.ACUTE].ods
NEW_CONSULTANT, NEW_CLERK, LEAVER = "ingrid-solberg", "peter-nowak", "marcus-feld"
_SHARES_WITH_HOSPITAL = 25
"""Position of the person who lets everybody at the hospital see what is general."""
_UNKNOWN_NUMBER = "9434765919"
_NEW = (
    (
        NEW_CONSULTANT,
        "Dr",
        "Ingrid",
        "Solberg",
        "Consultant in acute medicine",
        "consultant",
        "999000099001",
        "C9999001",
    ),
    (NEW_CLERK, "Mr", "Peter", "Nowak", "Ward clerk", "ward-clerk", "999000099002", ""),
)


def staff() -> dict[str, dict[str, Any]]:
    """Return Practitioner and PractitionerRole of each member of staff by `Type/id`; the leaver's are not active."""
    rows = [
        (row.id, row.prefix, row.given, row.family, row.job, row.job_code, _identifiers_of(row.id))
        for row in directory.STAFF.values()
        if directory.organisation_of(row.department).id == directory.ACUTE
    ]
    rows += [
        (key, prefix, given, family, job, code, _identifiers(sds, gmc))
        for key, prefix, given, family, job, code, sds, gmc in _NEW
    ]
    found: dict[str, dict[str, Any]] = {}
    for key, prefix, given, family, job, code, identifiers in rows:
        is_active = key != LEAVER
        name = f"{prefix} {given} {family}"
        found[f"Practitioner/h-{key}"] = {
            "resourceType": "Practitioner",
            "id": f"h-{key}",
            "identifier": identifiers,
            "active": is_active,
            "name": [{"use": "official", "prefix": [prefix], "given": [given], "family": family}],
            "telecom": [{"system": "email", "value": f"{key.replace('-', '.')}@example.org", "use": "work"}],
        }
        found[f"PractitionerRole/h-{key}"] = {
            "resourceType": "PractitionerRole",
            "id": f"h-{key}",
            "active": is_active,
            "practitioner": reference(f"Practitioner/h-{key}", name),
            "code": [concept(JOB_ROLE, code, job)],
        }
    return found


def patients() -> dict[str, dict[str, Any]]:
    """Return the hospital's patients by its own number: the demo's first people, and one whom nobody knows."""
    today = dt.datetime.now(dt.UTC).date()
    found = [
        (person.nhs_number, f"{person.given} {person.family}", person.born.isoformat())
        for person in (person_at(position, today) for position in (*range(8), _SHARES_WITH_HOSPITAL))
    ]
    found.append((_UNKNOWN_NUMBER, "Nobody Known", "1971-07-07"))
    return {
        f"mrn-{number}": {
            "resourceType": "Patient",
            "id": f"mrn-{number}",
            "identifier": [
                {"system": "https://brentmoor.example.org/mrn", "value": f"B{number:06d}"},
                {"system": NHS_NUMBER, "value": nhs_number},
            ],
            "name": [{"use": "official", "text": name}],
            "birthDate": born,
        }
        for number, (nhs_number, name, born) in enumerate(found, 1)
    }


def _identifiers_of(staff_id: str) -> list[dict[str, str]]:
    resource = next(each for each in directory.directory() if each["id"] == staff_id)
    return [dict(each) for each in resource["identifier"]]


def _identifiers(sds: str, gmc: str) -> list[dict[str, str]]:
    return [{"system": SDS_USER, "value": sds}] + ([{"system": GMC, "value": gmc}] if gmc else [])
