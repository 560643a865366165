"""Both faces of the gate on the table of the decision procedure: the verdict in memory, the predicate in SQL."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.engine import url

from fhir_server.access.consent import NO_CONFIDENTIALITY
from fhir_server.access.facts import record_of
from fhir_server.access.rare import BINARY, PROVENANCE
from fhir_server.access.verdict import Record, Verdict, Vote, verdict
from fhir_server.access.visibility import NOTHING, Gate, ScopeFilter
from fhir_server.store import grants, index_tables, tables
from fhir_server.store.database import Session, Store
from fhir_server.store.grants import READ, WRITE, Grant
from fhir_server.store.keys import key_of_reference, type_key
from fhir_server.store.visibility import HISTORY_RULES, ONE_PATIENT, RULES, Look, execute, readable
from tests.access.gate_cases import (
    ANN,
    AT,
    BOB,
    CASES,
    DR,
    HERE,
    NEIGHBOUR,
    OBSERVATION,
    OTHER,
    READER,
    RESULT,
    SHARED,
    TABLE,
    TASK,
    TEAM,
    TRUST,
    VISIBLE,
    WRITER,
    Case,
    deny,
    permit,
)
from tests.consent.storing import put
from tests.databases import Databases, SqliteDatabases
from tests.server import create_schema

_KINDS = {
    type_key(kind): kind
    for kind in (
        "Observation",
        "Consent",
        "Task",
        "Patient",
        "Organization",
        "Binary",
        "Provenance",
        "DocumentReference",
    )
}


class _UndoneError(Exception):
    """Takes a case back."""


def test_the_verdict_says_what_the_table_says() -> None:
    for case in CASES:
        assert verdict(case.gate, case.record, case.grants)[:2] == (case.says in VISIBLE, case.says), case


@pytest.mark.parametrize("part", TABLE)
def test_the_predicate_shows_what_the_table_says(databases: Databases, part: str) -> None:
    store = Store(databases.prepared("schema", create_schema))
    with store.write() as session:
        put(session, NEIGHBOUR, "Observation/neighbour")
        _point_at(session, NEIGHBOUR.key, TEAM)
    wrong = next((case for case in TABLE[part] if _is_seen(store, case) is not (case.says in VISIBLE)), None)
    store.close()
    assert wrong is None


def _is_seen(store: Store, case: Case) -> bool:
    """Return whether the row exists for the caller, on which a first try and a look at many rows have to agree."""
    seen = False
    with suppress(_UndoneError), store.write() as session:
        _store(session, case.record)
        for consent in {grant.consent for grant in case.grants}:
            grants.replace(session, consent, [grant for grant in case.grants if grant.consent == consent])
        seen = _found(session, case)
        if session.is_postgresql:
            assert _found(session, case, Look.WIDE) is seen
            is_found_first = _found(session, case, Look.SURE)
            assert is_found_first is seen or (seen and case.gate.adds_up(())), case
            _try_sums(session, case, is_seen=seen)
        if _is_kept_in_part(case):
            assert _is_seen_once_replaced(session, case) is _says_of_a_version(case), case
        raise _UndoneError
    return seen


def _store(session: Session, record: Record) -> None:
    if record.subject is not None:
        put(session, record.subject, "DocumentReference/letter")
    put(session, record, f"{_KINDS[record.type]}/r")
    for key in record.referred_by:
        _point_at(session, record.key, key)


def _point_at(session: Session, target: int, key: int) -> None:
    pointing = {"key": key, "param": 1, "patient": 0, "target": target, "target_type": 0, "version": 0}
    session.connection.execute(insert(index_tables.reference).values(pointing))


def _is_kept_in_part(case: Case) -> bool:
    """Return whether it matters that a replaced version has no index rows and no further patients."""
    return case.gate.scopes is not None or len(case.record.patients) > 1 or any(grant.rare for grant in case.grants)


def _is_seen_once_replaced(session: Session, case: Case) -> bool:
    put(session, replace(case.record, patients=(), label=0), f"{_KINDS[case.record.type]}/r", version=2)
    old = tables.history.alias()
    return (
        session.connection.execute(select(old.c.key).where(case.gate.predicate(old, HISTORY_RULES))).first() is not None
    )


def _says_of_a_version(case: Case) -> bool:
    """Return what the table says once all is refused that a version does not tell."""
    first, *further = case.record.patients or (0,)
    record = replace(case.record, patients=(first, -1)) if further else case.record
    gate = case.gate
    if gate.scopes is not None:
        gate = replace(gate, scopes=tuple(scope for scope in gate.scopes if scope.narrowing is None))
    kept = [replace(grant, rare=False) for grant in case.grants if not grant.rare or _counts(grant, record)]
    return verdict(gate, record, kept).visible


def _counts(grant: Grant, record: Record) -> bool:
    """Return whether criteria on content permit or deny a version: a permit by its type alone, a deny on doubt."""
    if record.type in {BINARY, PROVENANCE}:
        return not grant.permit
    if not grant.permit:
        return grant.type in {0, record.type}
    return grant.type == record.type and not (grant.code or grant.data_from or grant.data_to or grant.meaning)


def _found(session: Session, case: Case, look: Look = Look.EXACT) -> bool:
    rows = readable(case.gate, look=look)
    return case.record.key in set(execute(session, case.gate, select(rows.c.key)).scalars())


def _try_sums(session: Session, case: Case, *, is_seen: bool) -> None:
    """Hold that sums of grants settle what they can, rightly, whoever's are looked at, and give out no more."""
    types = (_KINDS[case.record.type],)
    if not case.gate.adds_up(types):
        return
    assert not _are_sums_enough(case) or _found(session, case, Look.SURE) is is_seen, case
    for one in (None, *case.record.patients, NEIGHBOUR.patients[0]):
        rows = readable(case.gate, types, look=Look.LIKELY, of_one=one is not None)
        question = select(rows.c.settled, rows.c.content).where(rows.c.key == case.record.key)
        found = execute(session, case.gate, question, {} if one is None else {ONE_PATIENT: one}).one_or_none()
        assert found is not None or not is_seen, (case, one)
        if found is not None:
            assert is_seen or not found.settled, (case, one)
            assert (found.content is not None) is found.settled, (case, one)
        if _are_sums_enough(case) and one in {None, *case.record.patients}:
            assert (found is not None and found.settled) is (found is not None) is is_seen, (case, one)


