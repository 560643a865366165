"""Invariants: those that FHIR states are the ones held, but for a reasoned list."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.spec.build_definitions import EXAMPLES
from fhir_server.spec.build_packages import fetch, read_resources
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.invariant_functions import truth
from fhir_server.spec.invariants import EMPTY_BREAKS, compile_expression, constraints, rules

# Written by hand in `checks.py` and `shapes.py`: the price of evaluating them at every element would be too high. But
# dom-5: a label on a contained resource is not refused, its container takes it over.
BY_HAND = frozenset({"ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2", "ref-1", "per-1"})

SIMPLE_QUANTITY = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"
# The one that no rule of a type stands for: `checks.py` has it, for its price would grow with the square of the size.
ELSEWHERE = {"obs-7"}


def stated() -> dict[str, dict[str, str]]:
    """Return by path and key what the StructureDefinitions state as an error, of a SimpleQuantity where one stands."""
    found: dict[str, dict[str, str]] = {}
    definitions = list(read_resources(fetch(EXAMPLES), ("StructureDefinition",)))
    root = next(each for each in definitions if each["url"] == SIMPLE_QUANTITY)["snapshot"]["element"][0]
    simple = {each["key"]: each["expression"] for each in root["constraint"] if each["key"] == "sqty-1"}
    for definition in definitions:
        if definition["kind"] not in {"resource", "complex-type"} or definition.get("derivation") == "constraint":
            continue
        for element in definition["snapshot"]["element"]:
            if any(SIMPLE_QUANTITY in each.get("profile", ()) for each in element.get("type", ())):
                found.setdefault(element["path"], {}).update(simple)
            for each in element.get("constraint", ()):
                if each["severity"] == "error" and each["key"] not in BY_HAND:
                    found.setdefault(element["path"], {})[each["key"]] = each["expression"]
    return dict(sorted(found.items()))


def test_the_file_is_what_fhir_states() -> None:
    assert constraints() == stated()


@pytest.mark.parametrize(
    "expression, value, expected",
    [
        ("a.exists() implies b.exists()", {"a": 1}, False),
        ("a.exists() implies b.exists()", {"a": 1, "b": 0}, True),
        ("a.empty() or b = 'x'", {"a": 1, "b": "x"}, True),
        ("a.empty() or b = 'x'", {"a": 1}, None),
        ("a and b", {"a": False}, False),
        ("a.exists() xor b.exists()", {"a": 1, "b": 1}, False),
        ("a = true", {"a": 1}, False),
        ("a in ('x' | 'y')", {"a": "y"}, True),
        ("a.all(b = 'x')", {"a": [{"b": "x"}, {"b": "y"}]}, False),
        ("a.all(b = 'x')", {"a": [{"b": "x"}, {}]}, False),
        ("a.all(b = 'x')", {}, True),
        ("a.where(b = 'x').exists()", {"a": [{"b": "x"}]}, True),
        ("a.count() + b.count() > 1", {"a": [1], "b": [2]}, True),
        ("low <= high", {"low": {"value": 2}, "high": {"value": 1}}, False),
        ("low <= high", {"low": {"value": 2, "unit": "g"}, "high": {"value": 1, "unit": "kg"}}, None),
        ("a >= b", {"a": "2019", "b": "2020"}, False),
        ("a >= b", {"a": "2020", "b": "2020"}, True),
        ("a >= b", {"a": "2020", "b": "2020-05"}, None),
        ("a >= b", {"a": "2020-01-01T10:00:00+01:00", "b": "2020-01-01T09:00:00.000Z"}, True),
        ("a < b", {"a": "2020-01-01", "b": "2020-01-02T00:00:00-05:00"}, None),
        ("a < b", {"a": "2020-01-01", "b": "2020-01-03T10:00:00-05:00"}, True),
        ("a < b", {"a": "2020-01-01", "b": "soon"}, None),
        ("a.all(($this as dateTime).toString().length() >= 8)", {"a": "2020-01"}, False),
        ("a.all(($this as dateTime).toString().length() >= 8)", {"a": "2020-01-01"}, True),
        ("a.matches('^x$')", {"a": "xx"}, False),
        ("descendants().linkId.isDistinct()", {"item": [{"linkId": "1", "item": [{"linkId": "1"}]}]}, False),
        ("a.exists()", {"_a": {"extension": []}}, True),
        ("value.empty()", {"valueQuantity": {}}, False),
        ("value.empty()", {"valueSet": "x"}, True),
        ("%resource.type = 'x'", {}, True),
    ],
)
def test_an_expression_is_evaluated(definitions: Definitions, expression: str, value: Any, expected: object) -> None:
    made = compile_expression(definitions, expression, "Basic")
    assert truth(made([value], {"type": "x"})) is expected


def test_every_invariant_is_held(definitions: Definitions) -> None:
    made = {(path, rule.key) for path in constraints() for rule in rules(definitions, path)}
    missing = {key for path, found in constraints().items() for key in found if (path, key) not in made}
    assert missing == ELSEWHERE


def test_a_missing_element_is_no_yes(definitions: Definitions) -> None:
    percent = {"code": "%", "system": "http://unitsofmeasure.org"}
    for key, context, value, breaks in (
        ("que-13", "Questionnaire.item", {"initial": [{}, {}]}, True),
        ("que-13", "Questionnaire.item", {"initial": [{}, {}], "repeats": True}, False),
        ("que-13", "Questionnaire.item", {"initial": [{}]}, False),
        ("vsd-9", "ValueSet.expansion.contains", {"display": "x"}, True),
        ("vsd-9", "ValueSet.expansion.contains", {"code": "x"}, False),
        ("ras-1", "RiskAssessment.prediction.probability[x]", {"low": {"value": 1}}, True),
        ("ras-1", "RiskAssessment.prediction.probability[x]", {"low": percent}, False),
    ):
        rule = next(each for each in rules(definitions, context) if each.key == key)
        assert rule.breaks(value, value) is breaks, (key, value)
    assert {key for found in constraints().values() for key in found} >= EMPTY_BREAKS


def _structure(view: str, *paths: str, **more: Any) -> dict[str, Any]:
    elements = [{"id": path, "path": path} for path in paths]
    return {"resourceType": "StructureDefinition", "type": "Basic", view: {"element": elements}, **more}


def test_what_is_beyond_fhirpath_here_is_held_by_hand(definitions: Definitions) -> None:
    boolean, coding = {"operator": "exists", "answerBoolean": True}, {"operator": "exists", "answerCoding": {}}
    practitioner, patient = {"reference": "Practitioner/1"}, {"reference": "Patient/1"}
    contained = {"contained": [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Practitioner", "id": "d"}]}
    guide = {"grouping": [{"id": "a"}], "resource": [{"groupingId": "a"}]}
    nested = [{"code": "a", "concept": [{"code": "b"}]}, {"code": "c"}]
    labelled = {**_structure("snapshot", "Basic"), "differential": {"element": [{"path": "Basic", "label": "x"}]}}
    table: list[tuple[str, str, Any, Any, bool]] = [
        ("csd-1", "CodeSystem", {"concept": nested}, {}, False),
        ("csd-1", "CodeSystem", {"concept": [*nested, {"code": "b"}]}, {}, True),
        ("ctm-1", "CareTeam.participant", {"member": practitioner, "onBehalfOf": {}}, {}, False),
        ("ctm-1", "CareTeam.participant", {"member": patient, "onBehalfOf": {}}, {}, True),
        ("ctm-1", "CareTeam.participant", {"member": patient}, {}, False),
        ("ctm-1", "CareTeam.participant", {"member": {"reference": "#d"}, "onBehalfOf": {}}, contained, False),
        ("ctm-1", "CareTeam.participant", {"member": {"reference": "#p"}, "onBehalfOf": {}}, contained, True),
        ("eld-2", "ElementDefinition", {"min": 1, "max": "1"}, {}, False),
        ("eld-2", "ElementDefinition", {"min": 1, "max": "*"}, {}, False),
        ("eld-2", "ElementDefinition", {"min": 2, "max": "1"}, {}, True),
        ("ig-1", "ImplementationGuide.definition", guide, {}, False),
        ("ig-1", "ImplementationGuide.definition", {**guide, "grouping": [{"id": "b"}]}, {}, True),
        ("ig-2", "ImplementationGuide", {"definition": {"resource": [{"fhirVersion": ["4.0.1"]}]}}, {}, True),
        ("que-7", "Questionnaire.item.enableWhen", boolean, {}, False),
        ("que-7", "Questionnaire.item.enableWhen", coding, {}, True),
        ("ras-2", "RiskAssessment.prediction", {"probabilityDecimal": 100}, {}, False),
        ("ras-2", "RiskAssessment.prediction", {"probabilityDecimal": 101}, {}, True),
        ("sdf-9", "StructureDefinition", _structure("snapshot", "Basic", "Basic.code"), {}, False),
        ("sdf-9", "StructureDefinition", labelled, {}, True),
    ]
    for view, key, paths, breaks in (
        ("snapshot", "sdf-8", ("Basic", "Basic.code"), False),
        ("snapshot", "sdf-8", ("Basic", "Patient.name"), True),
        ("snapshot", "sdf-8", ("Patient", "Patient.name"), True),
        ("differential", "sdf-8a", ("Basic.code", "Basic.subject"), False),
        ("differential", "sdf-8a", ("Basic", "BasicCode"), True),
        ("differential", "sdf-8a", ("Patient",), True),
    ):
        structure = _structure(view, *paths)
        table.append((key, f"StructureDefinition.{view}", structure[view], structure, breaks))
        table.append((key, f"StructureDefinition.{view}", structure[view], {**structure, "kind": "logical"}, breaks))
    for key, context, value, resource, breaks in table:
        rule = next(each for each in rules(definitions, context) if each.key == key)
        root_differs = resource.get("kind") == "logical" and str(value["element"][0]["path"]).startswith("Patient")
        assert rule.breaks(value, resource) is (breaks and not root_differs), (key, value)
        hostiles: tuple[Any, ...] = (None, 1, "x", [], {}, {"element": 1, "concept": "x", "min": "x"})
        for hostile in hostiles:
            assert rule.breaks(hostile, hostile) in {True, False}
