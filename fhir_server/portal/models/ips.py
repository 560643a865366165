"""The International Patient Summary: one document Bundle that a doctor in another country can read.

https://hl7.org/fhir/uv/ips/: a Composition with the sections that a summary has, a text for people in each, and the
entries themselves. In come the resources of a record; what the reader may not see is not among them.
"""

from __future__ import annotations

import html
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_server.portal.models.result import newest_first
from fhir_server.portal.models.summary import summary
from fhir_server.portal.models.words import Json, code_of, items

_LOINC: Final = "http://loinc.org"
_XHTML: Final = "http://www.w3.org/1999/xhtml"
_EMPTY: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
_OVER: Final = frozenset({"inactive", "resolved", "remission"})
_NO_MEDICINE: Final = frozenset({"cancelled", "entered-in-error", "stopped", "draft", "not-taken"})


@dataclass(frozen=True, slots=True)
class _Part:
    """One section: title, LOINC code and its display, whether a summary must have it, and what belongs to it."""

    title: str
    code: str
    display: str
    required: bool
    holds: Callable[[Json], bool]


def _of(*kinds: str) -> Callable[[Json], bool]:
    return lambda resource: resource.get("resourceType") in kinds


def _is_problem(resource: Json) -> bool:
    return resource.get("resourceType") == "Condition" and code_of(resource.get("clinicalStatus")) not in _OVER


def _is_past(resource: Json) -> bool:
    return resource.get("resourceType") == "Condition" and code_of(resource.get("clinicalStatus")) in _OVER


def _is_medicine(resource: Json) -> bool:
    kinds = ("MedicationRequest", "MedicationStatement")
    return resource.get("resourceType") in kinds and resource.get("status") not in _NO_MEDICINE


def _observed(category: str) -> Callable[[Json], bool]:
    def holds(resource: Json) -> bool:
        found = {code_of(entry) for entry in items(resource, "category")}
        return resource.get("resourceType") == "Observation" and category in found

    return holds


_PARTS: Final = (
    _Part("Allergies", "48765-2", "Allergies and adverse reactions Document", True, _of("AllergyIntolerance")),
    _Part("Medicines", "10160-0", "History of Medication use Narrative", True, _is_medicine),
    _Part("Health conditions", "11450-4", "Problem list - Reported", True, _is_problem),
    _Part("Vaccinations", "11369-6", "History of Immunization note", False, _of("Immunization")),
    _Part("Procedures", "47519-4", "History of Procedures Document", False, _of("Procedure")),
    _Part("Test results", "30954-2", "Relevant diagnostic tests/laboratory data note", False, _observed("laboratory")),
    _Part("Measurements", "8716-3", "Vital signs note", False, _observed("vital-signs")),
    _Part("Conditions in the past", "11348-0", "History of Past illness note", False, _is_past),
)


def document(
    resources: Iterable[Json], patient: Json, *, fhir_base: str, maker: str, title: str, reader: str, now: datetime
) -> dict[str, Any]:
    """Return the document Bundle.

    Args:
        resources: The record, of what the reader may see.
        patient: The Patient among it.
        fhir_base: Service base URL, for absolute references.
        maker: Name of this service, which puts the document together.
        title: What the document is called.
        reader: Literal reference of whoever takes it along; with the instant it makes the document's own ids.
        now: When.
    """
    current = [entry for entry in resources if not _is_mistake(entry)]
    filled = [(part, _newest([entry for entry in current if part.holds(entry)])) for part in _PARTS]
    subject = f"{fhir_base}/Patient/{patient['id']}"
    # Of who, when and of whom, not by chance: the same record gives the same bytes, which is how leaks are looked for.
    about = f"{subject} {reader} {now.isoformat()}"
    bundle_id, composition_id, maker_id = (
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{about} {name}")) for name in ("Bundle", "Composition", "Device")
    )
    maker_url = f"urn:uuid:{maker_id}"
    composition = {
        "resourceType": "Composition",
        "id": composition_id,
        "status": "final",
        "type": {"coding": [{"system": _LOINC, "code": "60591-5", "display": "Patient summary Document"}]},
        "subject": {"reference": subject},
        "date": now.isoformat(timespec="seconds"),
        "author": [{"reference": maker_url, "display": maker}],
        "title": title,
        "confidentiality": "N",
        "section": [_section(part, entries, fhir_base) for part, entries in filled if part.required or entries],
    }
    device = {
        "resourceType": "Device",
        "id": maker_id,
        "deviceName": [{"name": maker, "type": "user-friendly-name"}],
    }
    entries = {f"{entry['resourceType']}/{entry['id']}": entry for _, part in filled for entry in part}
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{bundle_id}"},
        "type": "document",
        "timestamp": now.isoformat(timespec="seconds"),
        "entry": [
            {"fullUrl": f"urn:uuid:{composition_id}", "resource": composition},
            {"fullUrl": subject, "resource": patient},
            {"fullUrl": maker_url, "resource": device},
            *({"fullUrl": f"{fhir_base}/{reference}", "resource": entry} for reference, entry in entries.items()),
        ],
    }


def _is_mistake(resource: Json) -> bool:
    return "entered-in-error" in {resource.get("status"), code_of(resource.get("verificationStatus"))}


def _newest(entries: Sequence[Json]) -> tuple[Json, ...]:
    """Return entries; of Observations the newest of each test, for a summary is no history."""
    if not entries or entries[0].get("resourceType") != "Observation":
        return tuple(entries)
    by_id = {str(entry["id"]): entry for entry in entries}
    newest: dict[str, Json] = {}
    for shown in newest_first(entries):
        newest.setdefault(shown.code or shown.name, by_id[shown.id])
    return tuple(newest.values())


def _section(part: _Part, entries: Sequence[Json], fhir_base: str) -> dict[str, Any]:
    section: dict[str, Any] = {
        "title": part.title,
        "code": {"coding": [{"system": _LOINC, "code": part.code, "display": part.display}]},
        "text": {"status": "generated", "div": _narrative(_lines(entries) or ("Nothing is recorded here.",))},
    }
    if entries:
        references = (f"{fhir_base}/{entry['resourceType']}/{entry['id']}" for entry in entries)
        return section | {"entry": [{"reference": reference} for reference in references]}
    reason = {"system": _EMPTY, "code": "unavailable", "display": "Unavailable"}
    return section | {"emptyReason": {"coding": [reason], "text": "Nothing is recorded; there may be something."}}


def _lines(entries: Sequence[Json]) -> tuple[str, ...]:
    if entries and entries[0].get("resourceType") == "Observation":
        tests = newest_first(entries)
        return tuple(_joined(test.name, test.value, test.words, test.taken.day if test.taken else "") for test in tests)
    piles = summary(entries)
    shown = (entry for name in piles.__dataclass_fields__ for entry in getattr(piles, name))
    return tuple(_joined(one.name, one.detail, one.tag, one.since.day if one.since else "") for one in shown)


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _narrative(lines: Iterable[str]) -> str:
    items_ = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f'<div xmlns="{_XHTML}"><ul>{items_}</ul></div>'