def _are_sums_enough(case: Case) -> bool:
    """Return whether labels alone decide: one patient's record, and provisions that ask and except nothing more."""
    label, permits = case.record.label, [grant.labels for grant in case.grants if grant.permit]
    return (
        len(case.record.patients) < 2
        and all(not grant.rare and grant.confidentiality == NO_CONFIDENTIALITY for grant in case.grants)
        and all(grant.permit or grant.position == grant.ends for grant in case.grants)
        and (label & (label - 1) == 0 or all(permitted & label == label for permitted in permits))
    )


def test_what_is_known_of_a_row_is_what_was_stored(tmp_path: Path) -> None:
    store = Store(SqliteDatabases(tmp_path, tmp_path).prepared("schema", create_schema))
    for record in dict.fromkeys(case.record for case in CASES):
        with suppress(_UndoneError), store.write() as session:
            assert record_of(session, record.key) is None
            _store(session, record)
            assert record_of(session, record.key) == replace(record, meets=frozenset())
            raise _UndoneError
    store.close()


def test_a_gate_opens_nothing_that_it_was_not_told_to_open() -> None:
    assert Gate(AT) == Gate(
        AT, everything=False, own=0, actors=(), organizations=(), directory=False, purposes=0, other_purposes=(),
        action=READ, rare=True, shielded=False, emergencies=(), own_only=False, managed_types=(), reviewed_types=(),
        own_data_types=(), scopes=None,
    )  # fmt: skip
    assert Gate(0) == NOTHING
    assert Gate(AT).shape == NOTHING.shape


def test_gates_of_many_keys_have_few_shapes() -> None:
    def count(keys: int) -> int:
        return sum(name.startswith("gate_actors_") for name in Gate(AT, actors=tuple(range(keys))).parameters())

    assert [count(keys) for keys in range(6)] == [0, 1, 2, 4, 4, 8]
    assert Gate(AT, actors=(1, 2, 3)).shape == Gate(AT + 1, actors=(4, 5, 6, 7)).shape != Gate(AT, actors=(1, 2)).shape


