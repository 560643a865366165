"""The small rules of access: labels, whose a resource is, what a Consent may say, what a scope lets through."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access import labels, scopes
from fhir_server.access.consent import compile_consent, permits
from fhir_server.access.ownership import (
    APPOINTMENT_REQUEST,
    is_dead,
    linked_keys,
    own_confidentiality,
    own_label,
    patients_of,
)
from fhir_server.spec.definitions import load
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.keys import reference_key
from tests.consent.world import ANN, BOB, GP, LABEL, Json, consent, observation, ref

_BASE = "http://localhost/fhir"
_ANN, _BOB = reference_key("Patient", "ann"), reference_key("Patient", "bob")


def _labelled(*codings: tuple[str, str]) -> Json:
    return {"resourceType": "Observation", "meta": {"security": [{"system": s, "code": c} for s, c in codings]}}


@pytest.mark.parametrize(
    "codings, mask",
    [
        ((), labels.UNSET),
        (((LABEL, "general"),), labels.GENERAL),
        (((LABEL, "mental-health"),), labels.MENTAL_HEALTH),
        (((LABEL, "General"),), labels.UNSET | labels.UNKNOWN),
        ((("urn:unknown", "general"),), labels.UNSET | labels.UNKNOWN),
        (((labels.ACT_CODE, "MH"),), labels.MENTAL_HEALTH),
        (((labels.ACT_CODE, "XYZ"),), labels.UNSET | labels.UNKNOWN),
        (((LABEL, "general"), (labels.ACT_CODE, "NOPAT")), labels.GENERAL | labels.NO_DISCLOSURE_TO_PATIENT),
        (((LABEL, "mental-health"), (labels.ACT_CODE, "PSY")), labels.mask_of_coding(labels.ACT_CODE, "PSY")),
        (((LABEL, "general"), (labels.ACT_CODE, "SEX")), labels.GENERAL | labels.SEXUAL_HEALTH),
        (((labels.CONFIDENTIALITY, "R"),), labels.UNSET),
    ],
)
def test_the_senders_label_counts_and_one_that_is_not_understood_is_unset(
    codings: tuple[tuple[str, str], ...], mask: int
) -> None:
    assert own_label(_labelled(*codings), None) == mask


@pytest.mark.parametrize(
    "codes, level", [((), 3), (("U",), 0), (("N", "R"), 4), (("V",), 5), (("unknown",), 5), (("N", "nonsense"), 5)]
)
def test_the_highest_level_counts_and_an_unknown_one_is_the_highest(codes: tuple[str, ...], level: int) -> None:
    assert labels.confidentiality(_labelled(*((labels.CONFIDENTIALITY, code) for code in codes))) == level


@pytest.mark.parametrize(
    "codings, level",
    [
        (((LABEL, "general"), (LABEL, "social-care"), (labels.ACT_CODE, "GDIS")), 3),
        (((LABEL, "general"), (LABEL, "mental-health")), 4),
        (((LABEL, "social-care"), (labels.ACT_CODE, "HIV")), 4),
        (((LABEL, "general"), ("urn:of-somebody-else", "x")), 4),
        (((LABEL, "mental-health"), (labels.CONFIDENTIALITY, "N")), 3),
    ],
)
def test_without_a_level_a_resource_has_that_of_its_labels(codings: tuple[tuple[str, str], ...], level: int) -> None:
    assert labels.confidentiality(_labelled(*codings)) == level


def test_a_container_is_as_sensitive_as_what_it_contains() -> None:
    inner = {"resourceType": "Condition", "meta": _labelled((LABEL, "sexual-health"))["meta"]}
    outer = {**_labelled((LABEL, "general"), (labels.CONFIDENTIALITY, "N")), "contained": [inner]}
    assert own_label(outer, None) == labels.GENERAL | labels.SEXUAL_HEALTH
    assert own_confidentiality(outer) == 4
    inner["meta"] = _labelled((LABEL, "general"), (labels.CONFIDENTIALITY, "V"))["meta"]
    assert own_label({**_labelled((LABEL, "mental-health")), "contained": [inner]}, None) == labels.MENTAL_HEALTH
    assert own_confidentiality(outer) == 5


def test_what_tells_of_a_consent_is_beyond_every_permit_and_who_somebody_is_has_no_label() -> None:
    letter, mandate = ref("DocumentReference/d"), ref("Consent/c")
    for target in ([mandate], [letter, mandate], [ref(f"{_BASE}/Consent/c")]):
        assert own_label({"resourceType": "Provenance", "target": target}, None) & ~labels.EVERY
    for kind in ("Provenance", "Observation"):
        assert own_label({"resourceType": kind, "target": [letter, {}]}, None) == labels.UNSET
    assert own_label({"resourceType": "Observation", "target": [mandate]}, None) == labels.UNSET
    assert own_label({"resourceType": "Patient"}, None) == 0
    assert own_label({"resourceType": "Consent"}, None) == labels.GENERAL


def test_levels_ascend() -> None:
    levels = [
        labels.confidentiality(_labelled((labels.CONFIDENTIALITY, code))) for code in ("U", "L", "M", "N", "R", "V")
    ]
    assert levels == sorted(set(levels))
    assert (levels[3], levels[5]) == (labels.NORMAL, labels.HIGHEST)


def test_an_update_keeps_labels_it_says_nothing_about() -> None:
    old = _labelled((LABEL, "mental-health"), (labels.CONFIDENTIALITY, "R"))
    assert labels.kept(old, _labelled()) == old["meta"]["security"]
    assert labels.kept(old, _labelled((LABEL, "general"))) == []
    assert labels.kept(old, _labelled((labels.CONFIDENTIALITY, "V"))) == old["meta"]["security"][:1]
    withheld = _labelled((labels.ACT_CODE, "NOPAT"), ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT"))
    assert labels.kept(withheld, {"resourceType": "Observation"}) == withheld["meta"]["security"][:1]


@pytest.mark.parametrize(
    "resource, patients",
    [
        (observation(ANN), (_ANN,)),
        (observation(f"{_BASE}/{ANN}"), (_ANN,)),
        (observation(f"{ANN}/_history/1"), (_ANN,)),
        (observation("http://elsewhere/fhir/Patient/ann"), ()),
        (observation("Practitioner/ann"), ()),
        (observation(ANN, performer=[ref(BOB)]), (_ANN, _BOB)),
        (observation(ANN, performer=[ref(ANN)]), (_ANN,)),
        (observation(ANN, focus=[ref(BOB)]), (_ANN,)),
        ({**observation(ANN), "contained": [observation(BOB, "x")]}, (_ANN, _BOB)),
        ({**observation(ANN), "contained": [{"resourceType": "Patient", "id": "p"}]}, (_ANN,)),
        ({"resourceType": "Patient", "id": "ann"}, (_ANN,)),
        ({"resourceType": "Patient"}, ()),
        ({"resourceType": "Patient", "id": "ann", "link": [{"other": ref(BOB), "type": "seealso"}]}, (_ANN, _BOB)),
        ({"resourceType": "Patient", "id": "ann", "link": [{"other": ref(BOB), "type": "replaces"}]}, (_ANN,)),
        ({"resourceType": "Organization", "id": "ann"}, ()),
    ],
)
def test_a_resource_belongs_to_every_patient_of_its_compartments(resource: Json, patients: tuple[int, ...]) -> None:
    assert set(patients_of(load(), resource, _BASE)) == set(patients)


def test_only_a_task_about_an_appointment_is_of_the_patient_it_is_for() -> None:
    asked, other = {"system": APPOINTMENT_REQUEST, "code": "cancel"}, {"system": "http://x.example", "code": "cancel"}
    for kind, codings, is_of in (
        ("Task", [asked], True), ("Task", [other, asked], True), ("Task", [other], False), ("Task", [], False),
        ("Basic", [asked], False),
    ):  # fmt: skip
        body = {"resourceType": kind, "code": {"coding": codings}, "for": {"reference": "Patient/ann"}}
        expected = (_ANN,) if is_of else ()
        assert patients_of(load(), body, _BASE) == expected, (kind, codings)


def test_who_is_recorded_as_dead() -> None:
    said: tuple[Json, ...] = ({"deceasedBoolean": True}, {"deceasedDateTime": "2026"}, {"deceasedBoolean": False}, {})
    assert [is_dead({"resourceType": "Patient", **each}) for each in said] == [True, True, False, False]


def test_a_consent_permits_while_it_is_active_and_says_so_anywhere() -> None:
    nested = {"type": "deny", "provision": [{"type": "deny"}, {"type": "permit"}]}
    assert permits(consent(ANN, GP))
    assert permits({**consent(ANN, GP), "provision": nested})
    changes: tuple[Json, ...] = (
        {"status": "inactive"}, {"scope": {}}, {"provision": {"type": "deny"}}, {"provision": {}},
    )  # fmt: skip
    for change in changes:
        assert not permits({**consent(ANN, GP), **change}), change


@pytest.mark.parametrize(
    "target", ["DocumentReference/d", f"{_BASE}/DocumentReference/d", "DocumentReference/d/_history/3"]
)
def test_a_binary_and_a_provenance_point_at_what_they_share_the_verdict_of(target: str) -> None:
    key = (reference_key("DocumentReference", "d"),)
    assert linked_keys({"resourceType": "Binary", "securityContext": ref(target)}, _BASE) == key
    assert linked_keys({"resourceType": "Provenance", "target": [ref(target)]}, _BASE) == key
    assert linked_keys({"resourceType": "Observation", "securityContext": ref(target)}, _BASE) == ()
    elsewhere = {"resourceType": "Binary", "securityContext": ref("http://elsewhere/DocumentReference/d")}
    assert linked_keys(elsewhere, _BASE) == ()


TYPES = "http://hl7.org/fhir/resource-types"


def _deep(levels: int) -> dict[str, Any]:
    return {"type": "deny", "provision": [_deep(levels - 1)]} if levels > 1 else {"type": "permit"}


@pytest.mark.parametrize(
    "element, change",
    [
        ("Consent.patient.reference", {"patient": ref(f"{ANN}/_history/1")}),
        ("Consent.patient.reference", {"patient": ref(f"{_BASE}/{ANN}")}),
        ("Consent.patient.reference", {"patient": ref(GP)}),
        ("Consent.verification", {"verification": [{"verified": True}]}),
        ("Consent.modifierExtension", {"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]}),
        ("Consent.implicitRules", {"implicitRules": "urn:rules"}),
        ("Consent.provision", {"provision": {}}),
        ("Consent.provision.type", {"provision": {"actor": []}}),
        ("Consent.provision.class[0]", {"provision": {"type": "permit", "class": [{"code": "Observation"}]}}),
        (
            "Consent.provision.class[0]",
            {"provision": {"type": "permit", "class": [{"system": TYPES, "code": "Pulse"}]}},
        ),
        ("Consent.provision.class", {"provision": {"type": "permit", "class": [{"system": TYPES, "code": "Consent"}]}}),
        ("Consent.provision.code[0]", {"provision": {"type": "permit", "code": [{"text": "x"}]}}),
        ("Consent.provision.data[0].reference", {"provision": {"type": "permit", "data": [{"meaning": "instance"}]}}),
        ("Consent.provision.data[0].meaning", {"provision": {"type": "permit", "data": [{"reference": ref(ANN)}]}}),
        ("Consent.provision.dataPeriod", {"provision": {"type": "permit", "dataPeriod": {"id": "x"}}}),
        ("Consent.provision.period", {"provision": {"type": "permit", "period": {"id": "x"}}}),
        (
            "Consent.provision.action[0]",
            {"provision": {"type": "permit", "action": [{"coding": [{"code": "sell"}]}]}},
        ),
        ("Consent.provision.purpose[0]", {"provision": {"type": "permit", "purpose": [{"code": "NOSUCH"}]}}),
        (
            "Consent.provision.securityLabel[0]",
            {"provision": {"type": "deny", "securityLabel": [{"system": LABEL, "code": "secret"}]}},
        ),
        (
            "Consent.provision.actor[0].role",
            {"provision": {"type": "permit", "actor": [{"role": {"coding": [{"code": "AUT"}]}, "reference": ref(GP)}]}},
        ),
        (
            "Consent.provision.actor[0].reference",
            {
                "provision": {
                    "type": "permit",
                    "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(ANN)}],
                }
            },
        ),
        (
            "Consent.provision.modifierExtension",
            {"provision": {"type": "permit", "modifierExtension": [{"url": "urn:not"}]}},
        ),
        ("Consent.provision.provision[0].provision[0].provision[0].provision[0]", {"provision": _deep(5)}),
    ],
)
def test_what_cannot_be_enforced_is_refused_naming_the_element(element: str, change: Json) -> None:
    with pytest.raises(FhirError) as refused:
        compile_consent({**consent(ANN, GP), **change}, 1, load().resource_types)
    assert refused.value.kind is Kind.UNENFORCEABLE
    assert refused.value.status == 422
    assert refused.value.issues[0].expression == (element,)


@pytest.mark.parametrize("kind", ["permit", "deny"])
def test_all_four_labels_together_are_every_label(kind: str) -> None:
    (grant,) = compile_consent(consent(ANN, GP, labels=tuple(labels.BY_CODE), type=kind), 1, load().resource_types)
    further = labels.mask_of_coding(labels.ACT_CODE, "GDIS") or 0
    for mask in (*labels.BY_CODE.values(), further, labels.UNSET | labels.UNKNOWN):
        assert grant.labels & mask == mask
    assert not grant.labels & labels.WITHHELD


@pytest.mark.parametrize("change", [{"status": "inactive"}, {"scope": {"coding": [{"code": "research"}]}}])
def test_a_consent_that_is_not_in_force_or_not_about_privacy_grants_nothing(change: Json) -> None:
    assert compile_consent({**consent(ANN, GP), **change}, 1, load().resource_types) == ()


@pytest.mark.parametrize(
    "text, right, kind, allowed",
    [
        ("patient/Observation.rs", "r", "Observation", True),
        ("patient/Observation.rs", "c", "Observation", False),
        ("patient/Observation.rs", "r", "Patient", False),
        ("patient/*.read", "s", "Encounter", True),
        ("patient/*.read", "u", "Encounter", False),
        ("user/Encounter.write", "d", "Encounter", True),
        ("user/Encounter.write", "r", "Encounter", False),
        ("system/*.*", "c", "Patient", True),
        ("patient/Observation.sr", "r", "Observation", False),
        ("patient/Observation.", "r", "Observation", False),
        ("patient/Observation.rs?category=x|y", "r", "Observation", True),
        ("Patient/Observation.rs", "r", "Observation", False),
        ("launch openid fhirUser offline_access", "r", "Patient", False),
        ("", "r", "Patient", False),
    ],
)
def test_scopes_of_both_versions_give_what_they_say_and_nothing_else(
    text: str, right: str, kind: str, *, allowed: bool
) -> None:
    assert scopes.parse(text).allows(right, kind) is allowed
