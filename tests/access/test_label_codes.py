"""What each code of a label stands for, on a record and in a provision."""

from __future__ import annotations

import pytest

from fhir_server.access import labels

_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_NOT_KNOWN = labels.UNSET | labels.UNKNOWN


@pytest.mark.parametrize(
    "system, code, mask",
    [
        (labels.ACT_CODE, "NOPAT", None),
        (labels.SYSTEM, "NOPAT", _NOT_KNOWN),
        ("urn:elsewhere", "NOPAT", _NOT_KNOWN),
        (labels.CONFIDENTIALITY, "V", None),
        (_REASON, "TREAT", None),
        ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "PATAST", None),
        ("urn:elsewhere", "V", _NOT_KNOWN),
    ],
)
def test_a_coding_on_a_record_is_a_label_unless_it_says_nothing_of_one(system: str, code: str, mask: int) -> None:
    assert labels.mask_of_coding(system, code) == mask


@pytest.mark.parametrize("system, code", [(labels.SYSTEM, "secret"), ("urn:elsewhere", "MH"), (labels.ACT_CODE, "XYZ")])
def test_a_label_that_is_not_known_covers_nothing(system: str, code: str) -> None:
    assert labels.covered_by(system, code) == 0


@pytest.mark.parametrize("code, label", [("MH", "mental-health"), ("BH", "mental-health"), ("SEX", "sexual-health")])
def test_standard_codes_cover_what_our_labels_cover(code: str, label: str) -> None:
    assert labels.covered_by(labels.ACT_CODE, code) == labels.covered_by(labels.SYSTEM, label)


def test_a_code_covers_its_kinds_and_not_the_other_way() -> None:
    bits = {code: labels.mask_of_coding(labels.ACT_CODE, code) or 0 for code in ("SUD", "ETH", "ETHUD", "OPIOIDUD")}
    assert labels.covered_by(labels.ACT_CODE, "SUD") == sum(bits.values())
    assert labels.covered_by(labels.ACT_CODE, "ETH") == bits["ETH"] | bits["ETHUD"] | bits["OPIOIDUD"]
    assert labels.covered_by(labels.ACT_CODE, "ETHUD") == bits["ETHUD"]
    assert len(set(bits.values())) == 4


def _coded(*codes: str) -> dict[str, object]:
    return {"coding": [{"display": "no code"}, *({"code": code} for code in codes)]}


@pytest.mark.parametrize(
    "resource, label",
    [
        ({"context": {"practiceSetting": _coded("710")}}, labels.MENTAL_HEALTH),
        ({"context": {"practiceSetting": _coded("360")}}, labels.SEXUAL_HEALTH),
        ({"serviceType": [_coded("711")]}, labels.MENTAL_HEALTH),
        ({"specialty": [_coded("100"), _coded("504")]}, labels.SEXUAL_HEALTH),
        ({"type": _coded("715")}, labels.MENTAL_HEALTH),
        ({"context": [{"reference": "Encounter/e"}], "category": [_coded("100")]}, labels.SOCIAL_CARE),
        ({}, labels.SOCIAL_CARE),
    ],
)
def test_the_setting_gives_the_label_before_the_organisation_does(resource: dict[str, object], label: int) -> None:
    council = {"type": [_coded("prov"), _coded("local-authority")]}
    assert labels.by_source(resource, council) == label
    without = labels.UNSET if label == labels.SOCIAL_CARE else label
    assert labels.by_source(resource, None) == without
    assert labels.by_source({}, {"type": [_coded("prov")]}) == labels.GENERAL


def _added(mask: int, *present: tuple[str, str]) -> set[tuple[str, str]]:
    security = [{"system": system, "code": code} for system, code in present]
    return {(each["system"], each["code"]) for each in labels.codings_for(mask, {"meta": {"security": security}})}


def test_standard_codings_are_added_beside_our_own_unless_they_or_finer_ones_are_there() -> None:
    own, high, mental = (labels.SYSTEM, "mental-health"), (labels.CONFIDENTIALITY, "R"), (labels.ACT_CODE, "MH")
    finer = labels.mask_of_coding(labels.ACT_CODE, "PSY") or 0
    assert _added(labels.MENTAL_HEALTH) == {own, high, mental}
    assert _added(labels.MENTAL_HEALTH | labels.NO_DISCLOSURE_TO_PATIENT) >= {own, high}
    assert _added(labels.MENTAL_HEALTH, own, mental) == {high}
    assert _added(labels.MENTAL_HEALTH, (labels.CONFIDENTIALITY, "V")) == {own, mental}
    assert _added(finer, (labels.ACT_CODE, "PSY")) == {own, high}
    assert _added(labels.GENERAL) == {(labels.SYSTEM, "general"), (labels.CONFIDENTIALITY, "N")}
    assert _added(labels.UNSET) == _added(0) == set()


def test_one_label_is_told_and_several_or_none_are_not() -> None:
    finer = labels.mask_of_coding(labels.ACT_CODE, "HIV") or 0
    for mask in labels.CODE_OF:
        assert labels.label_of(mask) == labels.label_of(mask | labels.NO_DISCLOSURE_TO_PATIENT) == mask
    assert labels.label_of(finer) == labels.label_of(labels.SEXUAL_HEALTH | finer) == labels.SEXUAL_HEALTH
    for mask in (0, labels.UNSET, labels.NO_DISCLOSURE_TO_PATIENT, labels.GENERAL | finer, labels.UNKNOWN):
        assert labels.label_of(mask) == 0