def test_gates_of_one_shape_have_one_text() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"everything": True}, {"own": BOB}, {"actors": (DR,)}, {"actors": (DR, TEAM)}, {"organizations": (TRUST,)},
        {"organizations": (TRUST, OTHER)}, {"directory": True}, {"purposes": 3}, {"other_purposes": (77,)},
        {"action": WRITE}, {"rare": False}, {"shielded": True}, {"emergencies": (BOB,)}, {"own_only": True},
        {"managed_types": (TASK,)}, {"reviewed_types": (TASK,)}, {"own_data_types": (TASK,)}, {"scopes": ()},
        *({"scopes": (scope,)} for scope in (ScopeFilter(0, 0), ScopeFilter(TASK, 0), ScopeFilter(0, ANN))),
        {"scopes": (ScopeFilter(0, 0, HERE),)},
    )  # fmt: skip
    assert {name for change in changes for name in change} == {each.name for each in fields(Gate)} - {"at_us"}
    row, subject = tables.resource.alias(), tables.resource.alias()
    rules = replace(RULES, subject=subject)
    dialects = [url.make_url(f"{name}://").get_dialect()() for name in ("sqlite", "postgresql+psycopg")]
    texts: dict[Hashable, tuple[str, ...]] = {}

    for base in (NOTHING, READER, WRITER):
        for gate in (base, *(replace(base, **change) for change in changes)):
            predicate = gate.predicate(row, rules)
            text = tuple(str(predicate.compile(dialect=each)) for each in dialects)
            assert texts.setdefault(gate.shape, text) == text, gate
            assert texts[replace(gate, at_us=AT + 1).shape] == text, gate


def test_rows_are_of_the_types_asked_and_not_deleted(tmp_path: Path) -> None:
    kinds = ("Observation", "Task", "Patient")
    names = {key_of_reference(f"{kind}/r"): kind for kind in kinds}
    operator = Gate(AT, everything=True)
    store = Store(SqliteDatabases(tmp_path, tmp_path).prepared("schema", create_schema))

    def found(*types: str, deleted: bool = False) -> set[str]:
        keys = select(readable(operator, types, deleted=deleted).c.key)
        return {names[key] for key in execute(session, operator, keys).scalars()}

    with store.write() as session:
        for key, kind in names.items():
            put(session, replace(RESULT, key=key, type=type_key(kind)), f"{kind}/r")
        assert found() == found(*kinds) == set(kinds)
        assert (found("Task"), found("Task", "Patient")) == ({"Task"}, {"Task", "Patient"})
        row = tables.resource
        session.connection.execute(update(row).where(row.c.type == type_key("Task")).values(deleted=True))
        assert found() == {"Observation", "Patient"}
        assert (found("Task"), found("Task", deleted=True)) == (set(), {"Task"})
    store.close()


def test_a_verdict_names_the_consents_and_nodes_that_decided() -> None:
    inner = deny(consent=1, node="Consent.provision.provision[0]", position=1, ends=1, labels=2)
    ours, theirs = permit(ends=1), permit(consent=2, patient=BOB)
    yes = Vote(1, "Consent.provision", permit=True, stands=True)
    both = verdict(READER, SHARED, (theirs, ours, inner))
    assert (both.consents, set(both.votes)) == ((1, 2), {yes, yes._replace(consent=2)})
    against = verdict(READER, SHARED, (ours, theirs, deny(consent=3, patient=BOB), deny(consent=4, ends=1)))
    assert against == Verdict(
        visible=False,
        reason=against.reason,
        consents=(4,),
        votes=(yes, Vote(4, "Consent.provision", permit=False, stands=True)),
    )
    excepted = verdict(READER, RESULT, (deny(consent=1, ends=1, node="a"), permit(position=1, ends=1, node="b")))
    assert excepted.votes == (Vote(1, "a", permit=False, stands=False), Vote(1, "b", permit=True, stands=True))
    assert verdict(READER, RESULT, (permit(), permit())).votes == (yes,)
    for nested in (permit, deny):
        # Only a permit within a denial is an exception.
        two = (nested(consent=1, ends=1, node="a"), nested(consent=1, position=1, ends=1, node="b"))
        assert [vote.stands for vote in verdict(READER, RESULT, two).votes] == [True, True]


def test_what_is_not_known_of_a_record_is_nothing() -> None:
    bare = Record(OBSERVATION, (), 0, 0, 0)
    assert (bare.key, bare.released_at, bare.dates, bare.subject) == (0, 0, None, None)
    assert not any((bare.tokens, bare.references, bare.referred_by, bare.contained, bare.meets))
