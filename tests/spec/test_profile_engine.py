"""What a StructureDefinition may demand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhir_server.spec.build_definitions import EXAMPLES
from fhir_server.spec.build_packages import fetch, read_resources
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.json import decode
from fhir_server.spec.outcome import FhirError
from fhir_server.spec.profile_check import compile_profile
from fhir_server.spec.profile_registry import Profiles, parse_required
from fhir_server.spec.validate import find_issues, validate
from tests.spec.examples import Json, read_examples
from tests.spec.profiling import CORE, LOINC, URL, concept, found, observation, profile

CATEGORY = {"id": "Observation.category", "slicing": {"discriminator": [{"type": "value", "path": "coding.code"}]}}
SLICED = (
    {**CATEGORY, "slicing": {**CATEGORY["slicing"], "rules": "closed"}},  # type: ignore[dict-item]
    {"id": "Observation.category:lab", "sliceName": "lab", "min": 1, "max": "1"},
    {"id": "Observation.category:lab.coding", "min": 1},
    {"id": "Observation.category:lab.coding.code", "min": 1, "fixedCode": "laboratory"},
    {"id": "Observation.category:own", "sliceName": "own", "max": "1", "patternCodeableConcept": concept("own")},
)
PRESSURE = (
    {
        "id": "Observation.component",
        "slicing": {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"},
    },
    {"id": "Observation.component:high", "sliceName": "high", "min": 1},
    {"id": "Observation.component:high.code", "patternCodeableConcept": concept("8480-6")},
    {"id": "Observation.component:high.value[x]", "min": 1, "type": [{"code": "Quantity"}]},
)


@pytest.mark.parametrize(
    "elements, resource, expected",
    [
        (({"id": "Observation.note", "min": 1},), observation(), {"Observation.note"}),
        (({"id": "Observation.note", "min": 2},), observation(note=[{"text": "a"}]), {"Observation.note"}),
        (({"id": "Observation.note", "max": "1"},), observation(note=[{"text": "a"}] * 2), {"Observation.note"}),
        (({"id": "Observation.note", "max": "0"},), observation(note=[{"text": "a"}]), {"Observation.note"}),
        (({"id": "Observation.note.time", "min": 1},), observation(note=[{"text": "a"}]), {"Observation.note[0].time"}),
        (({"id": "Observation.note.time", "min": 1},), observation(), set()),
        (({"id": "Observation.status", "fixedCode": "amended"},), observation(), {"Observation.status"}),
        (({"id": "Observation.status", "patternCode": "final"},), observation(), set()),
        (({"id": "Observation.code", "patternCodeableConcept": concept("1")},), observation(), {"Observation.code"}),
        (
            ({"id": "Observation.code", "patternCodeableConcept": concept("1")},),
            observation(
                code={"coding": [{"system": "http://x", "code": "y"}, {"system": LOINC, "code": "1", "id": "z"}]}
            ),
            set(),
        ),
        (
            ({"id": "Observation.code", "fixedCodeableConcept": concept("1")},),
            observation(code={**concept("1"), "text": "more"}),
            {"Observation.code"},
        ),
        (
            ({"id": "Observation.value[x]", "type": [{"code": "Quantity"}, {"code": "string"}]},),
            observation(valueInteger=1),
            {"Observation.value"},
        ),
        (
            ({"id": "Observation.value[x]", "type": [{"code": "Quantity"}, {"code": "string"}]},),
            observation(valueString="x"),
            set(),
        ),
        (
            ({"id": "Observation.valueQuantity", "path": "Observation.valueQuantity", "min": 1},),
            observation(valueString="x"),
            {"Observation.valueQuantity"},
        ),
        (
            ({"id": "Observation.value[x].unit", "min": 1},),
            observation(valueQuantity={"value": 1}),
            {"Observation.value.ofType(Quantity).unit"},
        ),
        (
            ({"id": "Observation.subject", "type": [{"code": "Reference", "targetProfile": [f"{CORE}Group"]}]},),
            observation(subject={"reference": "Patient/1"}),
            {"Observation.subject.reference"},
        ),
        (
            ({"id": "Observation.subject", "type": [{"code": "Reference", "targetProfile": ["https://x.org/P"]}]},),
            observation(subject={"reference": "Patient/1"}),
            set(),
        ),
        (
            (
                {
                    "id": "Observation.category",
                    "binding": {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/bundle-type"},
                },
            ),
            observation(category=[{"text": "x"}]),
            {"Observation.category[0]"},
        ),
        (SLICED, observation(), {"Observation.category"}),
        (SLICED, observation(category=[concept("laboratory"), concept("own")]), set()),
        (SLICED, observation(category=[concept("laboratory"), concept("other")]), {"Observation.category[1]"}),
        (SLICED, observation(category=[concept("laboratory")] * 2), {"Observation.category"}),
        (PRESSURE, observation(component=[{"code": concept("1")}]), {"Observation.component"}),
        (
            PRESSURE,
            observation(component=[{"code": concept("1")}, {"code": concept("8480-6"), "valueString": "high"}]),
            {"Observation.component[1].value"},
        ),
        (
            PRESSURE,
            observation(component=[{"code": concept("8480-6"), "valueQuantity": {"value": 120}}]),
            set(),
        ),
        (
            (
                {"id": "Observation.performer", "slicing": {"discriminator": [{"type": "type", "path": "resolve()"}]}},
                {
                    "id": "Observation.performer:org",
                    "min": 1,
                    "type": [{"code": "Reference", "targetProfile": [f"{CORE}Organization"]}],
                },
            ),
            observation(performer=[{"reference": "Practitioner/1"}]),
            {"Observation.performer"},
        ),
        (
            (
                {"id": "Observation.note", "slicing": {"discriminator": [{"type": "exists", "path": "time"}]}},
                {"id": "Observation.note:timed", "min": 1},
                {"id": "Observation.note:timed.time", "min": 1},
            ),
            observation(note=[{"text": "x"}]),
            {"Observation.note"},
        ),
        (
            (
                {"id": "Observation.value[x]"},
                {"id": "Observation.value[x]:valueQuantity", "type": [{"code": "Quantity"}]},
                {"id": "Observation.value[x]:valueQuantity.system", "min": 1},
            ),
            observation(valueQuantity={"value": 1}),
            {"Observation.value.ofType(Quantity).system"},
        ),
        (
            (
                {"id": "Observation.extension", "slicing": {"discriminator": [{"type": "value", "path": "url"}]}},
                {
                    "id": "Observation.extension:a",
                    "min": 1,
                    "type": [{"code": "Extension", "profile": ["http://example.org/a"]}],
                },
            ),
            observation(extension=[{"url": "http://example.org/b", "valueCode": "x"}]),
            {"Observation.extension"},
        ),
        (
            (
                {
                    "id": "Observation",
                    "constraint": [
                        {"key": "x-1", "severity": "error", "expression": "value.ofType(Quantity).exists()"},
                        {"key": "x-2", "severity": "warning", "expression": "note.exists()"},
                    ],
                },
            ),
            observation(valueString="x", note=[{"text": "x"}]),
            {"Observation"},
        ),
    ],
)
def test_what_a_profile_demands_is_held(
    definitions: Definitions, elements: tuple[Json, ...], resource: Json, expected: set[str]
) -> None:
    assert found(definitions, resource, profile("Observation", *elements)).keys() == expected


def test_a_derived_profile_narrows_the_slices_of_its_base(definitions: Definitions) -> None:
    base = profile("Observation", *PRESSURE)
    more = {"id": "Observation.component:high.interpretation", "min": 1}
    derived = profile("Observation", more, url=f"{URL}2", base=URL)
    component = {"code": concept("8480-6"), "valueString": "x"}
    assert found(definitions, observation(component=[component]), base, derived).keys() == {
        "Observation.component[0].value",
        "Observation.component[0].interpretation",
    }
    assert found(definitions, observation(), base, derived).keys() == {"Observation.component"}


def test_content_that_repeats_is_held_at_every_depth(definitions: Definitions) -> None:
    known = profile("Questionnaire", {"id": "Questionnaire.item.text", "min": 1})
    inner = {"linkId": "2", "type": "string", "item": [{"linkId": "3", "type": "string", "text": "x"}]}
    form = {"resourceType": "Questionnaire", "status": "draft"}
    outer = {"linkId": "1", "type": "group", "text": "x", "item": [inner]}
    assert found(definitions, {**form, "item": [outer]}, known).keys() == {"Questionnaire.item[0].item[0].text"}


def test_a_look_up_answers_for_value_sets_that_fhir_does_not_bind(definitions: Definitions) -> None:
    def codes(canonical: str) -> Any:
        return (lambda system, code: (system, code) == (LOINC, "1")) if canonical == "http://x/vs" else None

    def bound(strength: str, value_set: str) -> Json:
        return profile(
            "Observation", {"id": "Observation.code", "binding": {"strength": strength, "valueSet": value_set}}
        )

    good, bad = observation(code=concept("1")), observation(code=concept("2"))
    assert not found(definitions, good, bound("required", "http://x/vs"), codes=codes)
    assert (
        found(definitions, bad, bound("required", "http://x/vs"), codes=codes)["Observation.code"].severity == "error"
    )
    (advice,) = found(definitions, bad, bound("extensible", "http://x/vs"), codes=codes).values()
    assert (advice.severity, advice.code) == ("warning", "code-invalid")
    (unknown,) = found(definitions, bad, bound("required", "http://x/other"), codes=codes).values()
    assert (unknown.severity, unknown.code) == ("information", "not-supported")


def test_what_is_not_known_is_told_and_does_not_refuse_a_write(definitions: Definitions) -> None:
    claimed = observation(meta={"profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Observation"]})
    validate(definitions, claimed)
    told = [each for each in find_issues(definitions, claimed) if each.expression == ("Observation.meta.profile[0]",)]
    assert [(each.severity, each.code) for each in told] == [("information", "not-supported")]
    partial = profile("Observation", {"id": "Observation.note", "min": 1}, base="http://elsewhere.org/base")
    issues = found(definitions, observation(), partial)
    assert {each.severity for each in issues.values()} == {"information", "error"}


def test_the_profile_of_another_type_is_refused(definitions: Definitions) -> None:
    assert found(definitions, {"resourceType": "Patient"}, profile("Observation"))["Patient"].severity == "error"
    with pytest.raises(FhirError, match=r"Patient\.meta\.profile\[0\] must name a profile of Patient"):
        validate(definitions, {"resourceType": "Patient", "meta": {"profile": [f"{CORE}Group"]}})
    validate(definitions, {"resourceType": "Patient", "meta": {"profile": [f"{CORE}Patient|4.0.1"]}})


def test_resources_in_a_bundle_are_held_to_what_they_claim(definitions: Definitions) -> None:
    known = replace(definitions, profiles=Profiles((profile("Observation", {"id": "Observation.note", "min": 1}),)))
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": observation(meta={"profile": [URL]})}],
    }
    with pytest.raises(FhirError, match=r"Bundle\.entry\[0\]\.resource\.note is required"):
        validate(known, bundle)


def test_a_required_profile_is_held_without_a_claim_and_refuses_all_while_it_is_not_known(
    definitions: Definitions,
) -> None:
    required = parse_required(f"Observation={URL}")
    profiles = Profiles((profile("Observation", {"id": "Observation.note", "min": 1}),)).requiring(required)
    with pytest.raises(FhirError, match=r"Observation\.note is required"):
        validate(replace(definitions, profiles=profiles), observation())
    validate(replace(definitions, profiles=profiles), observation(note=[{"text": "x"}]))
    with pytest.raises(FhirError, match="not known here yet"):
        validate(replace(definitions, profiles=Profiles(required=required)), observation())


@pytest.mark.parametrize("text", ["Observation", "observation=x", "Observation=", "=x", "Observation= x"])
def test_a_requirement_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_required(text)


def test_every_profile_of_fhir_compiles_and_refuses_no_example_that_claims_one(definitions: Definitions) -> None:
    official = [
        each
        for each in read_resources(fetch(EXAMPLES), ("StructureDefinition",))
        if each.get("derivation") == "constraint"
    ]
    known = replace(definitions, profiles=Profiles(tuple(official)))
    beyond = {key for each in official for key in compile_profile(known, each).beyond}
    assert beyond == set()
    claims = 0
    for _, raw in read_examples(definitions, 200_000):
        if b"StructureDefinition/" not in raw or b'"StructureDefinition"' in raw[:100]:
            continue
        resource = decode(raw, len(raw))
        plain = [each for each in find_issues(definitions, resource) if each.severity == "error"]
        if not plain:
            claims += b'"profile":' in raw.replace(b" ", b"")
            found_now = [each for each in find_issues(known, resource) if each.severity == "error"]
            # FHIR itself puts this one of its extensions where its own definition does not say that it may stand.
            assert [each for each in found_now if "structuredefinition-normative-version" not in each.diagnostics] == []
    assert claims > 30


def test_a_broken_blood_pressure_is_no_longer_one(definitions: Definitions) -> None:
    official = [
        each for each in read_resources(fetch(EXAMPLES), ("StructureDefinition",)) if each["id"] in {"bp", "vitalsigns"}
    ]
    known = replace(definitions, profiles=Profiles(tuple(official)))
    raw = next(raw for name, raw in read_examples(definitions) if name == "Observation-blood-pressure.json")
    resource = decode(raw, len(raw))
    resource["meta"]["profile"] = [f"{CORE}bp"]
    validate(known, resource)
    del resource["component"][0], resource["effectiveDateTime"]
    resource["component"][0]["valueQuantity"]["code"] = "kPa"
    with pytest.raises(FhirError) as caught:
        validate(known, resource)
    assert {each.expression[0] for each in caught.value.issues} >= {
        "Observation.component",
        "Observation.effective",
        "Observation.component[0].value.ofType(Quantity).code",
    }


def test_values_keep_within_the_limits_of_a_profile(definitions: Definitions) -> None:
    def amount(value: Any, code: str, system: str = "http://unitsofmeasure.org") -> Json:
        return {"value": value, "unit": code, "system": system, "code": code}

    def least(name: str, value: Any) -> Json:
        return {f"minValue{name}": value}

    def most(name: str, value: Any) -> Json:
        return {f"maxValue{name}": value}

    table: list[tuple[Json, str, Any, bool]] = [
        (least("Integer", 5), "valueInteger", 5, True),
        (least("Integer", 5), "valueInteger", 4, False),
        (most("Integer", 5), "valueInteger", 6, False),
        (least("DateTime", "2020-05-01"), "valueDateTime", "2020", True),
        (least("DateTime", "2020-05-01"), "valueDateTime", "2020-04-30T23:59:59Z", False),
        (least("DateTime", "2020-05-01"), "valueDateTime", "2019", False),
        (most("DateTime", "2020-05-01"), "valueDateTime", "2020-05-01T23:59:59Z", True),
        (most("DateTime", "2020-05-01"), "valueDateTime", "2020-05-02", False),
        (most("Time", "12:00:00"), "valueTime", "12:00:01", False),
        (most("Time", "12:00:00"), "valueTime", "12:00:00", True),
        (most("Quantity", amount(1, "kg")), "valueQuantity", amount(999, "g"), True),
        (most("Quantity", amount(1, "kg")), "valueQuantity", amount(1001, "g"), False),
        (most("Quantity", amount(1, "kg")), "valueQuantity", amount(9, "L"), True),
        (least("Quantity", amount(1, "x", "urn:own")), "valueQuantity", amount(0, "x", "urn:own"), False),
        (least("Quantity", amount(1, "x", "urn:own")), "valueQuantity", amount(0, "x", "urn:other"), True),
        (least("Quantity", {"value": 1}), "valueQuantity", {"comparator": ">"}, True),
        ({"maxLength": 3}, "valueString", "üüü", True),
        ({"maxLength": 3}, "valueString", "four", False),
        (least("Integer", 5), "valueString", "x", True),
    ]
    for limit, name, value, fits in table:
        limited = profile("Observation", {"id": "Observation.value[x]", **limit})
        issues = found(definitions, observation(**{name: value}), limited)
        kind = {"valueDateTime": "dateTime"}.get(name, name.removeprefix("value"))
        kind = kind if kind == "Quantity" else kind[0].lower() + kind[1:]
        assert issues.keys() == (set() if fits else {f"Observation.value.ofType({kind})"}), (limit, value, issues)
