"""The permission matrix: kind of caller by right by class of type, every cell."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fhir_server.access import policy, scopes
from fhir_server.access.principal import Caller, Principal

_CLASSES = {
    "person": "Patient",
    "clinical": "Condition",
    "own measurement": "Observation",
    "rules": "Consent",
    "log": "AuditEvent",
    "review": "Task",
    "staff directory": "PractitionerRole",
    "organisation": "Organization",
    "conformance": "CodeSystem",
}
_MATRIX = {
    # caller, role           person clinical measurement rules log  review staff organisation conformance
    ("patient", ""):        "r      ru       crud        crud  r    r      r     r            r",
    ("related", ""):        "r      ru       crud        crud  r    r      r     r            r",
    ("device", ""):         "r      r        r           r     r    r      r     r            r",
    ("professional", ""):   "r      crud     crud        r     r    r      r     r            r",
    ("organization", ""):   "crud   crud     crud        r     r    r      crud  r            r",
    ("operator", ""):       "crud   crud     crud        crud  r    crud   crud  crud         crud",
    ("staff", "coordinator"): "crud r        r           r     r    r      r     r            r",
    ("staff", "privacy-officer"): "r r       r           r     r    r      r     r            r",
    ("staff", "service-desk"): "r   r        r           r     r    r      r     r            r",
    ("staff", ""):          "r      r        r           r     r    r      r     r            r",
}  # fmt: skip


def _principal(caller: str, role: str) -> Principal:
    return Principal(
        caller=Caller(caller), subject="", actors=(), organizations=(), organization="", scopes=scopes.EVERYTHING,
        patient="", purpose="TREAT", client_id="", role=role, name="", trusted=False, may_break_glass=False,
        auth_time=datetime(2026, 1, 1, tzinfo=UTC), session_id="",
    )  # fmt: skip


@pytest.mark.parametrize("who", sorted(_MATRIX))
@pytest.mark.parametrize("kind", sorted(_CLASSES))
@pytest.mark.parametrize("right", "crud")
def test_each_cell_of_the_matrix(who: tuple[str, str], kind: str, right: str) -> None:
    cells = dict(zip(_CLASSES, _MATRIX[who].split(), strict=True))
    assert policy.may(_principal(*who), right, _CLASSES[kind]) is (right in cells[kind])


@pytest.mark.parametrize("caller", ["patient", "related"])
@pytest.mark.parametrize("kind", sorted(_CLASSES.values()))
def test_what_family_may_update_without_writing_it_is_its_label(caller: str, kind: str) -> None:
    who = _principal(caller, "")
    assert policy.writes(who, kind) is (kind in {"Observation", "Consent"})
    assert policy.may(who, "u", kind) is (kind in {"Observation", "Consent", "Condition"})


@pytest.mark.parametrize("who", sorted(_MATRIX))
def test_only_feeds_and_the_operator_choose_ids(who: tuple[str, str]) -> None:
    assert policy.chooses_ids(_principal(*who)) is (who[0] in {"organization", "operator"})
    assert policy.deletes_several(_principal(*who)) is (who[0] in {"organization", "operator"})
    assert policy.matches_everyone(_principal(*who)) is (who in {("organization", ""), ("staff", "coordinator")})
