"""Signs that an emergency access is unusual, for the privacy officer; the professional never learns of them.

A sign accuses nobody: colleagues share surnames, and a patient comes back. It says where to look first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from fhir_server.interactions import past_the_gate
from fhir_server.interactions.job import Job
from fhir_server.spec import json
from fhir_server.store import emergencies, resources
from fhir_server.store.instants import to_us
from fhir_server.store.keys import key_of_reference, reference_key

WINDOW: Final = timedelta(days=7)
OFTEN: Final = 3
"""From the third emergency access of one professional within `WINDOW` on, use is repeated."""

Json = Mapping[str, Any]


class Flag(StrEnum):
    """Codes of `CodeSystem/emergency-flag`."""

    OWN_RECORD = "own-record"
    SAME_SURNAME = "same-surname"
    SAME_ADDRESS = "same-address"
    REPEATED_USE = "repeated-use"
    SAME_PATIENT = "same-patient-again"
    NO_VISIT = "no-visit"


def flags(job: Job, patient: Json, now: datetime) -> tuple[Flag, ...]:
    """Return what is unusual when the caller opens this Patient now, before the access is stored.

    INVARIANT: nothing of it reaches the answer of the operation.
    """
    practitioner = _practitioner(job)
    found = {
        Flag.OWN_RECORD: _is_own(job, practitioner, patient),
        Flag.SAME_SURNAME: bool(surnames(practitioner) & surnames(patient)),
        Flag.SAME_ADDRESS: bool(addresses(practitioner) & addresses(patient)),
        **_repetition(job, patient, now),
        Flag.NO_VISIT: _no_visit(job, patient),
    }
    return tuple(flag for flag, raised in found.items() if raised)


def surnames(person: Json) -> frozenset[str]:
    """Return the surnames of a Patient or Practitioner, former ones too, each part of a double one on its own."""
    whole = [str(name.get("family", "")) for name in _items(person, "name")]
    parts = [part for name in whole for part in name.replace("-", " ").split()]
    return frozenset(filter(None, (_plain(name) for name in (*whole, *parts))))


def addresses(person: Json) -> frozenset[tuple[str, str]]:
    """Return (postcode, first line) of each address that has both."""
    found = []
    for address in _items(person, "address"):
        lines = address.get("line")
        line = str(lines[0]) if isinstance(lines, Sequence) and not isinstance(lines, str) and lines else ""
        found.append((_plain(str(address.get("postalCode", ""))), _plain(line)))
    return frozenset(pair for pair in found if all(pair))


def _is_own(job: Job, practitioner: Json, patient: Json) -> bool:
    """Return whether professional and patient are one person: by an identifier, by name and birth date, by a Person."""
    if _identifiers(practitioner) & _identifiers(patient):
        return True
    born = practitioner.get("birthDate")
    if born and born == patient.get("birthDate") and _full_names(practitioner) & _full_names(patient):
        return True
    linked = (("link", job.principal.subject), ("link", f"Patient/{patient['id']}"))
    return _is_there(job, "Person", linked)


def _repetition(job: Job, patient: Json, now: datetime) -> dict[Flag, bool]:
    practitioner, since_us = key_of_reference(job.principal.subject), to_us(now - WINDOW)
    key = reference_key("Patient", str(patient["id"]))
    return {
        Flag.REPEATED_USE: emergencies.count_since(job.session, practitioner, since_us) + 1 >= OFTEN,
        Flag.SAME_PATIENT: emergencies.count_since(job.session, practitioner, since_us, patient=key) > 0,
    }


def _no_visit(job: Job, patient: Json) -> bool:
    """Return whether visits of the patient are recorded, but none to the professional's organisation."""
    at, whose = job.principal.organization, ("patient", str(patient["id"]))
    if at and _is_there(job, "Encounter", (whose, ("service-provider", at))):
        return False
    return _is_there(job, "Encounter", (whose, ("service-provider:missing", "false")))


def _is_there(job: Job, kind: str, criteria: Sequence[tuple[str, str]]) -> bool:
    return bool(past_the_gate.find(job, kind, criteria, 1))


def _practitioner(job: Job) -> Json:
    kind, _, logical_id = job.principal.subject.partition("/")
    stored = resources.current(job.session, kind, logical_id)
    if stored is None or stored.content is None:
        return {}
    return json.decode(stored.content, len(stored.content) + 1)


def _identifiers(person: Json) -> frozenset[tuple[str, str]]:
    pairs = ((str(each.get("system", "")), str(each.get("value", ""))) for each in _items(person, "identifier"))
    return frozenset((system, value.replace(" ", "")) for system, value in pairs if system and value)


def _full_names(person: Json) -> frozenset[tuple[str, str]]:
    names = _items(person, "name")
    pairs = ((_plain(str(name.get("family", ""))), _plain(" ".join(name.get("given") or ())[:64])) for name in names)
    return frozenset(pair for pair in pairs if all(pair))


def _items(person: Json, name: str) -> Iterable[Json]:
    return [item for item in person.get(name) or () if isinstance(item, Mapping)]


def _plain(text: str) -> str:
    """Return letters and digits alone, without accents and case."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in decomposed if character.isalnum())
