"""Generated consents, callers and records: what the properties of the gate quantify over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from fhir_server.access import labels
from fhir_server.access import purposes as purposes_of_use
from fhir_server.access.verdict import Record
from fhir_server.access.visibility import Gate, ScopeFilter
from fhir_server.search.criteria import HotDate, Indexed, Missing
from fhir_server.search.date import Comparison, DateTest
from fhir_server.search.on_row import LogicalId
from fhir_server.search.reference import ReferenceTest
from fhir_server.search.scopes import Narrowing
from fhir_server.search.token import TokenTest
from fhir_server.spec.values import date_interval
from fhir_server.store.grants import READ, WRITE
from fhir_server.store.instants import to_us
from fhir_server.store.keys import hash32, hash64, key_of_reference, type_key
from fhir_server.store.visibility import RowCondition

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PATIENTS = tuple(f"Patient/p{number}" for number in range(3))
PEOPLE = ("Practitioner/dr", "Practitioner/other", "RelatedPerson/carer")
ORGANIZATIONS = ("Organization/trust", "Organization/practice")
ACTORS = (*PEOPLE, *ORGANIZATIONS, "PractitionerRole/role", "CareTeam/team", "Group/group", "Device/device")
TYPES = ("Observation", "DocumentReference", "Consent", "Organization", "Task", "Patient", "Binary", "Provenance")
CODES = (("http://loinc.org", "8480-6"), ("http://loinc.org", "74013-4"), ("http://snomed.info/sct", "8480-6"))
CODE = hash32("Observation.code")
CONTAINED = hash32("contained code")
REFERRED, AUTHORED = hash32("Observation.encounter"), hash32("Observation.performer")
DATES = ("2024", "2025-06", "2025-06-15", "2026-01-01T10:00:00Z")
PROJECT = ("http://project", "study")
CATEGORY = hash32("Observation.category")
SYSTEM, VITAL, LAB = hash64("http://category"), hash64("vital-signs"), hash64("laboratory")
KINDS = ("patient", "professional", "professional", "organization", "carer", "staff", "operator")
NEVER_COVERED = labels.WITHHELD
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_AROUND = (-2, -1, 0, 1, 2)
_TEAM = key_of_reference("CareTeam/team")
_MIDDLE = date_interval("2025-06-15")[0]
_VITALS = Indexed("index_token", (CATEGORY,), TokenTest(of_system=((SYSTEM, (VITAL,)),)))
_LATE = DateTest((Comparison("sa", 0, _MIDDLE),))
NARROWINGS: dict[Narrowing, Callable[[Row], bool]] = {
    Narrowing((_VITALS,)): lambda row: (CATEGORY, SYSTEM, VITAL) in row.record.tokens,
    Narrowing((Indexed("index_token", (CATEGORY,), TokenTest((LAB, VITAL)), negated=True),)): lambda row: (
        not any(param == CATEGORY for param, _, _ in row.record.tokens)
    ),
    Narrowing((Missing(("index_token",), (CATEGORY,), missing=True),)): lambda row: (
        not any(param == CATEGORY for param, _, _ in row.record.tokens)
    ),
    Narrowing((HotDate(_LATE, Indexed("index_date", (1,), _LATE)),)): lambda row: (
        row.record.dates is not None and row.record.dates[0] >= _MIDDLE
    ),
    Narrowing((Indexed("index_reference", (REFERRED,), ReferenceTest((_TEAM,))), _VITALS)): lambda row: (
        (REFERRED, _TEAM) in row.record.references and (CATEGORY, SYSTEM, VITAL) in row.record.tokens
    ),
    Narrowing((LogicalId(("r0", "r1"), ()),)): lambda row: row.name.endswith(("/r0", "/r1")),
}
"""Restrictions of granular scopes as search makes them, and what each means."""


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
    acts = st.sampled_from(("MH", "SEX", "PSY", "ETHUD", "SDV", "GDIS")).map(
        lambda code: {"system": labels.ACT_CODE, "code": code}
    )
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
        codes = draw(st.lists(st.sampled_from(("TREAT", "HRESCH", PROJECT)), min_size=1, max_size=2, unique=True))
        provision["purpose"] = [
            {"system": _REASON, "code": code} if isinstance(code, str) else {"system": code[0], "code": code[1]}
            for code in codes
        ]
    if draw(st.integers(0, 5)) == 0:
        provision["action"] = [{"coding": [{"code": draw(st.sampled_from(("access", "correct")))}]}]
    if draw(st.booleans()):
        provision["securityLabel"] = draw(st.lists(_label_codings(), min_size=1, max_size=4))
    if draw(st.integers(0, 2)) == 0:
        provision |= draw(_about())
    if depth < 3:
        nested = draw(st.lists(_provision(depth + 1), max_size=2 if depth == 0 else 1))
        if nested:
            provision["provision"] = nested
    return provision


@st.composite
def _about(draw: st.DrawFn) -> dict[str, Any]:
    """Draw criteria on content."""
    found: dict[str, Any] = {}
    match draw(st.sampled_from(("class", "code", "dataPeriod", "data", "data"))):
        case "class":
            kinds = st.sampled_from(("Observation", "DocumentReference", "Patient", "Binary"))
            system = "http://hl7.org/fhir/resource-types"
            found["class"] = [{"system": system, "code": draw(kinds)} for _ in range(draw(st.integers(1, 2)))]
        case "code":
            system, code = draw(st.sampled_from(CODES))
            found["code"] = [{"coding": [{"code": code} if draw(st.booleans()) else {"system": system, "code": code}]}]
        case "dataPeriod":
            found["dataPeriod"] = draw(
                st.sampled_from(({"start": "2025"}, {"end": "2025"}, {"start": "2025", "end": "2025-06"}))
            )
        case _:
            meaning = st.sampled_from(("instance", "related", "dependents", "authoredby"))
            reference = st.sampled_from((*(f"{kind}/r{number}" for number, kind in enumerate(TYPES[:4])), *ACTORS[:4]))
            found["data"] = [{"meaning": draw(meaning), "reference": {"reference": draw(reference)}}]
    return found


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

    @property
    def key(self) -> int:
        """Return the key the store knows it by."""
        return key_of_reference(self.name)


@st.composite
def _facts(draw: st.DrawFn, number: int, names: tuple[str, ...]) -> Row:
    """Draw a record: any type, owners, label, level, author, category, code, time and references."""
    name = names[number]
    kind = name.partition("/")[0]
    patients = draw(st.lists(st.sampled_from(PATIENTS), max_size=3, unique=True))
    if kind in {"Observation", "DocumentReference", "Consent", "Patient"} and not patients and draw(st.booleans()):
        patients = [PATIENTS[0]]
    finer = [labels.mask_of_coding(labels.ACT_CODE, code) or 0 for code in ("PSY", "ETHUD", "SDV", "GDIS", "NONSENSE")]
    label = draw(st.sampled_from((0, *labels.CODE_OF, *finer, labels.UNSET, 3, labels.UNSET | NEVER_COVERED)))
    label |= draw(st.sampled_from((0, 0, 0, labels.NO_DISCLOSURE_TO_PATIENT)))
    author = draw(st.sampled_from((0, *map(key_of_reference, (*ORGANIZATIONS, *PEOPLE, *PATIENTS)))))
    tokens = set(draw(st.sampled_from(((), ((CATEGORY, SYSTEM, VITAL),), ((CATEGORY, SYSTEM, LAB),)))))
    for system, code in draw(st.lists(st.sampled_from(CODES), max_size=2, unique=True)):
        tokens.add((CODE, hash64(system), hash64(code)))
    inner = draw(st.lists(st.sampled_from(CODES), max_size=1))
    contained = frozenset((CONTAINED, hash64(system), hash64(code)) for system, code in inner)
    aims = st.tuples(st.sampled_from((REFERRED, AUTHORED)), st.sampled_from((*names, *ACTORS[:4])))
    references = frozenset((param, key_of_reference(to)) for param, to in draw(st.lists(aims, max_size=2)))
    dates = draw(st.sampled_from((None, *map(date_interval, DATES))))
    released_at = draw(st.sampled_from((0, 0, 0, to_us(NOW), to_us(NOW + timedelta(days=9)))))
    record = Record(
        type_key(kind),
        tuple(map(key_of_reference, patients)),
        label,
        draw(st.integers(0, 5)),
        author,
        frozenset(tokens),
        key_of_reference(name),
        released_at,
        dates,
        references,
        contained=contained,
    )
    return Row(name, kind, record)


@st.composite
def rows(draw: st.DrawFn, count: int) -> tuple[Row, ...]:
    """Draw records that refer to one another; a Binary belongs to the first of them."""
    names = tuple(f"{draw(st.sampled_from(TYPES))}/r{number}" for number in range(count))
    drawn = [draw(_facts(number, names)) for number in range(count)]
    known = []
    for row in drawn:
        by = {other.key for other in drawn if any(target == row.key for _, target in other.record.references)}
        known.append(replace(row, record=replace(row.record, referred_by=frozenset(by))))
    known = [replace(row, record=replace(row.record, meets=_met(row))) for row in known]
    first = known[0]
    return tuple(
        replace(row, record=replace(row.record, subject=first.record))
        if row.type == "Binary" and row is not first and first.type != "Binary"
        else row
        for row in known
    )


def _met(row: Row) -> frozenset[RowCondition]:
    return frozenset(narrowing for narrowing, holds in NARROWINGS.items() if holds(row))


@st.composite
def _scopes(draw: st.DrawFn) -> tuple[ScopeFilter, ...] | None:
    if draw(st.booleans()):
        return None
    launch = draw(st.sampled_from((0, *map(key_of_reference, PATIENTS[:2]))))
    narrow = st.sampled_from((None, None, *NARROWINGS))
    kinds = st.sampled_from((0, *map(type_key, TYPES)))
    found = draw(st.lists(st.tuples(kinds, narrow), max_size=3))
    return tuple(ScopeFilter(kind, launch, narrowing) for kind, narrowing in found)


def _some(references: tuple[str, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.sampled_from(references), max_size=len(references), unique=True).map(
        lambda found: tuple(map(key_of_reference, found))
    )


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    """Draw a caller at an instant: every kind, reading or writing."""
    days = draw(st.sampled_from(_AROUND))
    at_us = to_us(NOW + timedelta(days=days)) + draw(st.sampled_from((0, 0, 1, -1)))
    asked = st.sampled_from(("TREAT", "HRESCH", "CLINTRCH", "", "|".join(PROJECT), f"TREAT {'|'.join(PROJECT)}"))
    purposes, others = purposes_of_use.of_caller(draw(asked))
    scopes = draw(_scopes())
    kind = draw(
        st.sampled_from(("patient", "professional", "professional", "organization", "carer", "staff", "operator"))
    )
    writes = draw(st.integers(0, 3)) == 0
    if kind == "operator":
        return Gate(at_us, everything=True, scopes=scopes)
    if kind == "staff":
        return Gate(at_us, directory=True, reviewed_types=(type_key("Task"),), scopes=scopes)
    common = Gate(at_us, purposes=purposes, other_purposes=others, action=WRITE if writes else READ, scopes=scopes)
    managed = (type_key("Consent"),)
    if kind == "patient":
        own = key_of_reference(draw(st.sampled_from(PATIENTS)))
        common = replace(common, own=own, shielded=True)
        if writes:
            return replace(common, organizations=(own,), own_only=True, managed_types=managed)
        return replace(common, directory=True)
    actors = draw(_some(ACTORS))
    organizations = draw(_some(ORGANIZATIONS)) if kind != "carer" else ()
    emergencies = draw(_some(PATIENTS)) if kind == "professional" else ()
    common = replace(common, actors=actors, organizations=organizations, directory=True, shielded=kind == "carer")
    if writes and kind == "carer":
        return replace(common, organizations=actors[:1], own_only=True, managed_types=managed)
    if writes and kind == "professional":
        return replace(common, own_only=True)
    return replace(common, emergencies=emergencies)
