"""The record that the gate is measured on: every patient shares with the organisation of one professional.

The consents are a realistic mix of label sets; one in fifty needs more than label, period and actor. The
Observations are another organisation's, so that nothing is visible as the professional's own data.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bench import data
from fhir_server.access import labels
from fhir_server.access.ownership import own_confidentiality, own_label, patients_of
from fhir_server.search import index
from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions
from fhir_server.store.keys import key_of_reference, reference_key
from fhir_server.store.resources import NewVersion

BASE = "http://127.0.0.1/fhir"
LABORATORY = "Organization/bench-lab"
ROLE = "PractitionerRole/bench-role"
_LABEL_SYSTEM = labels.SYSTEM
_WRITTEN_AT = datetime(2026, 1, 1, tzinfo=UTC)
_LABELS = {"general": 88, "mental-health": 5, "sexual-health": 3, "social-care": 2, "": 2}
"""Label of an Observation and how many of a hundred have it; "" is none, which needs a permit for all four."""


def directory() -> Iterator[dict[str, Any]]:
    """Yield the professional, the role and the two organisations."""
    trust = {"reference": data.ORGANIZATION}
    yield {"resourceType": "Organization", "id": "bench-trust", "active": True, "name": "Bench Trust"}
    yield {"resourceType": "Organization", "id": "bench-lab", "active": True, "name": "Bench Laboratory"}
    yield {"resourceType": "Practitioner", "id": "bench-gp", "name": [{"family": "Bench", "given": ["General"]}]}
    who = {"reference": data.PROFESSIONAL}
    role = {"resourceType": "PractitionerRole", "id": "bench-role", "active": True}
    yield {**role, "practitioner": who, "organization": trust}


def consent(number: int) -> dict[str, Any]:
    """Return the Consent by which a patient shares with the professional's organisation."""
    found = data.consent(number)
    root = found["provision"]
    root["actor"][0]["reference"] = {"reference": data.ORGANIZATION}
    share = number * 37 % 100
    if share < 2:
        code = {"coding": [{"system": "http://loinc.org", "code": data.CODES[number % len(data.CODES)][0]}]}
        root["provision"] = [{"type": "deny", "code": [code]}]
    elif share < 17:
        root["securityLabel"] = _security("general")
    elif share < 27:
        root["securityLabel"] = _security("general", "social-care")
    elif share < 32:
        root["securityLabel"] = _security("general", "mental-health", "sexual-health")
    elif share < 40:
        root["provision"] = [{"type": "deny", "securityLabel": _security("mental-health")}]
    elif share < 45:
        root["provision"] = [{"type": "deny", "securityLabel": _security("mental-health", "sexual-health")}]
    return found


def people(patients: int) -> Iterator[dict[str, Any]]:
    """Yield the directory, and every patient with the Consent."""
    chance = random.Random(1)
    yield from directory()
    for number in range(patients):
        yield data.patient(number, chance)
        yield consent(number)


def observations(definitions: Definitions, patients: int, count: int) -> Iterator[NewVersion]:
    """Yield the rows of all Observations, always the same ones."""
    chance = random.Random(1)
    names, weights = tuple(_LABELS), tuple(_LABELS.values())
    for number in range(count):
        body = {"id": f"bench-o{number}", **data.observation(number % patients, chance)}
        body["performer"] = [{"reference": LABORATORY, "display": "Bench Laboratory"}]
        (label,) = chance.choices(names, weights)
        body["meta"] = {"security": _security(label)} if label else {}
        yield version(definitions, body)


def version(definitions: Definitions, body: dict[str, Any]) -> NewVersion:
    """Return the first version of a resource, as the road would store it."""
    kind, logical_id = body["resourceType"], body["id"]
    meta = {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00Z", **body.get("meta", {})}
    resource = {"resourceType": kind, "id": logical_id, "meta": meta}
    resource |= {name: value for name, value in body.items() if name not in resource}
    key, patients = reference_key(kind, logical_id), patients_of(definitions, resource, BASE)
    patient = patients[0] if patients else 0
    hot, rows = index.derive(definitions, resource, key=key, patient=patient, fhir_base=BASE)
    return NewVersion(
        key=key,
        type=kind,
        id=logical_id,
        version=1,
        updated_at=int(_WRITTEN_AT.timestamp()) * 1_000_000,
        content=json.encode(resource),
        patients=patients,
        label=own_label(resource, None),
        confidentiality=own_confidentiality(resource),
        author=key_of_reference(LABORATORY),
        code=hot.code,
        date_lo=hot.date_lo,
        date_hi=hot.date_hi,
        index=rows,
    )


def _security(*codes: str) -> list[dict[str, str]]:
    return [{"system": _LABEL_SYSTEM, "code": code} for code in codes]
