"""Extensions: held to their definitions wherever they stand, and where they may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.profile_registry import Profiles
from fhir_server.spec.validate import validate
from tests.spec.examples import Json
from tests.spec.profiling import found, observation, profile


def test_an_extension_is_held_to_its_definition_wherever_it_is(definitions: Definitions) -> None:
    extension = profile(
        "Extension",
        {"id": "Extension.extension", "max": "0"},
        {"id": "Extension.url", "fixedUri": "http://example.org/a"},
        {"id": "Extension.value[x]", "min": 1, "type": [{"code": "code"}]},
        url="http://example.org/a",
    )
    known = replace(definitions, profiles=Profiles((extension,)))
    patient = {
        "resourceType": "Patient",
        "name": [{"extension": [{"url": "http://example.org/a", "valueString": "x"}]}],
    }
    with pytest.raises(FhirError) as caught:
        validate(known, patient)
    assert caught.value.kind is Kind.INVALID_CONTENT
    assert caught.value.issues[0].expression == ("Patient.name[0].extension[0].value",)


def test_an_extension_stands_where_its_definition_says(definitions: Definitions) -> None:
    url = "http://example.org/StructureDefinition/only-here"

    def element(*expressions: str) -> list[Json]:
        return [{"type": "element", "expression": each} for each in expressions]

    def path(expression: str) -> list[Json]:
        return [{"type": "fhirpath", "expression": expression}]

    extension = {"url": url, "valueString": "x"}
    on_root = observation(extension=[extension])
    within = observation(extension=[{"url": "http://example.org/y", "extension": [extension]}])
    on_quantity = observation(valueQuantity={"value": 1, "extension": [extension]})
    on_code = observation(code={"text": "x", "extension": [extension]})
    on_status = observation(_status={"extension": [extension]})
    on_value = observation(valueQuantity={"value": 1, "_value": {"extension": [extension]}})
    inside = observation(
        contained=[{"resourceType": "Patient", "id": "p", "name": [{"extension": [extension]}]}],
        subject={"reference": "#p"},
    )
    table: list[tuple[list[Json], Json, bool]] = [
        (element("Observation"), on_root, True),
        (element("Patient"), on_root, False),
        (element("Patient", "DomainResource"), on_root, True),
        (element("Resource"), on_root, True),
        (element("Element"), on_root, True),
        (element("Observation.code"), on_code, True),
        (element("CodeableConcept"), on_code, True),
        (element("Element"), on_code, True),
        (element("Observation"), on_code, False),
        (element("Observation.status"), on_status, True),
        (element("code"), on_status, True),
        (element("Observation.code"), on_status, False),
        (element("Observation.value[x].value"), on_value, True),
        (element("Quantity.value"), on_value, True),
        (element("Quantity"), on_value, False),
        (element("Patient.name"), inside, True),
        (element("HumanName"), inside, True),
        (element("Observation"), inside, False),
        (path("Patient"), on_root, False),
        (path("Observation"), on_root, True),
        (path("DomainResource"), on_root, True),
        (path("Observation.code"), on_root, False),
        (path("Observation.code | Observation"), on_root, True),
        (path("Observation.code.where(text = 'x')"), on_code, True),
        (path("Observation.code.where(text = 'y')"), on_code, False),
        (path("value"), on_quantity, True),
        (path("Observation.value.where(unit.exists())"), on_quantity, False),
        (path("Patient.name"), inside, True),
        (path("Observation.code"), inside, False),
        # Of these nothing can be told.
        (path("Observation.status"), on_status, True),
        (path("Observation.code.memberOf('http://example.org/vs')"), on_root, True),
        (path("Observation.("), on_root, True),
        ([{"type": "extension", "expression": "http://example.org/y"}], on_root, False),
        ([{"type": "extension", "expression": "http://example.org/y"}], within, True),
        ([{"type": "extension", "expression": "http://example.org/z"}], within, False),
        ([{"type": "extension", "expression": "http://example.org/z"}, *element("Observation")], on_root, True),
        ([*path("Observation.subject"), *element("Extension")], within, True),
        ([{"type": "something", "expression": "Patient"}], on_root, True),
        ([], on_root, True),
    ]
    anything = profile("Observation", url="http://example.org/StructureDefinition/anything")
    for context, resource, fits in table:
        definition = profile("Extension", url=url, context=context)
        issues = found(definitions, resource, definition, anything)
        assert bool(issues) is not fits, (context, resource, issues)
