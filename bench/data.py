"""A synthetic record of any size, always the same: patients who share with one professional, and their Observations."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

PROFESSIONAL = "Practitioner/bench-gp"
ORGANIZATION = "Organization/bench-trust"
HL7 = "http://terminology.hl7.org/CodeSystem"
CODES = (
    ("8867-4", "Heart rate", "/min", 72),
    ("8480-6", "Systolic blood pressure", "mm[Hg]", 124),
    ("8462-4", "Diastolic blood pressure", "mm[Hg]", 79),
    ("8310-5", "Body temperature", "Cel", 36.8),
    ("29463-7", "Body weight", "kg", 74.2),
    ("59408-5", "Oxygen saturation", "%", 97),
    ("2160-0", "Creatinine", "umol/L", 81),
    ("2823-3", "Potassium", "mmol/L", 4.2),
    ("2951-2", "Sodium", "mmol/L", 139),
    ("718-7", "Haemoglobin", "g/L", 138),
    ("4548-4", "Haemoglobin A1c", "mmol/mol", 41),
    ("1988-5", "C reactive protein", "mg/L", 4),
)
_START = datetime(2021, 1, 1, tzinfo=UTC)
_MINUTES = 5 * 365 * 24 * 60
FAMILIES = ("Adeyemi", "Brown", "Chaudhry", "Davies", "Evans", "Fernandez", "Green", "Hughes", "Iqbal", "Jones")
_GIVEN = ("Amara", "Ben", "Chloe", "Dev", "Ewa", "Farid", "Grace", "Hugo", "Isla", "Jack")


def patient_id(number: int) -> str:
    return f"bench-p{number}"


def resources(patient_count: int, observation_count: int) -> Iterator[dict[str, Any]]:
    """Yield everything, each under its own id: directory, patients, one Consent each, Observations."""
    chance = random.Random(1)
    yield {"resourceType": "Organization", "id": "bench-trust", "active": True, "name": "Bench Trust"}
    yield {"resourceType": "Practitioner", "id": "bench-gp", "name": [{"family": "Bench", "given": ["General"]}]}
    for number in range(patient_count):
        yield patient(number, chance)
        yield consent(number)
    for number in range(observation_count):
        yield {"id": f"bench-o{number}", **observation(number % patient_count, chance)}


def observation(patient: int, chance: random.Random) -> dict[str, Any]:
    """Return an Observation of about 900 bytes, without an id."""
    code, display, unit, usual = chance.choice(CODES)
    at = _START + timedelta(minutes=chance.randrange(_MINUTES))
    category = {"coding": [{"system": f"{HL7}/observation-category", "code": "laboratory", "display": "Laboratory"}]}
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "https://example.org/lab", "value": f"{chance.getrandbits(48):012x}"}],
        "status": "final",
        "category": [category],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}], "text": display},
        "subject": {"reference": f"Patient/{patient_id(patient)}"},
        "effectiveDateTime": at.isoformat(),
        "issued": (at + timedelta(hours=2)).isoformat(),
        "performer": [{"reference": ORGANIZATION, "display": "Bench Trust"}],
        "valueQuantity": {
            "value": round(usual * chance.uniform(0.8, 1.2), 1),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "referenceRange": [{"low": {"value": round(usual * 0.9, 1)}, "high": {"value": round(usual * 1.1, 1)}}],
    }


def transaction(size: int, patient: int, chance: random.Random) -> dict[str, Any]:
    """Return a transaction that creates Observations of one patient."""
    request = {"method": "POST", "url": "Observation"}
    entries = [{"resource": observation(patient, chance), "request": request} for _ in range(size)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def patient(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": patient_id(number),
        "identifier": [{"system": "https://example.org/mrn", "value": f"{number:08d}"}],
        "name": [{"use": "official", "family": chance.choice(FAMILIES), "given": [chance.choice(_GIVEN)]}],
        "gender": chance.choice(("female", "male")),
        "birthDate": f"{1930 + number % 80}-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "address": [{"line": [f"{number} High Street"], "city": "Leeds", "postalCode": "LS1 1AA"}],
        "managingOrganization": {"reference": ORGANIZATION},
    }


def consent(number: int) -> dict[str, Any]:
    recipient = {"coding": [{"system": f"{HL7}/v3-ParticipationType", "code": "IRCP"}]}
    return {
        "resourceType": "Consent",
        "id": f"bench-c{number}",
        "status": "active",
        "scope": {"coding": [{"system": f"{HL7}/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id(number)}"},
        "dateTime": "2021-01-01T00:00:00Z",
        "policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"}],
        "provision": {
            "type": "permit",
            "period": {"start": "2021-01-01"},
            "actor": [{"role": recipient, "reference": {"reference": PROFESSIONAL}}],
            "purpose": [{"system": f"{HL7}/v3-ActReason", "code": "TREAT"}],
        },
    }
