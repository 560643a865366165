"""Agreement: the predicate in SQL, the verdict in memory and a walk over the Consent as written give one answer.

Three programs, none derived from another: `Gate.predicate` (SQL), `verdict` (counts votes of compiled grants) and
`_walk` here (reads the provision tree as access.md §4 says it).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fhir_server.access import labels, purposes
from fhir_server.access.consent import compile_consent
from fhir_server.access.verdict import Reason, Record, verdict
from fhir_server.access.visibility import Gate
from fhir_server.spec.values import period_interval
from fhir_server.store import grants, resources
from fhir_server.store.database import Session, Store
from fhir_server.store.grants import READ, WRITE, Grant
from fhir_server.store.keys import hash64, key_of_reference, type_key
from fhir_server.store.visibility import execute, readable
from tests.consent import generated
from tests.consent.generated import TYPES, Row
from tests.consent.storing import put
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


def _compiled(consents: list[dict[str, Any]]) -> list[Grant]:
    found: list[Grant] = []
    for number, consent in enumerate(consents):
        found += compile_consent(consent, number + 1, TYPES)
    return found


def _seen(session: Session, gate: Gate) -> set[int]:
    return set(execute(session, gate, select(readable(gate).c.key)).scalars())


@_SHARED
@given(
    consents=st.lists(generated.consents(), max_size=4),
    rows=generated.rows(6),
    gates=st.lists(generated.gates(), min_size=1, max_size=6),
)
def test_sql_and_memory_agree_on_every_caller_and_record(
    store: Store, consents: list[dict[str, Any]], rows: tuple[Row, ...], gates: list[Gate]
) -> None:
    compiled = _compiled(consents)
    with suppress(_UndoneError), store.write() as session:
        for row in rows:
            put(session, row.record, row.name)
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


@given(consent=generated.consents("Patient/p0"), rows=generated.rows(2), gate=generated.gates())
def test_compiled_grants_vote_as_the_provision_tree_says(
    consent: dict[str, Any], rows: tuple[Row, ...], gate: Gate
) -> None:
    record = replace(rows[1].record, patients=(key_of_reference("Patient/p0"),), author=0)
    caller = Gate(
        gate.at_us,
        actors=gate.actors or (1,),
        # Every caller has a purpose (`purposes.of_caller`); only staff, whom no Consent names, are drawn without.
        purposes=gate.purposes | purposes.SOME,
        other_purposes=gate.other_purposes,
        action=gate.action,
    )
    found = verdict(caller, record, compile_consent(consent, 1, TYPES))
    if rows[1].type == "Consent":
        assert not found.visible
        return
    says = _walk(consent, record, caller)
    assert found.visible is (says == "permit")
    assert (found.reason is Reason.DENIED) is (says == "deny")


def _walk(consent: dict[str, Any], record: Record, gate: Gate) -> str:
    """Return `permit`, `deny` or "": a provision within another is an exception to it, and a deny that stands wins."""
    votes = _votes(consent["provision"], {}, record, gate) if consent["status"] == "active" else []
    return "deny" if "deny" in votes else "permit" if votes else ""


def _votes(node: dict[str, Any], inherited: dict[str, Any], record: Record, gate: Gate) -> list[str]:
    own = {**inherited, **{name: value for name, value in node.items() if name != "provision"}}
    within = [vote for child in node.get("provision", ()) for vote in _votes(child, own, record, gate)]
    if not _matches(own, record, gate) or (own["type"] == "deny" and "permit" in within):
        return within
    return [own["type"], *within]


def _matches(node: dict[str, Any], record: Record, gate: Gate) -> bool:
    if "actor" in node and not any(key_of_reference(a["reference"]["reference"]) in gate.actors for a in node["actor"]):
        return False
    if "period" in node:
        interval = period_interval(node["period"])
        assert interval is not None
        if not interval[0] <= gate.at_us < interval[1]:
            return False
    if "purpose" in node and not any(_is_for(coding, gate) for coding in node["purpose"]):
        return False
    if "action" in node:
        wanted = {"access": READ, "correct": WRITE}
        if not any(wanted[each["coding"][0]["code"]] == gate.action for each in node["action"]):
            return False
    if node.get("securityLabel"):
        labelled = _labelled(node, record)
    else:
        labelled = node["type"] == "deny" or not record.label & labels.WITHHELD
    return labelled and _is_about(node, record)


def _is_for(coding: dict[str, str], gate: Gate) -> bool:
    if coding["system"] != purposes.SYSTEM:
        return purposes.key(coding["system"], coding["code"]) in gate.other_purposes
    kinds = {"TREAT": ("TREAT",), "HRESCH": ("HRESCH", "CLINTRCH")}[coding["code"]]
    return any(purposes.of_caller(kind)[0] & gate.purposes & ~purposes.SOME for kind in kinds)


_KIND_OF = {"PSY": "MH", "ETHUD": "MH", "SDV": "SEX"}
_SAME = {"mental-health": "MH", "sexual-health": "SEX"}


def _labelled(node: dict[str, Any], record: Record) -> bool:
    listed = [(coding["system"], coding["code"]) for coding in node["securityLabel"]]
    levels = [labels.LEVELS[code] for system, code in listed if system == labels.CONFIDENTIALITY]
    named = {_SAME.get(code, code) for system, code in listed if system != labels.CONFIDENTIALITY}
    every = {"general", "MH", "SEX", "social-care"} <= named
    on_it = _names(record.label)
    if node["type"] == "deny":
        hit = every and bool(on_it - {"withheld"})
        hit = hit or any(name in named or _KIND_OF.get(name) in named or name == "unknown" for name in on_it if named)
        return hit or any(record.confidentiality >= level for level in levels)
    within = not levels or record.confidentiality <= max(levels)
    if "withheld" in on_it:
        return False
    return within and (not named or every or all(name in named or _KIND_OF.get(name) in named for name in on_it))


def _names(mask: int) -> set[str]:
    """Return the labels of a record in words."""
    found = {"general": 1, "MH": 2, "SEX": 4, "social-care": 8, "withheld": labels.WITHHELD, "unknown": labels.UNKNOWN}
    found |= {code: labels.mask_of_coding(labels.ACT_CODE, code) or 0 for code in ("PSY", "ETHUD", "SDV", "GDIS")}
    return {name for name, bit in found.items() if mask & bit}


def _is_about(node: dict[str, Any], record: Record) -> bool:
    if not {"class", "code", "dataPeriod", "data"} & set(node):
        return True
    if record.type == type_key("Provenance"):
        return bool(node["type"] == "deny")
    if record.subject is not None:
        return _is_about(node, record.subject)
    if "class" in node and record.type not in {type_key(each["code"]) for each in node["class"]}:
        return False
    known = record.tokens | (record.contained if node["type"] == "deny" else frozenset())
    if "code" in node and not any(_has(coding, known) for each in node["code"] for coding in each["coding"]):
        return False
    if "dataPeriod" in node and not _in_time(node, record):
        return False
    return "data" not in node or any(_relates(each, record) for each in node["data"])


def _has(coding: dict[str, str], known: frozenset[tuple[int, int, int]]) -> bool:
    return any(
        code == hash64(coding["code"]) and ("system" not in coding or system == hash64(coding["system"]))
        for _, system, code in known
    )


def _in_time(node: dict[str, Any], record: Record) -> bool:
    interval = period_interval(node["dataPeriod"])
    assert interval is not None
    if record.dates is None:
        return node["type"] == "deny" and record.type != type_key("Patient")
    low, high = record.dates
    if node["type"] == "permit":
        return interval[0] <= low and high <= interval[1]
    return low < interval[1] and high > interval[0]


def _relates(each: dict[str, Any], record: Record) -> bool:
    aim = key_of_reference(each["reference"]["reference"])
    refers = any(target == aim for _, target in record.references)
    match each["meaning"]:
        case "instance":
            return record.key == aim
        case "dependents":
            return record.key == aim or refers
        case "related":
            return record.key == aim or refers or aim in record.referred_by
        case _:
            return record.author == aim or (generated.AUTHORED, aim) in record.references
