"""What a Consent compiles to: how large it may be, and how many rows it makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.access import labels, purposes
from fhir_server.access.consent import NO_CONFIDENTIALITY, POLICY_DENY, compile_consent
from fhir_server.spec.definitions import load
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import period_interval
from fhir_server.store.grants import INSTANCE, READ, WRITE, Grant
from fhir_server.store.instants import to_us
from fhir_server.store.keys import hash64, key_of_reference, type_key
from tests.consent.world import ANN, GP, PRACTICE, TRUST, Json, consent, ref

_TYPES = "http://hl7.org/fhir/resource-types"
_PERMIT: Json = {"type": "permit"}


def _compiled(body: Json) -> tuple[Grant, ...]:
    return compile_consent(body, 7, load().resource_types)


def _refused(body: Json) -> str:
    with pytest.raises(FhirError) as refused:
        _compiled(body)
    assert refused.value.kind is Kind.UNENFORCEABLE
    return str(refused.value.issues[0].expression[0])


def _coded(count: int) -> list[Json]:
    return [{"coding": [{"code": f"c{number}"} for number in range(count)]}]


def test_a_consent_has_at_most_fifty_provisions() -> None:
    assert len(_compiled(consent(ANN, GP, provision=[_PERMIT] * 49))) == 50
    assert _refused(consent(ANN, GP, provision=[_PERMIT] * 50)) == "Consent.provision.provision[49]"


def test_provisions_stand_four_levels_deep_and_no_deeper() -> None:
    four: Json = {**_PERMIT, "provision": [{**_PERMIT, "provision": [_PERMIT]}]}
    assert [(each.position, each.ends) for each in _compiled(consent(ANN, GP, provision=[four]))] == [
        (0, 3), (1, 3), (2, 3), (3, 3),
    ]  # fmt: skip
    five = {**_PERMIT, "provision": [four]}
    assert _refused(consent(ANN, GP, provision=[five])).count("provision") == 5


def test_combinations_of_values_are_limited_to_two_thousand_rows() -> None:
    two = (GP, PRACTICE)
    assert len(_compiled(consent(ANN, *two, code=_coded(1_000)))) == 2_000
    assert _refused(consent(ANN, *two, TRUST, code=_coded(667))) == "Consent.provision"
    assert _refused(consent(ANN, *two, code=_coded(1_001))) == "Consent.provision"
    halves = [{**_PERMIT, "code": _coded(1_001)}]
    assert _refused(consent(ANN, GP, code=_coded(1_000), provision=halves)) == "Consent.provision"


@pytest.mark.parametrize(
    "criteria",
    [
        {"class": [{"system": _TYPES, "code": "Observation"}]},
        {"code": _coded(1)},
        {"dataPeriod": {"start": "2026"}},
        {"data": [{"meaning": "instance", "reference": ref("Observation/o")}]},
    ],
)
def test_a_criterion_on_content_is_looked_at_and_others_are_not(criteria: dict[str, Any]) -> None:
    assert [each.rare for each in _compiled(consent(ANN, GP))] == [False]
    assert [each.rare for each in _compiled(consent(ANN, GP, **criteria))] == [True]
    nested = consent(ANN, GP, provision=[{"type": "deny", **criteria}])
    assert [each.rare for each in _compiled(nested)] == [False, True]


def test_what_is_not_named_is_anything() -> None:
    (grant,) = _compiled(consent(ANN, labels=()))
    assert (grant.actor, grant.type, grant.code, grant.system, grant.meaning, grant.target) == (0, 0, 0, 0, 0, 0)
    assert (grant.data_from, grant.data_to) == (None, None)
    assert (grant.purposes, grant.purpose, grant.actions) == (purposes.SOME, 0, READ | WRITE)
    assert (grant.labels, grant.confidentiality) == (labels.EVERY, NO_CONFIDENTIALITY)
    assert NO_CONFIDENTIALITY > labels.HIGHEST


def test_each_value_is_a_row() -> None:
    data = [{"meaning": "instance", "reference": ref("Observation/o")}]
    kinds: Json = {"class": [{"system": _TYPES, "code": code} for code in ("Observation", "Condition")]}
    project = {"system": "http://project", "code": "study"}
    treat = {"system": purposes.SYSTEM, "code": "TREAT"}
    coded = [{"coding": [{"system": "http://loinc.org", "code": "X-1"}]}]
    found = _compiled(consent(ANN, GP, TRUST, purpose=[treat, project], data=data, code=coded, **kinds))
    assert len(found) == 8
    assert {each.actor for each in found} == {key_of_reference(GP), key_of_reference(TRUST)}
    assert {each.type for each in found} == {type_key("Observation"), type_key("Condition")}
    assert {(each.code, each.system) for each in found} == {(hash64("x-1"), hash64("http://loinc.org"))}
    assert {(each.meaning, each.target) for each in found} == {(INSTANCE, key_of_reference("Observation/o"))}
    assert {(each.purposes, each.purpose) for each in found} == {
        (purposes.covered_by("TREAT"), 0), (0, purposes.key("http://project", "study")),
    }  # fmt: skip


def test_a_purpose_of_another_system_alone_is_the_only_one() -> None:
    (grant,) = _compiled(consent(ANN, GP, purpose=[{"system": "http://project", "code": "study"}]))
    assert (grant.purposes, grant.purpose) == (0, purposes.key("http://project", "study"))


_RULES: Json = {"class": [{"system": _TYPES, "code": "Consent"}]}


@pytest.mark.parametrize(
    "body",
    [
        consent(ANN, GP, **_RULES),
        consent(ANN, "RelatedPerson/carer", GP, **_RULES),
        consent(ANN, **_RULES),
        consent(ANN, "RelatedPerson/carer", **_RULES, provision=[{**_PERMIT, "code": _coded(1)}]),
    ],
)
def test_only_relatives_named_by_the_provision_itself_are_permitted_consents(body: Json) -> None:
    assert _refused(body).endswith(".class")


def test_consents_are_permitted_to_relatives_and_denied_to_anybody() -> None:
    assert len(_compiled(consent(ANN, "RelatedPerson/carer", **_RULES))) == 1
    assert len(_compiled(consent(ANN, GP, type="deny", **_RULES))) == 1


def test_of_several_confidentialities_a_permit_reaches_the_highest_and_a_deny_starts_at_the_lowest() -> None:
    named = [{"system": labels.CONFIDENTIALITY, "code": code} for code in ("N", "V", "L")]
    (permit,) = _compiled(consent(ANN, GP, labels=(), securityLabel=named))
    assert (permit.labels, permit.confidentiality) == (labels.EVERY, labels.LEVELS["V"])
    (deny,) = _compiled(consent(ANN, GP, labels=(), type="deny", securityLabel=named))
    assert (deny.labels, deny.confidentiality) == (0, labels.LEVELS["L"])


@pytest.mark.parametrize(
    "policy",
    [
        {"policy": [{"uri": "http://other"}, {"uri": POLICY_DENY}]},
        {"policyRule": {"text": POLICY_DENY}},
        {"policyRule": {"coding": [{"code": POLICY_DENY}]}},
        {"policyRule": {"coding": [dict(zip(("system", "code"), POLICY_DENY.rsplit("/", 1), strict=True))]}},
    ],
)
def test_the_policy_that_disables_sharing_is_found_wherever_it_may_stand(policy: Json) -> None:
    body = {name: value for name, value in consent(ANN, GP).items() if name not in {"policy", "policyRule"}}
    *_, block = _compiled(body | policy)
    assert (block.blocks_emergency, block.permit, block.position, block.ends) == (True, False, -1, -1)
    assert (block.labels, block.actions, block.purposes, block.patient) == (0, 0, 0, key_of_reference(ANN))
    assert not any(each.blocks_emergency for each in _compiled(body | {"policyRule": {"text": "OPTIN"}}))


def test_periods_of_the_consent_and_of_the_data_are_those_stated() -> None:
    stated: Json = {"period": {"start": "2026-01-01T00:00:00Z"}, "dataPeriod": {"end": "2025-12-31T23:59:59Z"}}
    (grant,) = _compiled(consent(ANN, GP, **stated))
    assert (grant.valid_from, grant.valid_to) == period_interval(stated["period"])
    assert (grant.data_from, grant.data_to) == period_interval(stated["dataPeriod"])
    (always,) = _compiled(consent(ANN, GP))
    assert always.valid_from < to_us(datetime.min.replace(tzinfo=UTC))
    assert always.valid_to > to_us(datetime.max.replace(tzinfo=UTC))


def test_labels_reach_their_finer_codes_and_a_deny_what_is_not_understood() -> None:
    named = labels.covered_by(labels.SYSTEM, "mental-health")
    (permit,) = _compiled(consent(ANN, GP, labels=("mental-health",)))
    assert (permit.labels, permit.confidentiality) == (named | labels.NO_DISCLOSURE_TO_PATIENT, NO_CONFIDENTIALITY)
    (deny,) = _compiled(consent(ANN, GP, labels=("mental-health",), type="deny"))
    assert (deny.labels, deny.confidentiality) == (named | labels.UNKNOWN, NO_CONFIDENTIALITY)
    (all_four,) = _compiled(consent(ANN, GP, labels=tuple(labels.BY_CODE), type="deny"))
    assert all_four.labels | labels.NO_DISCLOSURE_TO_PATIENT == labels.EVERY != all_four.labels
    (everything,) = _compiled(consent(ANN, GP, labels=(), type="deny"))
    assert (everything.labels, everything.confidentiality) == (labels.EVERY, 0)


_MODIFIER = {"modifierExtension": [{"url": "urn:not"}]}
_ACTOR = {"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(GP)}
_DATUM = {"meaning": "instance", "reference": ref("Observation/o")}
_LEVEL = {"system": labels.CONFIDENTIALITY, "code": "SECRET"}


@pytest.mark.parametrize(
    "element, criteria",
    [
        ("actor[0].modifierExtension", {"actor": [_ACTOR | _MODIFIER]}),
        ("data[0].modifierExtension", {"data": [_DATUM | _MODIFIER]}),
        ("securityLabel[0]", {"securityLabel": [_LEVEL]}),
        ("purpose[0]", {"purpose": [{"system": "http://project"}]}),
        ("code[0]", {"code": [{"coding": [{"code": "a"}, {"system": "http://loinc.org"}]}]}),
        ("code[0]", {"code": [{"text": "haemoglobin"}]}),
        *(
            (f"{name}[0].reference", {name: [known | {"reference": ref(wrong)}]})
            for name, known in (("actor", _ACTOR), ("data", _DATUM))
            for wrong in ("", "/gp", "Practitioner/", "Practitioner/gp/_history/1", "Practitioner")
        ),
        ("actor[0].reference", {"actor": [_ACTOR | {"reference": ref("Patient/bob")}]}),
    ],
)
def test_a_criterion_that_is_not_understood_is_refused_where_it_stands(element: str, criteria: Json) -> None:
    body = consent(ANN, GP)
    body["provision"] |= criteria
    assert _refused(body) == f"Consent.provision.{element}"


def test_a_reference_that_is_refused_is_told_what_may_stand_there() -> None:
    for name, known, allowed in (("actor", _ACTOR, "one of Practitioner, "), ("data", _DATUM, "as Type/id")):
        body = consent(ANN, GP)
        body["provision"][name] = [known | {"reference": ref("nowhere")}]
        with pytest.raises(FhirError, match=allowed):
            _compiled(body)


def test_actions_are_those_named_and_both_where_none_is() -> None:
    def allowed(*codes: str) -> int:
        named = [{"coding": [{"code": code}]} for code in codes]
        return _compiled(consent(ANN, GP, action=named))[0].actions

    assert [allowed("access"), allowed("use"), allowed("disclose")] == [READ] * 3
    assert [allowed("collect"), allowed("correct")] == [WRITE] * 2
    assert allowed("access", "correct") == allowed() == READ | WRITE


def test_an_inner_provision_without_actors_or_actions_has_those_around_it() -> None:
    inner: Json = {"type": "deny", "action": [], "actor": []}
    outer, nested = _compiled(consent(ANN, GP, action=[{"coding": [{"code": "access"}]}], provision=[inner]))
    assert (outer.actor, outer.actions) == (nested.actor, nested.actions) == (key_of_reference(GP), READ)
