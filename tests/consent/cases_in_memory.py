"""Decide a shared case by the engine alone: `compile_consent`, the subjects closure and `verdict`, without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.access import labels, purposes
from fhir_server.access.closure import compile_memberships
from fhir_server.access.consent import compile_consent
from fhir_server.access.ownership import own_confidentiality, own_label, patients_of
from fhir_server.access.verdict import Record, verdict
from fhir_server.access.visibility import Gate
from fhir_server.search import index
from fhir_server.spec.definitions import Definitions
from fhir_server.store.grants import Grant
from fhir_server.store.instants import to_us
from fhir_server.store.keys import key_of_reference, type_key
from tests.consent.cases import Case, CaseFile, Json, name_of

BASE = "http://localhost/fhir"
_DEEPEST = 3


class Engine:
    """The engine over the data of one file, as if one author had written it."""

    def __init__(self, definitions: Definitions, file: CaseFile, author: Mapping[str, Any] | None) -> None:
        """Work out what the gate knows of each record; `author` is the writing Organization, None for the operator."""
        self._definitions, self._file, self._author = definitions, file, author
        stored = [*file.support, *file.every_datum]
        pointing: dict[int, set[int]] = {}
        found = {name_of(each): self._record(each) for each in stored}
        for record in found.values():
            for _, target in record.references:
                pointing.setdefault(target, set()).add(record.key)
        self.records = {
            name: _with_pointing(record, frozenset(pointing.get(record.key, ()))) for name, record in found.items()
        }

    def seen(self, case: Case) -> set[str]:
        """Return the data that the actor sees.

        Raises:
            FhirError: When a Consent is refused.
        """
        types = self._definitions.resource_types
        grants = [
            grant for consent in case.consents
            for grant in compile_consent(consent, key_of_reference(name_of(consent)), types)
        ]  # fmt: skip
        gate = self._gate(case, grants)
        return {name for name in self._file.watched(case) if verdict(gate, self.records[name], grants).visible}

    def _gate(self, case: Case, grants: Sequence[Grant]) -> Gate:
        at_us = to_us(case.at)
        actors = self._closure(case, at_us)
        bits, others = purposes.of_caller(" ".join(case.purposes))
        broken = case.emergency and self._file.in_emergency_group(case.actor)
        own = key_of_reference(case.actor) if case.actor.startswith("Patient/") else 0
        return Gate(
            at_us,
            own=own,
            shielded=case.actor.startswith(("Patient/", "RelatedPerson/")),
            actors=() if own else actors,
            organizations=tuple(key for key in actors if key in self._organizations()),
            directory=True,
            purposes=bits,
            other_purposes=others,
            rare=any(grant.rare for grant in grants),
            emergencies=(key_of_reference(case.patient),) if broken else (),
        )

    def _closure(self, case: Case, at_us: int) -> tuple[int, ...]:
        sources = [*self._file.support, *roles(case)]
        rows = [
            row for source in sources for row in compile_memberships(source, key_of_reference(name_of(source)), BASE)
        ]
        reached = {key_of_reference(case.actor): None}
        for _ in range(_DEEPEST):
            for row in rows:
                if row.member in reached and row.valid_from <= at_us < row.valid_to:
                    reached[row.container] = None
        return tuple(reached)

    def _organizations(self) -> set[int]:
        named = [name_of(each) for each in self._file.support if each["resourceType"] == "Organization"]
        return {key_of_reference(name) for name in named}

    def _record(self, resource: Json) -> Record:
        key = key_of_reference(name_of(resource))
        patients = patients_of(self._definitions, resource, BASE)
        hot, rows = index.derive(self._definitions, resource, key=key, patient=0, fhir_base=BASE)
        dates = None if hot.date_lo is None or hot.date_hi is None else (hot.date_lo, hot.date_hi)
        # (key, parameter, patient, item, code, system, …): what it contains has items below 0.
        tokens = [(item, (param, system, code)) for _, param, _, item, code, system, *_ in rows.get("index_token", ())]
        return Record(
            type_key(resource["resourceType"]),
            patients,
            own_label(resource, self._author) & (labels.EVERY | labels.WITHHELD),
            own_confidentiality(resource),
            author=-1 if self._author else 0,
            tokens=frozenset(each for item, each in tokens if item >= 0),
            key=key,
            dates=dates,
            references=frozenset((param, target) for _, param, _, _, target, *_ in rows.get("index_reference", ())),
            contained=frozenset(each for item, each in tokens if item < 0),
        )


def _with_pointing(record: Record, pointing: frozenset[int]) -> Record:
    values = {name: getattr(record, name) for name in Record.__dataclass_fields__}
    return Record(**{**values, "referred_by": pointing})


def roles(case: Case) -> list[Json]:
    """Return the PractitionerRole by which the actor acts for the organisation."""
    if not case.actor.startswith("Practitioner/") or not case.organization:
        return []
    return [
        {
            "resourceType": "PractitionerRole",
            "id": "acting",
            "active": True,
            "practitioner": {"reference": case.actor},
            "organization": {"reference": case.organization},
        }
    ]
