"""What becomes of the labels on a record: chosen by its patient, written by its owner, written by anybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access import labels
from fhir_server.access.relabelling import by_author, by_owner, is_chosen, may_choose, reach, relabelled
from fhir_server.access.visibility import Gate
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import grants
from fhir_server.store.database import Store
from fhir_server.store.keys import type_key
from tests.access.gate_cases import ANN, AT, BOB, CARER, CONSENT, OWN_WRITER, TASK, only, permit
from tests.databases import SqliteDatabases
from tests.server import create_schema

Names = Sequence[str]
_SYSTEMS = {
    "level": labels.CONFIDENTIALITY,
    "act": labels.ACT_CODE,
    "reason": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "label": labels.SYSTEM,
}


def _record(names: Names, **more: Any) -> dict[str, Any]:
    """Return a record with these codings: `general` is one of our labels, `act:MH` a standard one, `*` is chosen."""
    security = []
    for name in names:
        system, _, code = name.rstrip("*").rpartition(":")
        chosen = {"userSelected": True} if name.endswith("*") else {}
        security.append({"system": _SYSTEMS[system or "label"], "code": code, **chosen})
    meta = {**more.pop("meta", {}), **({"security": security} if security else {})}
    return {"resourceType": "Observation", **({"meta": meta} if meta else {}), **more}


def _names(resource: dict[str, Any]) -> list[str]:
    short = {system: "" if name == "label" else f"{name}:" for name, system in _SYSTEMS.items()}
    return sorted(
        f"{short[each['system']]}{each['code']}{'*' if each.get('userSelected') else ''}"
        for each in resource.get("meta", {}).get("security", ())
    )


_MENTAL = ("mental-health*", "level:R", "act:MH")
_CHOICES: tuple[tuple[Names, Names, Names | Kind], ...] = (
    (("general", "level:N"), ("mental-health",), _MENTAL),
    (("general", "level:N"), ("general", "mental-health"), _MENTAL),
    (("general", "level:N"), ("mental-health", "level:R", "act:MH"), _MENTAL),
    (("general", "level:N"), ("mental-health", "level:N"), _MENTAL),
    ((), ("mental-health",), _MENTAL),
    (_MENTAL, ("general*",), ("general*", "level:N")),
    (("mental-health", "level:R", "act:PSY"), ("mental-health", "level:R", "act:PSY"),
     ("mental-health*", "level:R", "act:PSY")),
    (("mental-health", "level:R", "reason:TREAT"), ("mental-health", "level:R", "reason:TREAT"),
     ("mental-health*", "level:R", "reason:TREAT")),
    (("mental-health", "level:R", "act:PSY"), ("mental-health",), (*_MENTAL, "act:PSY")),
    (("mental-health", "level:R", "act:MH"), ("mental-health",), _MENTAL),
    (("mental-health", "level:R", "act:PSY"), ("sexual-health",), ("sexual-health*", "level:R", "act:SEX")),
    (("mental-health", "level:V", "act:MH"), ("general",), ("general*", "level:V")),
    (("general", "level:N", "act:NOPAT"), ("mental-health", "act:NOPAT"), (*_MENTAL, "act:NOPAT")),
    (("general", "reason:TREAT"), ("mental-health", "reason:TREAT"), (*_MENTAL, "reason:TREAT")),
    (("general", "act:NOPAT"), ("mental-health",), Kind.FORBIDDEN),
    (("general",), ("mental-health", "act:NOPAT"), Kind.FORBIDDEN),
    (("general",), ("mental-health", "act:PSY"), Kind.FORBIDDEN),
    (("general",), ("mental-health", "level:V"), Kind.FORBIDDEN),
    (("general",), ("general", "level:N"), ("general*", "level:N")),
    (("general",), (), Kind.INVALID_CONTENT),
    (("general",), ("secret",), Kind.INVALID_CONTENT),
    (("general",), ("sexual-health", "mental-health"), Kind.INVALID_CONTENT),
    (("general",), ("general", "sexual-health", "mental-health"), Kind.INVALID_CONTENT),
    (("general", "social-care"), ("general", "social-care"), Kind.INVALID_CONTENT),
)  # fmt: skip


def test_a_choice_brings_the_standard_codings_in_step_and_changes_nothing_else() -> None:
    for old, wanted, expected in _CHOICES:
        if not isinstance(expected, Kind):
            assert _names(relabelled(_record(old), _record(wanted))) == sorted(expected), (old, wanted)
            continue
        with pytest.raises(FhirError) as refused:
            relabelled(_record(old), _record(wanted))
        assert (refused.value.kind, refused.value.issues[0].expression) == (expected, ("Observation.meta.security",)), (
            old,
            wanted,
        )


def test_versions_are_the_servers_and_whatever_else_differs_is_refused() -> None:
    old = _record(("general",), status="final", meta={"versionId": "1", "lastUpdated": "then", "profile": ["urn:p"]})
    wanted = _record(("mental-health",), status="final", meta={"versionId": "7", "profile": ["urn:p"]})
    made = relabelled(old, wanted)
    assert {**made, "meta": {**made["meta"], "security": []}} == {**old, "meta": {**old["meta"], "security": []}}
    for other in ({**wanted, "status": "amended"}, {**wanted, "meta": {**wanted["meta"], "profile": []}}):
        with pytest.raises(FhirError) as refused:
            relabelled(old, other)
        assert refused.value.kind is Kind.FORBIDDEN


_WRITTEN_BY_OWNER: tuple[tuple[Names | None, Names, Names], ...] = (
    (None, (), ()),
    (None, ("mental-health",), _MENTAL),
    (None, ("mental-health*", "act:PSY", "act:HIV", "level:N"), (*_MENTAL, "act:PSY")),
    (None, ("general", "reason:TREAT", "act:NOPAT"), ("general*", "level:N", "reason:TREAT", "act:NOPAT")),
    (None, ("general*", "mental-health*", "act:MH*"), ("general", "mental-health", "act:MH*")),
    (None, ("secret",), ("secret*",)),
    (_MENTAL, (), _MENTAL),
    (_MENTAL, ("general",), ("general*", "level:N")),
    (_MENTAL, ("reason:TREAT",), (*_MENTAL, "reason:TREAT")),
)
_WRITTEN_BY_ANOTHER: tuple[tuple[Names | None, Names, Names], ...] = (
    (None, (), ()),
    (None, ("mental-health*", "level:R", "act:MH*"), ("mental-health", "level:R", "act:MH*")),
    (("mental-health", "level:R"), (), ("mental-health", "level:R")),
    (("mental-health", "level:R"), ("general*",), ("general",)),
    ((*_MENTAL, "reason:TREAT"), ("general", "level:N"), _MENTAL),
    (_MENTAL, ("general*", "reason:TREAT"), (*_MENTAL, "reason:TREAT")),
    ((*_MENTAL, "act:NOPAT"), (), (*_MENTAL, "act:NOPAT")),
    ((*_MENTAL, "act:NOPAT"), ("general",), _MENTAL),
    ((*_MENTAL, "act:NOPAT"), ("act:NOPAT",), (*_MENTAL, "act:NOPAT")),
    (_MENTAL, ("act:NOPAT",), (*_MENTAL, "act:NOPAT")),
)


def test_an_owner_chooses_by_writing_and_nobody_else_makes_or_undoes_a_choice() -> None:
    for way, rows in ((by_owner, _WRITTEN_BY_OWNER), (by_author, _WRITTEN_BY_ANOTHER)):
        for old, new, expected in rows:
            made = way(None if old is None else _record(old), _record(new, status="final", meta={"source": "urn:s"}))
            assert _names(made) == sorted(expected), (way, old, new)
            assert (made["status"], made["meta"]["source"]) == ("final", "urn:s")
    assert by_author(None, _record(())) == by_owner(None, _record(())) == {"resourceType": "Observation"}
    found = [is_chosen(_record(names)) for names in (_MENTAL, ("general", "mental-health*"), ("general", "act:MH*"))]
    assert found == [True, True, False]


def test_directory_own_data_review_and_emergencies_are_no_record_of_a_patient() -> None:
    rights: dict[str, Any] = {"actors": (CARER,), "own": ANN, "purposes": 1, "shielded": True}
    whole = Gate(
        AT,
        **rights,
        directory=True,
        organizations=(1,),
        own_data_types=(2,),
        reviewed_types=(TASK,),
        emergencies=(BOB,),
    )
    assert reach(whole) == Gate(AT, **rights)


def test_whoever_could_write_a_consent_for_all_patients_chooses(tmp_path: Path) -> None:
    carer = replace(OWN_WRITER, own=0, actors=(CARER,), organizations=(CARER,))
    mandate = only(actor=CARER, type=CONSENT, labels=labels.EVERY)
    rows: tuple[tuple[Gate, tuple[int, ...], bool], ...] = (
        (OWN_WRITER, (ANN,), True),
        (OWN_WRITER, (), False),
        (OWN_WRITER, (BOB,), False),
        (OWN_WRITER, (ANN, BOB), False),
        (replace(OWN_WRITER, managed_types=()), (ANN,), False),
        (replace(OWN_WRITER, managed_types=(type_key("Observation"),)), (ANN,), False),
        (Gate(AT, everything=True), (ANN,), False),
        (carer, (ANN,), True),
        (carer, (BOB,), False),
        (carer, (ANN, BOB), False),
    )
    store = Store(SqliteDatabases(tmp_path, tmp_path).prepared("schema", create_schema))
    with store.write() as session:
        grants.replace(session, mandate.consent, [mandate])
        grants.replace(session, 2, [permit(consent=2, actor=CARER, patient=BOB, labels=labels.EVERY)])
        for gate, patients, expected in rows:
            assert may_choose(session, gate, patients) is expected, (gate, patients)
    store.close()
