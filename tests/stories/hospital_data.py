"""What two trusts send about one invented person, as transactions.

`python -m tests.stories.hospital_data record` prints the first, `… letter` the second, for a tour by hand.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from seed_data.pdf import letter_pdf

NHS_NUMBER = "9998765021"
BORN = "1984-03-15"
NAME = "Marigold Fenwick"
EMAIL = "marigold.fenwick@example.org"
MOBILE = "07700 900123"

TRUST = {"reference": "Organization/harrowmere-community", "display": "Harrowmere Community Healthcare NHS Trust"}
MENTAL_HEALTH_TRUST = {
    "reference": "Organization/perivane-mental-health",
    "display": "Perivane Mental Health NHS Trust",
}
PRACTICE = {"reference": "Organization/kenbourne-road-surgery", "display": "Kenbourne Road Surgery"}

LETTER = "Physiotherapy assessment"
LETTER_TEXT = "Your knee bends further than in spring. Keep up the exercises."
HIDDEN_LETTER = "Community mental health review"
HIDDEN_TEXT = "We talked about how you have been sleeping."
RESULT = "Haemoglobin A1c"
VISIT = "Physiotherapy review"

_NHS_NUMBERS = "https://fhir.nhs.uk/Id/nhs-number"
_SETTINGS = "https://fhir.hl7.org.uk/CodeSystem/UKCore-PracticeSettingCode"
_PATIENT = "urn:uuid:6f0cbb2e-3c8a-4a5b-9d67-0d1f2a3b4c01"
_LETTER = "urn:uuid:6f0cbb2e-3c8a-4a5b-9d67-0d1f2a3b4c02"
_FILE = "urn:uuid:6f0cbb2e-3c8a-4a5b-9d67-0d1f2a3b4c03"

Json = dict[str, Any]


def record(now: datetime) -> tuple[Json, ...]:
    """Return what the community trust sends: person, appointment, letter with its PDF, result."""
    return (
        _person(),
        _entry(_appointment(now + timedelta(days=9))),
        *_letter(LETTER, LETTER_TEXT, TRUST, ("650", "Physiotherapy Service"), now - timedelta(days=2)),
        _entry(_result(now - timedelta(days=3))),
    )


def mental_health_letter(now: datetime) -> tuple[Json, ...]:
    """Return what the mental health trust sends: the same person, known by NHS number, and a letter with its PDF."""
    service = ("710", "Adult Mental Health Service")
    return (
        _person(),
        *_letter(HIDDEN_LETTER, HIDDEN_TEXT, MENTAL_HEALTH_TRUST, service, now - timedelta(days=1)),
    )


def bundle(*entries: Json) -> Json:
    """Return a transaction of these entries."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def _person() -> Json:
    given, _, family = NAME.partition(" ")
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": _NHS_NUMBERS, "value": NHS_NUMBER}],
        "name": [{"use": "official", "family": family, "given": [given]}],
        "gender": "female",
        "birthDate": BORN,
        "generalPractitioner": [PRACTICE],
    }
    return _entry(patient, _PATIENT, ifNoneExist=f"identifier={_NHS_NUMBERS}|{NHS_NUMBER}")


def _appointment(start: datetime) -> Json:
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "description": VISIT,
        "start": start.isoformat(timespec="seconds"),
        "end": (start + timedelta(minutes=30)).isoformat(timespec="seconds"),
        "participant": [
            {"actor": {"reference": _PATIENT}, "status": "accepted"},
            {
                "actor": {"reference": "Location/physiotherapy", "display": "Millpond Clinic, room 3"},
                "status": "accepted",
            },
        ],
    }


def _result(taken: datetime) -> Json:
    laboratory = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
    unit = {"unit": "mmol/mol", "system": "http://unitsofmeasure.org", "code": "mmol/mol"}
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [laboratory]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "59261-8", "display": RESULT}], "text": RESULT},
        "subject": {"reference": _PATIENT},
        "effectiveDateTime": taken.isoformat(timespec="seconds"),
        "performer": [TRUST],
        "valueQuantity": {"value": 61, **unit},
        "referenceRange": [{"low": {"value": 20, **unit}, "high": {"value": 41, **unit}}],
    }


def _letter(
    title: str, text: str, sender: Mapping[str, str], service: tuple[str, str], sent: datetime
) -> tuple[Json, Json]:
    code, display = service
    pdf = letter_pdf(title=title, heading=sender["display"], lines=[text], made_on=sent.date())
    digest = base64.b64encode(hashlib.sha1(pdf, usedforsecurity=False).digest()).decode()
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11488-4", "display": "Consult note"}]},
        "subject": {"reference": _PATIENT},
        "date": sent.isoformat(timespec="seconds"),
        "author": [sender],
        "custodian": sender,
        "description": title,
        "content": [
            {"attachment": {"contentType": "application/pdf", "url": _FILE, "size": len(pdf), "hash": digest}},
            {"attachment": {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}},
        ],
        "context": {"practiceSetting": {"coding": [{"system": _SETTINGS, "code": code, "display": display}]}},
    }
    file = {
        "resourceType": "Binary",
        "contentType": "application/pdf",
        "securityContext": {"reference": _LETTER},
        "data": base64.b64encode(pdf).decode(),
    }
    return _entry(document, _LETTER), _entry(file, _FILE)


def _entry(resource: Json, full_url: str = "", **request: str) -> Json:
    made: Json = {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}
    return {"fullUrl": full_url, **made} if full_url else made


if __name__ == "__main__":
    MAKERS = {"record": record, "letter": mental_health_letter}
    sys.stdout.write(json.dumps(bundle(*MAKERS[sys.argv[1]](datetime.now(UTC)))))
