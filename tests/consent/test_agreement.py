"""Agreement: the predicate in SQL, the verdict in memory and a walk over the Consent as written give one answer.

Three programs, none derived from another: `Gate.predicate` (SQL), `verdict` (counts votes of compiled grants) and
`_walk` here (reads the provision tree as access.md §4 says it).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fhir_server.access import labels
from fhir_server.access.consent import PURPOSE_BITS, compile_consent
from fhir_server.access.verdict import Reason, Record, verdict
from fhir_server.access.visibility import Gate
from fhir_server.spec.values import period_interval
from fhir_server.store import grants, resources
from fhir_server.store.database import Session, Store
from fhir_server.store.grants import Grant
from fhir_server.store.keys import key_of_reference
from fhir_server.store.resources import NewVersion
from fhir_server.store.visibility import execute, readable
from tests.consent import generated
from tests.consent.generated import Row
from tests.databases import Databases
from tests.server import create_schema

_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class _UndoneError(Exception):
    """Takes a world back, so that the next finds the store empty."""


@pytest.fixture
def store(databases: Databases) -> Iterator[Store]:
    made = Store(databases.prepared("schema", create_schema))
    yield made
    made.close()


def _put(session: Session, row: Row) -> None:
    key = key_of_reference(row.name)
    tokens = [
        {"key": key, "param": param, "patient": 0, "item": 0, "code": code, "system": system, "head": ""}
        for param, system, code in row.record.tokens
    ]
    resources.put(
        session,
        NewVersion(
            key=key,
            type=row.type,
            id=row.name.partition("/")[2],
            version=1,
            updated_at=1,
            content=b"{}",
            patients=row.record.patients,
            label=row.record.label,
            confidentiality=row.record.confidentiality,
            author=row.record.author,
            index={"index_token": tokens},
        ),
    )


def _compiled(consents: list[dict[str, Any]]) -> list[Grant]:
    found: list[Grant] = []
    for number, consent in enumerate(consents):
        found += compile_consent(consent, number + 1)
    return found


def _seen(session: Session, gate: Gate) -> set[int]:
    return set(execute(session, gate, select(readable(gate).c.key)).scalars())


@_SHARED
@given(
    consents=st.lists(generated.consents(), max_size=4),
    rows=st.tuples(*(generated.rows(number) for number in range(6))),
    gates=st.lists(generated.gates(), min_size=1, max_size=6),
)
def test_sql_and_memory_agree_on_every_caller_and_record(
    store: Store, consents: list[dict[str, Any]], rows: tuple[Row, ...], gates: list[Gate]
) -> None:
    compiled = _compiled(consents)
    with suppress(_UndoneError), store.write() as session:
        for row in rows:
            _put(session, row)
        for number in range(len(consents)):
            grants.replace(session, number + 1, [grant for grant in compiled if grant.consent == number + 1])
        for gate in gates:
            _compare(session, gate, rows, compiled)
        raise _UndoneError


def _compare(session: Session, gate: Gate, rows: tuple[Row, ...], compiled: list[Grant]) -> None:
    seen = _seen(session, gate)
    for row in rows:
        expected = verdict(gate, row.record, compiled)
        key = key_of_reference(row.name)
        assert (key in seen) is expected.visible, (gate, row, expected)
        got = resources.get(session, gate, row.type, row.name.partition("/")[2])
        assert (got is not None) is expected.visible, (gate, row, expected)
        assert resources.outside(session, gate, [key]) == (0 if expected.visible else 1)


@given(consent=generated.consents("Patient/p0"), row=generated.rows(0), gate=generated.gates())
def test_compiled_grants_vote_as_the_provision_tree_says(consent: dict[str, Any], row: Row, gate: Gate) -> None:
    record = Record(row.record.type, (key_of_reference("Patient/p0"),), row.record.label, row.record.confidentiality, 0)
    caller = Gate(gate.at_us, actors=gate.actors or (1,), purposes=gate.purposes)
    found = verdict(caller, record, compile_consent(consent, 1))
    if row.type == "Consent":
        assert not found.visible
        return
    says = _walk(consent, record, caller)
    assert found.visible is (says == "permit")
    assert (found.reason is Reason.DENIED) is (says == "deny")


def _walk(consent: dict[str, Any], record: Record, gate: Gate) -> str:
    """Return `permit`, `deny` or "" as access.md §4.4 has it."""
    if consent["status"] != "active":
        return ""
    root = consent["provision"]
    hits = {0: [], 1: []}  # type: dict[int, list[str]]
    if _matches(root, record, gate):
        hits[0].append(root["type"])
    for child in root.get("provision", ()):
        inherited = {name: value for name, value in root.items() if name not in {"type", "provision"}}
        if _matches({**inherited, **child}, record, gate):
            hits[1].append(child["type"])
    deepest = hits[1] or hits[0]
    return "deny" if "deny" in deepest else "permit" if deepest else ""


def _matches(node: dict[str, Any], record: Record, gate: Gate) -> bool:
    if "actor" in node and not any(key_of_reference(a["reference"]["reference"]) in gate.actors for a in node["actor"]):
        return False
    if "period" in node:
        interval = period_interval(node["period"])
        assert interval is not None
        if not interval[0] <= gate.at_us < interval[1]:
            return False
    purposes = node.get("purpose") or [{"code": code} for code in PURPOSE_BITS]
    if not any(PURPOSE_BITS[coding["code"]] & gate.purposes for coding in purposes):
        return False
    if not node.get("securityLabel"):
        return node["type"] == "deny" or not record.label & ~labels.EVERY
    return _labelled(node, record)


def _labelled(node: dict[str, Any], record: Record) -> bool:
    listed = [(coding["system"], coding["code"]) for coding in node["securityLabel"]]
    levels = [labels.LEVELS[code] for system, code in listed if system == labels.CONFIDENTIALITY]
    masks = [labels.mask_of_coding(system, code) or 0 for system, code in listed if system != labels.CONFIDENTIALITY]
    bits = [bit for bit in (1, 2, 4, 8, 128) if record.label & bit]
    if node["type"] == "deny":
        return any(bit & mask for bit in bits for mask in masks) or any(
            record.confidentiality >= level for level in levels
        )
    within = not levels or record.confidentiality <= max(levels)
    allowed = masks or [labels.EVERY]
    return within and all(any(bit & mask for mask in allowed) for bit in bits)
