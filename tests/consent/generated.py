"""Generated consents, callers and records: what the properties of the gate quantify over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from fhir_server.access import labels
from fhir_server.access.consent import PURPOSE_BITS
from fhir_server.access.verdict import Record
from fhir_server.access.visibility import Gate, ScopeFilter
from fhir_server.store.instants import to_us
from fhir_server.store.keys import hash32, hash64, key_of_reference, type_key

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PATIENTS = tuple(f"Patient/p{number}" for number in range(3))
PEOPLE = ("Practitioner/dr", "Practitioner/other", "RelatedPerson/carer")
ORGANIZATIONS = ("Organization/trust", "Organization/practice")
ACTORS = (*PEOPLE, *ORGANIZATIONS, "PractitionerRole/role")
TYPES = ("Observation", "DocumentReference", "Consent", "Organization", "Task", "Patient")
CATEGORY = hash32("Observation.category")
SYSTEM, VITAL, LAB = hash64("http://category"), hash64("vital-signs"), hash64("laboratory")
KINDS = ("patient", "professional", "professional", "organization", "carer", "staff", "operator")
NEVER_COVERED = 0x80
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_AROUND = (-2, -1, 0, 1, 2)


def _moment(days: int) -> str:
    return (NOW + timedelta(days=days)).isoformat()


@st.composite
def _period(draw: st.DrawFn) -> dict[str, str]:
    start, length = draw(st.sampled_from(_AROUND)), draw(st.sampled_from((1, 2)))
    whole = {"start": _moment(start), "end": _moment(start + length)}
    return {name: whole[name] for name in draw(st.sampled_from((("start",), ("end",), ("start", "end"))))}


def _label_codings() -> st.SearchStrategy[dict[str, str]]:
    ours = st.sampled_from(sorted(labels.BY_CODE)).map(lambda code: {"system": labels.SYSTEM, "code": code})
    levels = st.sampled_from(("N", "R", "V")).map(lambda code: {"system": labels.CONFIDENTIALITY, "code": code})
    acts = st.sampled_from(("MH", "SEX")).map(lambda code: {"system": labels.ACT_CODE, "code": code})
    return st.one_of(ours, ours, levels, acts)


def _actor(reference: str) -> dict[str, Any]:
    return {"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": reference}}


@st.composite
def _provision(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    provision: dict[str, Any] = {"type": draw(st.sampled_from(("permit", "permit", "deny")))}
    if draw(st.booleans()) or depth == 0:
        actors = draw(st.lists(st.sampled_from(ACTORS), max_size=2, unique=True))
        if actors:
            provision["actor"] = [_actor(reference) for reference in actors]
    if draw(st.integers(0, 3)) == 0:
        provision["period"] = draw(_period())
    if draw(st.integers(0, 3)) == 0:
        codes = draw(st.lists(st.sampled_from(("TREAT", "HRESCH")), min_size=1, max_size=2, unique=True))
        provision["purpose"] = [{"system": _REASON, "code": code} for code in codes]
    if draw(st.booleans()):
        provision["securityLabel"] = draw(st.lists(_label_codings(), min_size=1, max_size=4))
    if depth == 0:
        nested = draw(st.lists(_provision(1), max_size=2))
        if nested:
            provision["provision"] = nested
    return provision


@st.composite
def consents(draw: st.DrawFn, patient: str | None = None) -> dict[str, Any]:
    """Draw a Consent that the gate accepts, mostly active."""
    consent: dict[str, Any] = {
        "resourceType": "Consent",
        "status": draw(st.sampled_from(("active", "active", "active", "inactive"))),
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "patient": {"reference": patient or draw(st.sampled_from(PATIENTS))},
        "provision": draw(_provision()),
    }
    if draw(st.integers(0, 5)) == 0:
        consent["policy"] = [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-deny"}]
    return consent


@dataclass(frozen=True)
class Row:
    """A record with a name."""

    name: str
    type: str
    record: Record


@st.composite
def rows(draw: st.DrawFn, number: int) -> Row:
    """Draw a record: any type, owners, label, level, author and category."""
    kind = draw(st.sampled_from(TYPES))
    patients = draw(st.lists(st.sampled_from(PATIENTS), max_size=3, unique=True))
    if kind in {"Observation", "DocumentReference", "Consent", "Patient"} and not patients and draw(st.booleans()):
        patients = [PATIENTS[0]]
    label = draw(st.sampled_from((*labels.CODE_OF, labels.UNSET, 3, labels.UNSET | NEVER_COVERED)))
    author = draw(st.sampled_from((0, *map(key_of_reference, (*ORGANIZATIONS, *PEOPLE, *PATIENTS)))))
    tokens = draw(st.sampled_from((frozenset(), {(CATEGORY, SYSTEM, VITAL)}, {(CATEGORY, SYSTEM, LAB)})))
    record = Record(
        type_key(kind),
        tuple(map(key_of_reference, patients)),
        label,
        draw(st.integers(0, 5)),
        author,
        frozenset(tokens),
    )
    return Row(f"{kind}/r{number}", kind, record)


@st.composite
def _scopes(draw: st.DrawFn) -> tuple[ScopeFilter, ...] | None:
    if draw(st.booleans()):
        return None
    launch = draw(st.sampled_from((0, *map(key_of_reference, PATIENTS[:2]))))
    narrow = st.sampled_from(((), (), ((CATEGORY, SYSTEM, VITAL),), ((CATEGORY, 0, LAB),)))
    kinds = st.sampled_from((0, *map(type_key, TYPES)))
    found = draw(st.lists(st.tuples(kinds, narrow), max_size=3))
    return tuple(ScopeFilter(kind, launch, tokens) for kind, tokens in found)


def _some(references: tuple[str, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.sampled_from(references), max_size=len(references), unique=True).map(
        lambda found: tuple(map(key_of_reference, found))
    )


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    """Draw a caller at an instant: every kind, reading or writing."""
    days = draw(st.sampled_from(_AROUND))
    at_us = to_us(NOW + timedelta(days=days)) + draw(st.sampled_from((0, 0, 1, -1)))
    purposes = draw(st.sampled_from((PURPOSE_BITS["TREAT"], PURPOSE_BITS["HRESCH"], 0)))
    scopes = draw(_scopes())
    kind = draw(
        st.sampled_from(("patient", "professional", "professional", "organization", "carer", "staff", "operator"))
    )
    writes = draw(st.integers(0, 3)) == 0
    if kind == "operator":
        return Gate(at_us, everything=True, scopes=scopes)
    if kind == "staff":
        return Gate(at_us, directory=True, reviewed_types=(type_key("Task"),), scopes=scopes)
    if kind == "patient":
        own = key_of_reference(draw(st.sampled_from(PATIENTS)))
        if writes:
            managed = (type_key("Consent"),)
            return Gate(at_us, own=own, organizations=(own,), own_only=True, managed_types=managed, scopes=scopes)
        return Gate(at_us, own=own, directory=True, purposes=purposes, scopes=scopes)
    actors = draw(_some(ACTORS))
    organizations = draw(_some(ORGANIZATIONS)) if kind != "carer" else ()
    emergencies = draw(_some(PATIENTS)) if kind == "professional" else ()
    if writes and kind == "professional":
        return Gate(at_us, actors=actors, organizations=organizations, purposes=purposes, own_only=True, scopes=scopes)
    return Gate(
        at_us,
        actors=actors,
        organizations=organizations,
        directory=True,
        purposes=purposes,
        emergencies=emergencies,
        scopes=scopes,
    )
