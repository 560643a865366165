"""The decision procedure (access.md §4) as a table: caller, record, grants, and what has to come out, row by row.

Each row stands on one rule or one edge of it; both faces of the gate are held to every row (`test_gate_cases.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from fhir_server.access import labels
from fhir_server.access.consent import NO_CONFIDENTIALITY
from fhir_server.access.rare import AUTHORS
from fhir_server.access.verdict import Reason, Record
from fhir_server.access.visibility import Gate, ScopeFilter
from fhir_server.search.on_row import LogicalId
from fhir_server.search.scopes import Narrowing
from fhir_server.store.grants import AUTHORED_BY, DEPENDENTS, INSTANCE, READ, RELATED, WRITE, Grant
from fhir_server.store.keys import key_of_reference, type_key

AT = 1_000_000
ANN, BOB, DR, OTHER, TRUST, CARER, LETTER, TEAM = map(
    key_of_reference,
    ("Patient/ann", "Patient/bob", "Practitioner/dr", "Practitioner/other", "Organization/trust", "RelatedPerson/carer",
     "DocumentReference/letter", "CareTeam/team"),
)  # fmt: skip
CONSENT, TASK, PATIENT, OBSERVATION = map(type_key, ("Consent", "Task", "Patient", "Observation"))
KEY = key_of_reference("Observation/r")
CODE, LOINC, SNOMED = 11, 12, 13


class Case(NamedTuple):
    """One row: `says` is the reason where the record exists for the caller, or why it does not."""

    says: Reason
    gate: Gate
    record: Record
    grants: tuple[Grant, ...] = ()


def _record(kind: str = "Observation", *patients: int, **more: Any) -> Record:
    facts: dict[str, Any] = {"label": labels.GENERAL, "confidentiality": labels.NORMAL, "author": 0, **more}
    return Record(type_key(kind), patients, key=key_of_reference(f"{kind}/r"), **facts)


def permit(**more: Any) -> Grant:
    """Return a grant to the doctor for what is general, changed as told."""
    plain = Grant(
        consent=1, node="Consent.provision", position=0, ends=0, permit=True, patient=ANN, actor=DR, valid_from=0,
        valid_to=2 * AT, purposes=1, purpose=0, actions=READ | WRITE, labels=labels.GENERAL,
        confidentiality=NO_CONFIDENTIALITY, rare=False, type=0, code=0, system=0, data_from=None, data_to=None,
        meaning=0, target=0, blocks_emergency=False,
    )  # fmt: skip
    return replace(plain, **more)


def deny(**more: Any) -> Grant:
    """Return a denial of everything to the doctor by a second Consent, changed as told."""
    return permit(**{"consent": 2, "permit": False, "labels": labels.EVERY, **more})


def only(**criteria: Any) -> Grant:
    """Return a permit with criteria on content."""
    return permit(rare=True, **criteria)


def never(**criteria: Any) -> tuple[Grant, Grant]:
    """Return a permit of everything, and a denial with criteria on content."""
    return permit(), deny(rare=True, **criteria)


READER = Gate(AT, actors=(DR,), organizations=(TRUST,), directory=True, purposes=1)
OWNER = Gate(AT, own=ANN, directory=True, purposes=1, shielded=True)
FAMILY = Gate(AT, actors=(CARER,), directory=True, purposes=1, shielded=True)
WRITER = replace(READER, action=WRITE, own_only=True)
OWN_WRITER = replace(OWNER, organizations=(ANN,), action=WRITE, own_only=True, managed_types=(CONSENT,))
OFFICER = Gate(AT, directory=True, reviewed_types=(TASK, CONSENT))
COORDINATOR = Gate(AT, organizations=(TRUST,), directory=True, own_data_types=(PATIENT, TASK))
OPERATOR = Gate(AT, everything=True)
RESCUER = replace(READER, emergencies=(ANN,))
RESULT = _record("Observation", ANN)
SHARED = _record("Observation", ANN, BOB)
MENTAL = replace(RESULT, label=labels.MENTAL_HEALTH)
NOPAT = replace(RESULT, label=labels.GENERAL | labels.NO_DISCLOSURE_TO_PATIENT)
THEIRS = replace(RESULT, author=TRUST)
LISTED = _record("Organization")
RULES = _record("Consent", ANN)
BLOCK = deny(consent=9, actor=0, labels=0, blocks_emergency=True)
HERE = Narrowing((LogicalId(("r",), ()),))
DATED = replace(RESULT, dates=(100, 200))
CODED = replace(RESULT, tokens=frozenset({(5, LOINC, CODE)}))
HOLDING = replace(RESULT, contained=frozenset({(5, LOINC, CODE)}))
WRITTEN = replace(RESULT, references=frozenset({(min(AUTHORS), OTHER)}))
MEMBER = replace(RESULT, references=frozenset({(1, TEAM)}))
POINTED = replace(RESULT, referred_by=frozenset({TEAM}))
ABOUT_LETTER = replace(_record("DocumentReference", ANN, dates=(100, 200)), key=LETTER)
FILE = _record("Binary", ANN, subject=ABOUT_LETTER)
LOOSE_FILE = _record("Binary", ANN)
NEIGHBOUR = replace(
    _record("Observation", BOB, ANN, OTHER), key=key_of_reference("Observation/neighbour"),
    tokens=frozenset({(5, LOINC, CODE)}), references=frozenset({(min(AUTHORS), OTHER), (1, TEAM)}), dates=(100, 200),
)  # fmt: skip
"""Stands beside the record of each row and has all that a row may ask for."""
HISTORY = _record("Provenance", ANN)


def scoped(gate: Gate, *scopes: ScopeFilter) -> Gate:
    """Return the gate of a token with these scopes."""
    return replace(gate, scopes=scopes)


R = Reason
_SCOPES = (
    Case(R.OPERATOR, OPERATOR, RESULT),
    Case(R.OUT_OF_SCOPE, scoped(OPERATOR), RESULT),
    Case(R.OPERATOR, scoped(OPERATOR, ScopeFilter(0, 0)), RESULT),
    Case(R.OPERATOR, scoped(OPERATOR, ScopeFilter(TASK, 0), ScopeFilter(OBSERVATION, 0)), RESULT),
    Case(R.OUT_OF_SCOPE, scoped(OPERATOR, ScopeFilter(TASK, 0)), RESULT),
    Case(R.OWN_DATA, scoped(READER, ScopeFilter(0, ANN)), replace(THEIRS, patients=(BOB, ANN))),
    Case(R.OUT_OF_SCOPE, scoped(READER, ScopeFilter(0, ANN)), replace(THEIRS, patients=(BOB,))),
    Case(R.OUT_OF_SCOPE, scoped(READER, ScopeFilter(0, ANN)), replace(THEIRS, patients=(BOB, OTHER))),
    Case(R.DIRECTORY, scoped(READER, ScopeFilter(0, ANN)), LISTED),
    Case(R.OUT_OF_SCOPE, scoped(READER, ScopeFilter(0, ANN)), replace(THEIRS, patients=())),
    Case(R.OUT_OF_SCOPE, scoped(READER, ScopeFilter(0, ANN)), _record("Organization", BOB, author=TRUST)),
    Case(R.OPERATOR, scoped(OPERATOR, ScopeFilter(0, 0, HERE)), replace(RESULT, meets=frozenset({HERE}))),
    Case(R.OUT_OF_SCOPE, scoped(OPERATOR, ScopeFilter(0, 0, Narrowing((LogicalId(("s",), ()),)))), RESULT),
)
_AUTHORS = (
    Case(R.OWN_DATA, READER, THEIRS),
    Case(R.OWN_DATA, READER, replace(THEIRS, patients=())),
    Case(R.NO_PERMIT, READER, replace(THEIRS, author=OTHER)),
    Case(R.NO_PERMIT, READER, replace(RULES, author=TRUST)),
    Case(R.OWN_DATA, COORDINATOR, _record("Patient", ANN, author=TRUST)),
    Case(R.NO_PERMIT, COORDINATOR, THEIRS),
    Case(R.NO_PERMIT, COORDINATOR, _record("Patient", ANN, author=OTHER)),
    Case(R.OWN_DATA, replace(COORDINATOR, own_data_types=(CONSENT,)), replace(RULES, author=TRUST)),
    Case(R.REVIEW, OFFICER, _record("Task", ANN)),
    Case(R.NO_PERMIT, OFFICER, _record("Task", ANN, author=TRUST)),
    Case(R.OWN_DATA, COORDINATOR, _record("Task", ANN, author=TRUST)),
    Case(R.NO_PERMIT, COORDINATOR, _record("Task", ANN, author=OTHER)),
    Case(R.NO_PERMIT, COORDINATOR, _record("Task", ANN)),
    Case(R.REVIEW, OFFICER, RULES),
    Case(R.REVIEW, OFFICER, replace(RULES, author=ANN)),
    Case(R.NO_PERMIT, OFFICER, RESULT),
    Case(R.DIRECTORY, READER, LISTED),
    Case(R.NO_PERMIT, replace(READER, directory=False), LISTED),
    Case(R.NO_PERMIT, READER, _record("Observation")),
    Case(R.NO_PERMIT, READER, _record("Organization", ANN)),
)
_OWNERS = (
    Case(R.OWNER, OWNER, RESULT),
    Case(R.OWNER, OWNER, RULES),
    Case(R.OWNER, OWNER, MENTAL),
    Case(R.NO_PERMIT, OWNER, _record("Observation", BOB)),
    Case(R.NO_PERMIT, OWNER, SHARED),
    Case(R.OWNER, replace(OWNER, actors=(DR,)), RESULT),
    Case(R.WITHHELD, OWNER, NOPAT),
    Case(R.WITHHELD, OWNER, replace(RESULT, released_at=AT + 1)),
    Case(R.OWNER, OWNER, replace(RESULT, released_at=AT)),
    Case(R.WITHHELD, FAMILY, NOPAT, (permit(actor=CARER, labels=labels.EVERY),)),
    Case(R.WITHHELD, FAMILY, replace(RESULT, released_at=AT + 1), (permit(actor=CARER),)),
    Case(R.CONSENT, FAMILY, RESULT, (permit(actor=CARER),)),
    Case(R.CONSENT, READER, NOPAT, (permit(labels=labels.EVERY),)),
    Case(R.CONSENT, READER, replace(RESULT, released_at=AT + 1), (permit(),)),
)
_PERMITS = (
    Case(R.NO_PERMIT, READER, RESULT),
    Case(R.CONSENT, READER, RESULT, (permit(),)),
    Case(R.CONSENT, READER, RESULT, (permit(actor=0),)),
    Case(R.NO_PERMIT, READER, RESULT, (permit(actor=OTHER),)),
    Case(R.NO_PERMIT, replace(READER, actors=()), RESULT, (permit(actor=0),)),
    Case(R.NO_PERMIT, READER, _record("Patient", ANN, label=0), (deny(),)),
    Case(R.NO_PERMIT, READER, _record("Patient", ANN, label=0)),
    Case(R.CONSENT, replace(READER, rare=False), RESULT, (permit(),)),
    Case(R.CONSENT, replace(READER, other_purposes=(77,)), RESULT, (permit(),)),
    Case(R.NO_PERMIT, READER, RESULT, (permit(patient=BOB),)),
    Case(R.NO_PERMIT, READER, SHARED, (permit(),)),
    Case(R.CONSENT, READER, SHARED, (permit(), permit(consent=2, patient=BOB))),
    Case(R.DENIED, READER, SHARED, (permit(), permit(consent=2, patient=BOB), deny(consent=3, patient=BOB))),
    Case(R.NO_PERMIT, READER, MENTAL, (permit(),)),
    Case(R.CONSENT, READER, MENTAL, (permit(), permit(consent=2, labels=labels.MENTAL_HEALTH))),
    Case(R.NO_PERMIT, READER, replace(RESULT, label=3), (permit(), permit(consent=2, labels=labels.MENTAL_HEALTH))),
    Case(R.CONSENT, READER, replace(RESULT, label=3), (permit(), permit(consent=2, labels=3))),
    Case(R.NO_PERMIT, READER, replace(RESULT, label=labels.UNSET), (permit(labels=7),)),
    Case(R.CONSENT, READER, replace(RESULT, label=labels.UNSET), (permit(labels=15),)),
    Case(R.CONSENT, READER, RESULT, (permit(confidentiality=labels.NORMAL),)),
    Case(R.NO_PERMIT, READER, replace(RESULT, confidentiality=4), (permit(confidentiality=labels.NORMAL),)),
    Case(R.CONSENT, READER, RESULT, (permit(valid_from=AT),)),
    Case(R.NO_PERMIT, READER, RESULT, (permit(valid_from=AT + 1),)),
    Case(R.CONSENT, READER, RESULT, (permit(valid_to=AT + 1),)),
    Case(R.NO_PERMIT, READER, RESULT, (permit(valid_to=AT),)),
    Case(R.CONSENT, READER, RESULT, (permit(actions=READ),)),
    Case(R.NO_PERMIT, READER, RESULT, (permit(actions=WRITE),)),
    Case(R.NO_PERMIT, READER, RESULT, (permit(purposes=2),)),
    Case(R.CONSENT, READER, RESULT, (permit(purposes=3),)),
    Case(R.CONSENT, replace(READER, other_purposes=(77,)), RESULT, (permit(purposes=0, purpose=77),)),
    Case(R.NO_PERMIT, replace(READER, other_purposes=(77,)), RESULT, (permit(purposes=0, purpose=78),)),
    Case(R.NO_PERMIT, replace(READER, other_purposes=(77,)), RESULT, (permit(purposes=0),)),
    Case(R.NO_PERMIT, READER, RULES, (permit(),)),
    Case(R.CONSENT, READER, RULES, (only(type=CONSENT),)),
)
_DENIALS = (
    Case(R.DENIED, READER, RESULT, (permit(), deny())),
    Case(R.DENIED, READER, RESULT, (permit(), deny(actor=0))),
    Case(R.DENIED, READER, RESULT, (deny(),)),
    Case(R.CONSENT, READER, RESULT, (permit(), deny(actor=OTHER))),
    Case(R.CONSENT, READER, RESULT, (permit(), deny(labels=labels.MENTAL_HEALTH))),
    Case(R.DENIED, READER, replace(RESULT, label=3), (permit(labels=3), deny(labels=labels.MENTAL_HEALTH))),
    Case(R.DENIED, READER, RESULT, (permit(), deny(labels=0, confidentiality=labels.NORMAL))),
    Case(R.CONSENT, READER, RESULT, (permit(), deny(labels=0, confidentiality=4))),
    Case(R.CONSENT, READER, RESULT, (permit(), deny(valid_to=AT))),
    Case(R.CONSENT, READER, RESULT, (permit(), deny(actions=WRITE))),
    Case(R.CONSENT, READER, RESULT, (deny(consent=1, ends=1), permit(position=1, ends=1))),
    Case(R.CONSENT, READER, RESULT, (deny(consent=1, ends=2), permit(position=1, ends=1), permit(consent=3))),
    Case(R.DENIED, READER, RESULT, (deny(ends=1), permit(position=1, ends=1))),
    Case(R.DENIED, READER, RESULT, (deny(consent=1, ends=1), permit(position=2, ends=2))),
    Case(R.DENIED, READER, RESULT, (deny(consent=1, position=1, ends=2), permit(position=1, ends=1))),
    Case(R.DENIED, READER, MENTAL, (deny(consent=1, ends=1), permit(position=1, ends=1))),
    Case(
        R.DENIED,
        READER,
        MENTAL,
        (deny(consent=1, ends=1), permit(position=1, ends=1), permit(consent=3, labels=labels.EVERY)),
    ),
    *(
        Case(R.DENIED, READER, RESULT, (deny(consent=1, ends=1), permit(position=1, ends=1, **late), permit(consent=3)))
        for late in ({"actor": OTHER}, {"valid_to": AT}, {"purposes": 2}, {"actions": WRITE})
    ),
    Case(R.DENIED, READER, RESULT, (permit(ends=1), deny(consent=1, position=1, ends=1))),
    Case(R.DENIED, READER, RESULT, (deny(consent=1, ends=1), permit(position=1, ends=1), deny())),
)
_EMERGENCIES = (
    Case(R.EMERGENCY, RESCUER, RESULT),
    Case(R.EMERGENCY, RESCUER, RESULT, (deny(),)),
    Case(R.CONSENT, RESCUER, RESULT, (permit(),)),
    Case(R.NO_PERMIT, RESCUER, _record("Observation", BOB)),
    Case(R.NO_PERMIT, RESCUER, SHARED),
    Case(R.EMERGENCY, replace(RESCUER, emergencies=(ANN, BOB)), SHARED),
    Case(R.NO_PERMIT, RESCUER, RESULT, (BLOCK,)),
    Case(R.CONSENT, RESCUER, RESULT, (BLOCK, permit())),
    Case(R.EMERGENCY, RESCUER, RESULT, (replace(BLOCK, patient=BOB),)),
    Case(R.NO_PERMIT, RESCUER, RESULT, (replace(BLOCK, valid_from=AT),)),
    Case(R.EMERGENCY, RESCUER, RESULT, (replace(BLOCK, valid_from=AT + 1),)),
    Case(R.EMERGENCY, RESCUER, RESULT, (replace(BLOCK, valid_to=AT),)),
    Case(R.NO_PERMIT, RESCUER, RESULT, (replace(BLOCK, valid_to=AT + 1),)),
    Case(R.NO_PERMIT, RESCUER, RULES),
    Case(R.EMERGENCY, RESCUER, replace(RESULT, label=labels.UNSET | labels.UNKNOWN)),
    Case(R.NO_PERMIT, RESCUER, replace(RESULT, label=labels.GENERAL | labels.WITHHELD)),
    Case(R.EMERGENCY, replace(RESCUER, actors=()), RESULT),
)
_WRITES = (
    Case(R.NOT_WRITABLE, WRITER, RESULT, (permit(),)),
    Case(R.CONSENT, WRITER, THEIRS, (permit(),)),
    Case(R.NO_PERMIT, WRITER, THEIRS, (permit(actions=READ),)),
    Case(R.NO_PERMIT, WRITER, THEIRS),
    Case(R.NO_PERMIT, replace(WRITER, actors=()), THEIRS, (permit(actor=0),)),
    Case(R.OWN_DATA, WRITER, replace(THEIRS, patients=())),
    Case(R.NOT_WRITABLE, WRITER, LISTED),
    Case(R.OWNER, OWN_WRITER, replace(RESULT, author=ANN)),
    Case(R.NOT_WRITABLE, OWN_WRITER, THEIRS),
    Case(R.OWNER, OWN_WRITER, replace(RULES, author=TRUST)),
    Case(R.NOT_WRITABLE, OWN_WRITER, _record("Consent", author=ANN)),
    Case(R.NOT_WRITABLE, OWN_WRITER, replace(RESULT, author=ANN, patients=())),
    Case(R.NO_PERMIT, OWN_WRITER, replace(RESULT, author=ANN, patients=(BOB,))),
)
_VALUES = (
    Case(R.CONSENT, replace(READER, actors=(OTHER,)), RESULT, (permit(actor=OTHER),)),
    Case(R.NO_PERMIT, replace(READER, actors=(OTHER,)), RESULT, (permit(),)),
    Case(R.CONSENT, replace(READER, actors=(OTHER, DR, TEAM)), RESULT, (permit(actor=TEAM),)),
    Case(R.CONSENT, replace(READER, purposes=2), RESULT, (permit(purposes=2),)),
    Case(R.NO_PERMIT, replace(READER, at_us=AT + 5), RESULT, (permit(valid_to=AT + 5),)),
    Case(R.CONSENT, replace(READER, other_purposes=(78,)), RESULT, (permit(purposes=0, purpose=78),)),
    Case(R.OWN_DATA, replace(READER, organizations=(OTHER,)), replace(THEIRS, author=OTHER)),
    Case(R.NO_PERMIT, replace(READER, organizations=(OTHER,)), THEIRS),
    Case(R.OWNER, replace(OWNER, own=BOB), _record("Observation", BOB)),
    Case(R.NO_PERMIT, replace(OWNER, own=BOB), RESULT),
    Case(R.EMERGENCY, replace(RESCUER, emergencies=(BOB,)), _record("Observation", BOB)),
    Case(R.NO_PERMIT, replace(RESCUER, emergencies=(BOB,)), RESULT),
    Case(R.OWN_DATA, scoped(READER, ScopeFilter(0, BOB)), replace(THEIRS, patients=(BOB,))),
    Case(R.OUT_OF_SCOPE, scoped(READER, ScopeFilter(0, BOB)), THEIRS),
)
"""Gates of the shape of others: a statement that was built for one serves them with values of their own."""
_ABOUT = (
    Case(R.CONSENT, READER, RESULT, (only(type=OBSERVATION),)),
    Case(R.NO_PERMIT, READER, RESULT, (only(type=TASK),)),
    Case(R.CONSENT, READER, RESULT, never(type=TASK)),
    Case(R.DENIED, READER, RESULT, never(type=OBSERVATION)),
    Case(R.CONSENT, READER, CODED, (only(code=CODE),)),
    Case(R.CONSENT, READER, CODED, (only(code=CODE, system=LOINC),)),
    Case(R.CONSENT, READER, CODED, (only(type=OBSERVATION, code=CODE),)),
    Case(R.CONSENT, READER, RESULT, (only(type=OBSERVATION, meaning=INSTANCE, target=KEY),)),
    Case(R.CONSENT, READER, DATED, (only(type=OBSERVATION, data_from=100, data_to=200),)),
    Case(R.NO_PERMIT, READER, CODED, (only(code=CODE, system=SNOMED),)),
    Case(R.NO_PERMIT, READER, CODED, (only(code=CODE + 1),)),
    Case(R.DENIED, READER, CODED, never(code=CODE)),
    Case(R.CONSENT, READER, CODED, never(code=CODE, system=SNOMED)),
    Case(R.NO_PERMIT, READER, HOLDING, (only(code=CODE),)),
    Case(R.DENIED, READER, HOLDING, never(code=CODE)),
    Case(R.CONSENT, READER, DATED, (only(data_from=100, data_to=200),)),
    Case(R.NO_PERMIT, READER, DATED, (only(data_from=101, data_to=200),)),
    Case(R.NO_PERMIT, READER, DATED, (only(data_from=100, data_to=199),)),
    Case(R.NO_PERMIT, READER, RESULT, (only(data_from=0, data_to=999),)),
    Case(R.DENIED, READER, DATED, never(data_from=199, data_to=999)),
    Case(R.CONSENT, READER, DATED, never(data_from=200, data_to=999)),
    Case(R.DENIED, READER, DATED, never(data_from=0, data_to=101)),
    Case(R.CONSENT, READER, DATED, never(data_from=0, data_to=100)),
    Case(R.DENIED, READER, RESULT, never(data_from=0, data_to=999)),
    Case(R.CONSENT, READER, _record("Patient", ANN), never(data_from=0, data_to=999)),
    Case(R.NO_PERMIT, READER, _record("Patient", ANN), (only(data_from=0, data_to=999),)),
    Case(R.CONSENT, READER, RESULT, (only(meaning=INSTANCE, target=KEY),)),
    Case(R.NO_PERMIT, READER, MEMBER, (only(meaning=INSTANCE, target=TEAM),)),
    Case(R.NO_PERMIT, READER, POINTED, (only(meaning=INSTANCE, target=TEAM),)),
    Case(R.CONSENT, READER, RESULT, (only(meaning=RELATED, target=KEY),)),
    Case(R.CONSENT, READER, MEMBER, (only(meaning=RELATED, target=TEAM),)),
    Case(R.CONSENT, READER, POINTED, (only(meaning=RELATED, target=TEAM),)),
    Case(R.NO_PERMIT, READER, RESULT, (only(meaning=RELATED, target=TEAM),)),
    Case(R.NO_PERMIT, READER, MEMBER, (only(meaning=RELATED, target=OTHER),)),
    Case(R.NO_PERMIT, READER, POINTED, (only(meaning=RELATED, target=OTHER),)),
    Case(R.CONSENT, READER, RESULT, (only(meaning=DEPENDENTS, target=KEY),)),
    Case(R.CONSENT, READER, MEMBER, (only(meaning=DEPENDENTS, target=TEAM),)),
    Case(R.NO_PERMIT, READER, POINTED, (only(meaning=DEPENDENTS, target=TEAM),)),
    Case(R.CONSENT, READER, replace(RESULT, author=OTHER), (only(meaning=AUTHORED_BY, target=OTHER),)),
    Case(R.NO_PERMIT, READER, replace(RESULT, author=OTHER), (only(meaning=RELATED, target=OTHER),)),
    Case(R.CONSENT, READER, WRITTEN, (only(meaning=AUTHORED_BY, target=OTHER),)),
    Case(R.NO_PERMIT, READER, MEMBER, (only(meaning=AUTHORED_BY, target=TEAM),)),
    Case(R.NO_PERMIT, READER, RESULT, (only(meaning=AUTHORED_BY, target=KEY),)),
    Case(R.DENIED, READER, WRITTEN, never(meaning=AUTHORED_BY, target=OTHER)),
    Case(R.NO_PERMIT, READER, DATED, (only(type=OBSERVATION, data_from=101, data_to=200),)),
    Case(R.NO_PERMIT, READER, DATED, (only(data_from=100, data_to=200, meaning=INSTANCE, target=TEAM),)),
    Case(R.NO_PERMIT, READER, HISTORY, (only(meaning=INSTANCE, target=key_of_reference("Provenance/r")),)),
    Case(R.DENIED, READER, HISTORY, never(type=TASK)),
    Case(R.CONSENT, READER, HISTORY, (permit(),)),
    Case(R.CONSENT, READER, FILE, (only(type=type_key("DocumentReference"), data_from=100, data_to=200),)),
    Case(R.NO_PERMIT, READER, FILE, (only(type=type_key("Binary")),)),
    Case(R.CONSENT, READER, FILE, (only(meaning=INSTANCE, target=LETTER),)),
    Case(R.DENIED, READER, FILE, never(meaning=INSTANCE, target=LETTER)),
    Case(R.NO_PERMIT, READER, LOOSE_FILE, (only(type=type_key("DocumentReference")),)),
    Case(R.CONSENT, READER, LOOSE_FILE, (only(type=type_key("Binary")),)),
    Case(R.NO_PERMIT, READER, HISTORY, (only(type=type_key("Provenance")),)),
    Case(R.DENIED, READER, LOOSE_FILE, never(data_from=0, data_to=999)),
)
TABLE = {
    "content": _ABOUT, "scopes": _SCOPES, "authors": _AUTHORS, "owners": _OWNERS, "permits": _PERMITS,
    "denials": _DENIALS, "emergencies": _EMERGENCIES, "writes": _WRITES, "values": _VALUES,
}  # fmt: skip
CASES = tuple(case for part in TABLE.values() for case in part)
VISIBLE = frozenset({R.OPERATOR, R.OWN_DATA, R.DIRECTORY, R.REVIEW, R.OWNER, R.CONSENT, R.EMERGENCY})
