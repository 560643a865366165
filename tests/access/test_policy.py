"""The permission matrix: kind of caller by right by type of resource, every cell."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fhir_server.access import policy, scopes
from fhir_server.access.principal import Caller, Principal
from fhir_server.spec.definitions import load

_CLASSES = {
    "person": ("Patient",),
    "clinical": (),
    "of the patient": (
        "Observation", "DocumentReference", "Binary", "QuestionnaireResponse", "Appointment", "Communication",
    ),
    "rules": ("Consent",),
    "log": ("AuditEvent",),
    "review": ("Task",),
    "team": ("CareTeam", "Group"),
    "origin": ("Provenance",),
    "staff directory": ("Practitioner", "PractitionerRole", "Location", "HealthcareService"),
    "organisation": ("Organization", "OrganizationAffiliation", "Endpoint"),
    "conformance": (
        "CapabilityStatement", "CodeSystem", "CompartmentDefinition", "ConceptMap", "GraphDefinition",
        "ImplementationGuide", "MessageDefinition", "NamingSystem", "OperationDefinition", "SearchParameter",
        "StructureDefinition", "StructureMap", "TerminologyCapabilities", "ValueSet", "TestScript", "TestReport",
    ),
    "no record": ("Parameters", "Bundle", "Subscription", "OperationOutcome"),
}  # fmt: skip
"""Every type of R4; what stands nowhere is clinical."""
_MATRIX = {
    # caller, role           person clinical ofpatient rules log review team origin staff organ conform no-record
    ("patient", ""):        "r      ru       crud      crud  r   r      ru   r      r     r     r       r",
    ("related", ""):        "r      ru       crud      crud  r   r      ru   r      r     r     r       r",
    ("device", ""):         "r      r        r         r     r   r      r    r      r     r     r       r",
    ("professional", ""):   "r      crud     crud      r     r   r      r    crud   r     r     r       r",
    ("organization", ""):   "crud   crud     crud      r     r   r      crud crud   crud  r     r       r",
    ("operator", ""):       "crud   crud     crud      crud  r   crud   crud crud   crud  crud  crud    crud",
    ("staff", "coordinator"): "crud r        r         r     r   r      r    r      r     r     r       r",
    ("staff", "privacy-officer"): "r r       r         r     r   r      r    r      r     r     r       r",
    ("staff", "service-desk"): "r   r        r         r     r   r      r    r      r     r     r       r",
    ("staff", ""):          "r      r        r         r     r   r      r    r      r     r     r       r",
}  # fmt: skip


def _class_of(kind: str) -> str:
    return next((name for name, kinds in _CLASSES.items() if kind in kinds), "clinical")


def _principal(caller: str, role: str) -> Principal:
    return Principal(
        caller=Caller(caller), subject="", actors=(), organizations=(), organization="", scopes=scopes.EVERYTHING,
        patient="", purpose="TREAT", client_id="", role=role, name="", trusted=False, may_break_glass=False,
        auth_time=datetime(2026, 1, 1, tzinfo=UTC), session_id="",
    )  # fmt: skip


@pytest.mark.parametrize("who", sorted(_MATRIX))
def test_each_cell_of_the_matrix(who: tuple[str, str]) -> None:
    cells = dict(zip(_CLASSES, _MATRIX[who].split(), strict=True))
    for kind in load().resource_types:
        found = "".join(right for right in "crud" if policy.may(_principal(*who), right, kind))
        assert found == cells[_class_of(kind)], kind


@pytest.mark.parametrize("caller", ["patient", "related"])
def test_what_family_may_update_without_writing_it_is_its_label(caller: str) -> None:
    who = _principal(caller, "")
    for kind in load().resource_types:
        is_theirs = _class_of(kind) in {"of the patient", "rules"}
        assert policy.writes(who, kind) is is_theirs, kind
        assert policy.may(who, "u", kind) is (is_theirs or policy.relabels(who, kind)), kind
        has_label = _class_of(kind) in {"of the patient", "clinical", "team"} and kind != "Binary"
        assert policy.relabels(who, kind) is has_label, kind


@pytest.mark.parametrize("who", sorted(_MATRIX))
def test_only_feeds_and_the_operator_choose_ids(who: tuple[str, str]) -> None:
    assert policy.chooses_ids(_principal(*who)) is (who[0] in {"organization", "operator"})
    assert policy.deletes_several(_principal(*who)) is (who[0] in {"organization", "operator"})
    assert policy.matches_everyone(_principal(*who)) is (who in {("organization", ""), ("staff", "coordinator")})
