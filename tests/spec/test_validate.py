"""Validation: the official examples get in, what breaks FHIR R4 does not, and every problem is named."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.definitions import Definitions, load
from fhir_server.spec.extract import composite_nodes, nodes
from fhir_server.spec.json import decode
from fhir_server.spec.outcome import FhirError, Issue
from fhir_server.spec.validate import validate
from tests.spec.examples import Json, read_examples

# Official examples that break the rules of FHIR R4 itself, and how.
BROKEN_EXAMPLES = {
    "ActivityDefinition-blood-tubes-supply.json": "empty narrative",
    "ActivityDefinition-heart-valve-replacement.json": "empty narrative",
    "Bundle-dataelements.json": "the same fullUrl twice",
    "DeviceMetric-example.json": "parent refers to a DeviceDefinition",
    "DeviceUseStatement-example.json": "reason refers to a type it may not",
    "EventDefinition-example.json": "empty narrative",
    "ImplementationGuide-fhir.json": "no name, no status",
    "Media-1.2.840.11361907579238403408700.3.1.04.19970327150033.json": "narrative loads an image from elsewhere",
    "MedicationRequest-medrx0301.json": "performer refers to a type it may not",
    "Observation-clinical-gender.json": "performer refers to a type it may not",
    "Questionnaire-qs1.json": "items without linkId",
    "Questionnaire-zika-virus-exposure-assessment.json": "empty narrative",
}
OBSERVATION: Json = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {"tag": [{"system": "http://x", "code": "y"}]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "contained": [{"resourceType": "Device", "id": "d1"}],
    "extension": [{"url": "http://x", "valueCode": "a"}],
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "Patient/p1"},
    "device": {"reference": "#d1"},
    "effectivePeriod": {"start": "2024-02-01", "end": "2024-02"},
    "valueQuantity": {"value": 72, "unit": "/min"},
    "note": [{"text": "resting"}],
    "referenceRange": [{"low": {"value": 60}}],
    "component": [{"code": {"text": "x"}, "valueInteger": 3, "referenceRange": [{"text": "y"}]}],
}
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "_active": {"id": "a"},
    "name": [
        {
            "family": "Chalmers",
            "given": ["Peter", None],
            "_given": [None, {"extension": [{"url": "http://x", "valueCode": "masked"}]}],
        }
    ],
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://x/time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "multipleBirthInteger": 2,
    "contact": [{"relationship": [{"text": "N"}], "name": {"text": "Ann"}}],
}
BUNDLE: Json = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}]}
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


def test_a_profile_of_fhir_itself_is_held_to_where_it_is_claimed(definitions: Definitions) -> None:
    profiles = {each["name"]: each["url"] for each in definitions.profiles.resources}
    assert profiles.keys() >= {"observation-vitalsigns", "observation-bp", "Shareable ValueSet"}
    vital = OBSERVATION | {
        "meta": {"profile": [profiles["observation-vitalsigns"]]},
        "category": [{"coding": [{"system": f"{TERMINOLOGY}observation-category", "code": "vital-signs"}]}],
        "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }
    assert issues(definitions, vital) == ()
    for changed, place in (
        ({"category": [{"text": "x"}]}, "Observation.category"),
        ({"subject": {"display": "x"}, "effectivePeriod": ...}, "Observation.effective"),
        ({"effectivePeriod": ..., "effectiveDateTime": "2024"}, "Observation.effective"),
        ({"meta": {"profile": [profiles["observation-bp"]]}}, "Observation.code"),
    ):
        resource = {name: value for name, value in (vital | changed).items() if value is not ...}
        assert any(place in each.expression[0] for each in issues(definitions, resource)), changed


def issues(definitions: Definitions, resource: Any) -> tuple[Issue, ...]:
    try:
        validate(definitions, resource)
    except FhirError as error:
        return error.issues
    return ()


@pytest.mark.parametrize("resource", [OBSERVATION, PATIENT, BUNDLE], ids=["Observation", "Patient", "Bundle"])
def test_rich_resource_is_accepted(definitions: Definitions, resource: Json) -> None:
    assert issues(definitions, resource) == ()


def test_official_examples_are_accepted_but_for_the_broken_ones(definitions: Definitions) -> None:
    refused = set()
    for name, raw in read_examples(definitions):
        # The definitions themselves are most of the bytes; `build_definitions` reads every one of them already.
        if name.startswith(("CodeSystem-", "ConceptMap-", "SearchParameter-", "StructureDefinition-", "ValueSet-")):
            continue
        if issues(definitions, decode(raw, len(raw))):
            refused.add(name)
    assert refused == BROKEN_EXAMPLES.keys()


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
        {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "type": "Patient"},
        {"reference": "https://a.org/r/Patient/1/_history/2", "type": "Patient"},
        {"reference": "https://a.org/page/Medication"},
        {"reference": "https://a.org/Wiki/Medication"},
        {"reference": "Patient?identifier=a|b"},
        {"type": "http://a.org/StructureDefinition/Logical", "identifier": {"value": "x"}},
        {"type": "Group", "display": "x"},
    ],
)
def test_a_reference_to_one_of_its_targets_or_to_nobody_knows_what_is_accepted(
    definitions: Definitions, reference: Json
) -> None:
    assert issues(definitions, {**OBSERVATION, "subject": reference}) == ()


@pytest.mark.parametrize(
    "base,change,expression,code",
    [
        (OBSERVATION, {"colour": "red"}, "Observation.colour", "structure"),
        (OBSERVATION, {"<b>": "red"}, "Observation.(unnamed)", "structure"),
        (OBSERVATION, {"status": None}, "Observation.status", "structure"),
        (OBSERVATION, {"status": "done"}, "Observation.status", "code-invalid"),
        (OBSERVATION, {"status": ["final"]}, "Observation.status", "structure"),
        (OBSERVATION, {"status": ...}, "Observation.status", "required"),
        (OBSERVATION, {"code": ...}, "Observation.code", "required"),
        (
            OBSERVATION,
            {"referenceRange": [{"low": {"value": 60, "comparator": "<"}}]},
            "Observation.referenceRange[0].low",
            "invariant",
        ),
        (OBSERVATION, {"code": {}}, "Observation.code", "structure"),
        (OBSERVATION, {"code": {"id": "x"}}, "Observation.code", "structure"),
        (OBSERVATION, {"code": [{"text": "x"}]}, "Observation.code", "structure"),
        (OBSERVATION, {"code": {"coding": {"code": "x"}}}, "Observation.code.coding", "structure"),
        (OBSERVATION, {"code": {"coding": []}}, "Observation.code.coding", "structure"),
        (OBSERVATION, {"code": {"text": ""}}, "Observation.code.text", "value"),
        (OBSERVATION, {"code": {"text": "a\x00b"}}, "Observation.code.text", "value"),
        (OBSERVATION, {"code": {"text": 1}}, "Observation.code.text", "structure"),
        (OBSERVATION, {"code": {"coding": [{"code": " x"}]}}, "Observation.code.coding[0].code", "value"),
        (OBSERVATION, {"id": "a/b"}, "Observation.id", "value"),
        (OBSERVATION, {"id": "x" * 65}, "Observation.id", "value"),
        (OBSERVATION, {"valueString": "x"}, "Observation.value", "structure"),
        (OBSERVATION, {"valueAddress": {"city": "x"}}, "Observation.valueAddress", "structure"),
        (OBSERVATION, {"valueQuantity": {"value": "72"}}, "Observation.value.ofType(Quantity).value", "structure"),
        (OBSERVATION, {"valueQuantity": {"value": True}}, "Observation.value.ofType(Quantity).value", "structure"),
        (OBSERVATION, {"issued": "2024-02-01"}, "Observation.issued", "value"),
        (OBSERVATION, {"issued": "2024-02-30T10:00:00Z"}, "Observation.issued", "value"),
        (OBSERVATION, {"subject": {"reference": "Medication/1"}}, "Observation.subject.reference", "value"),
        (OBSERVATION, {"subject": {"reference": "Nonsense/1"}}, "Observation.subject.reference", "value"),
        (OBSERVATION, {"subject": {"reference": "Medication?code=x"}}, "Observation.subject.reference", "value"),
        (
            OBSERVATION,
            {"subject": {"reference": "http://a.org/r/Practitioner/1/_history/2"}},
            "Observation.subject.reference",
            "value",
        ),
        (OBSERVATION, {"performer": [{"reference": "#d1"}]}, "Observation.performer[0].reference", "value"),
        (OBSERVATION, {"subject": {"type": "Medication", "display": "x"}}, "Observation.subject.type", "value"),
        (OBSERVATION, {"subject": {"reference": "Patient/1", "type": "Group"}}, "Observation.subject.type", "value"),
        (OBSERVATION, {"focus": [{"reference": "Patient/1", "type": "Device"}]}, "Observation.focus[0].type", "value"),
        (OBSERVATION, {"subject": {"reference": "#none"}}, "Observation.subject.reference", "invariant"),
        (
            OBSERVATION,
            {"effectivePeriod": {"start": "2024-03", "end": "2024-02"}},
            "Observation.effective.ofType(Period)",
            "invariant",
        ),
        (OBSERVATION, {"extension": [{"valueCode": "a"}]}, "Observation.extension[0].url", "required"),
        (OBSERVATION, {"extension": [{"url": "http://x"}]}, "Observation.extension[0]", "invariant"),
        (
            OBSERVATION,
            {"text": {"status": "generated", "div": f"{DIV}<script/></div>"}},
            "Observation.text.div",
            "value",
        ),
        (OBSERVATION, {"text": {"status": "generated"}}, "Observation.text.div", "required"),
        (OBSERVATION, {"component": [{"valueInteger": 3}]}, "Observation.component[0].code", "required"),
        (OBSERVATION, {"contained": [{"id": "d1"}]}, "Observation.contained[0].resourceType", "structure"),
        (OBSERVATION, {"contained": ["d1"], "device": ...}, "Observation.contained[0]", "structure"),
        (
            OBSERVATION,
            {"contained": [{"resourceType": "Device", "id": "d1", "contained": [{"resourceType": "Device"}]}]},
            "Observation.contained[0].contained",
            "invariant",
        ),
        (PATIENT, {"birthDate": "1974-02-30"}, "Patient.birthDate", "value"),
        (PATIENT, {"birthDate": "25.12.1974"}, "Patient.birthDate", "value"),
        (PATIENT, {"birthDate": "1974-12-25T10:00:00Z"}, "Patient.birthDate", "value"),
        (PATIENT, {"active": "true"}, "Patient.active", "structure"),
        (PATIENT, {"multipleBirthInteger": 2.5}, "Patient.multipleBirth.ofType(integer)", "structure"),
        (PATIENT, {"multipleBirthInteger": 2**31}, "Patient.multipleBirth.ofType(integer)", "value"),
        (PATIENT, {"multipleBirthBoolean": True}, "Patient.multipleBirth", "structure"),
        (PATIENT, {"name": [{"given": [None]}]}, "Patient.name[0].given[0]", "structure"),
        (PATIENT, {"name": [{"given": ["a", ""]}]}, "Patient.name[0].given[1]", "value"),
        (PATIENT, {"name": [{"given": ["a"], "_given": [{"id": "x"}, None]}]}, "Patient.name[0].given", "structure"),
        (PATIENT, {"name": [{"_given": [None]}]}, "Patient.name[0].given", "structure"),
        (PATIENT, {"name": [{"_given": [{"id": "x"}]}]}, "Patient.name[0].given[0]", "structure"),
        (PATIENT, {"_gender": {"id": "x"}}, "Patient.gender", "structure"),
        (PATIENT, {"_active": {}}, "Patient.active", "structure"),
        (PATIENT, {"name": [None]}, "Patient.name[0]", "structure"),
        (PATIENT, {"_birthDate": "x"}, "Patient.birthDate", "structure"),
        (PATIENT, {"photo": [{"contentType": "image/png", "data": "***"}]}, "Patient.photo[0].data", "value"),
        (
            PATIENT,
            {"link": [{"other": {"reference": "Patient/2"}, "type": "same"}]},
            "Patient.link[0].type",
            "code-invalid",
        ),
        (
            BUNDLE,
            {"entry": [{"resource": {"resourceType": "Nonsense"}}]},
            "Bundle.entry[0].resource.resourceType",
            "structure",
        ),
        (
            BUNDLE,
            {"entry": [{"resource": {"resourceType": "Patient", "x": 1}}]},
            "Bundle.entry[0].resource.x",
            "structure",
        ),
        (
            BUNDLE,
            {"type": "batch", "entry": [{"request": {"method": "GO", "url": "x"}}]},
            "Bundle.entry[0].request.method",
            "code-invalid",
        ),
    ],
)
def test_problem_is_named(definitions: Definitions, base: Json, change: Json, expression: str, code: str) -> None:
    resource = {name: value for name, value in (base | change).items() if value is not ...}
    assert [(each.expression, each.code) for each in issues(definitions, resource)] == [((expression,), code)]


@pytest.mark.parametrize(
    "resource", [{}, {"resourceType": "Nonsense"}, {"resourceType": ["Patient"]}, {"resourceType": "Resource"}]
)
def test_resource_of_unknown_type_is_refused(definitions: Definitions, resource: Json) -> None:
    assert [each.expression for each in issues(definitions, resource)] == [("Resource.resourceType",)]


def test_structure_is_a_400_and_content_a_422(definitions: Definitions) -> None:
    for change, status in (
        ({"colour": "red"}, 400),
        ({"status": "done"}, 422),
        ({"colour": "red", "status": "done"}, 400),
    ):
        with pytest.raises(FhirError) as refused:
            validate(definitions, OBSERVATION | change)
        assert refused.value.status == status


def test_every_problem_is_told_up_to_a_hundred(definitions: Definitions) -> None:
    found = issues(definitions, OBSERVATION | {"status": "done", "code": {}, "x": 1})
    assert {each.expression[0] for each in found} == {"Observation.status", "Observation.code", "Observation.x"}
    assert len(issues(definitions, PATIENT | {f"x{number}": 1 for number in range(150)})) == 100


def test_diagnostics_say_what_is_allowed_and_quote_nothing(definitions: Definitions) -> None:
    (problem,) = issues(definitions, OBSERVATION | {"status": "secret"})
    assert "final" in problem.diagnostics
    assert "secret" not in problem.diagnostics


def test_reference_inside_a_bundle_looks_into_its_own_resource(definitions: Definitions) -> None:
    entries = [
        {"resource": OBSERVATION},
        {"resource": OBSERVATION | {"contained": [{"resourceType": "Device", "id": "x"}]}},
    ]
    reference, unused = issues(definitions, BUNDLE | {"entry": entries})
    assert reference.expression == ("Bundle.entry[1].resource.device.reference",)
    assert unused.expression == ("Bundle.entry[1].resource.contained[0]",)


SHARED = load()
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["Patient", "#d1", "2024-02-30", DIV]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "url", "coding", "reference", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the way to every value inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [deeper for key, item in items for deeper in [(*way, key), *places(item, (*way, key))]]


@given(st.sampled_from([OBSERVATION, PATIENT, BUNDLE]), ANYTHING, st.data())
def test_whatever_is_put_anywhere_is_refused_or_can_be_indexed(base: Json, junk: Any, data: st.DataObject) -> None:
    resource: Any = deepcopy(base)
    *way, last = data.draw(st.sampled_from(places(base)))
    target = resource
    for key in way:
        target = target[key]
    target[last] = junk
    if not issues(SHARED, resource):
        json.dumps([[value for _, value in found] for _, found in nodes(SHARED, resource)])
        json.dumps([found for _, found in composite_nodes(SHARED, resource)])
