"""An active SearchParameter of the operator is one more parameter: checked, indexed while serving, then searched."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fhir_server.interactions import own_parameters
from fhir_server.interactions.own_parameters import Current
from fhir_server.interactions.reindexing import rebuild
from fhir_server.search.parse import parse
from fhir_server.spec.definitions import load
from fhir_server.spec.outcome import FhirError
from fhir_server.spec.own_parameters import check, extended
from tests.interactions.an_own_parameter import (
    EYES,
    base_of,
    forget,
    index_all,
    parameter,
    part,
    patient_with,
    put,
)
from tests.server import Server

Json = dict[str, Any]


def test_a_parameter_is_refused_until_all_is_indexed_and_then_finds_old_and_new(server: Server) -> None:
    token = server.operator()
    for number in range(130):
        server.put(patient_with(f"old{number}", "Blue" if number % 2 else "brown"), token)
    assert "not supported" in server.get("Patient?eyes=blue", token, 400)["issue"][0]["diagnostics"]
    put(server, token)
    for path in (
        "Patient?eyes=blue",
        "Observation?subject:Patient.eyes=blue",
        "Patient?_sort=eyes",
        "Patient?eyes:missing=true",
    ):
        said = server.get(path, token, 400)["issue"][0]["diagnostics"]
        assert "is being indexed" in said or "cannot order" in said
    assert own_parameters.index_due(base_of(server)) == 0, "other processes have not heard of it yet"
    server.put(patient_with("between", "blue"), token)
    server.clock.advance(seconds=6)
    index_all(server)
    forget(server)
    server.put(patient_with("new", "BLUE"), token)
    found = server.ids("Patient?eyes=blue&_count=200", token)
    assert found == {f"Patient/old{n}" for n in range(130) if n % 2} | {"Patient/between", "Patient/new"}
    server.put({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "t"},
                "subject": {"reference": "Patient/new"}}, token)  # fmt: skip
    assert server.ids("Observation?subject:Patient.eyes=blu", token) == {"Observation/o"}


def _lens(logical_id: str, *lenses: tuple[str, float]) -> Json:
    extensions = [
        {
            "url": EYES,
            "extension": [
                {"url": "side", "valueCode": side},
                {"url": "power", "valueQuantity": {"value": power, "unit": "dpt"}},
            ],
        }
        for side, power in lenses
    ]
    return {"resourceType": "Patient", "id": logical_id, "extension": extensions}


def test_a_composite_finds_parts_that_stand_together_and_keeps_the_parameters_it_is_made_of(server: Server) -> None:
    token = server.operator()
    server.put(_lens("a", ("left", 2), ("right", 5)), token)
    server.put(_lens("b", ("left", 5), ("right", 2)), token)
    server.put({"resourceType": "Patient", "id": "none"}, token)
    power = {
        **parameter(type="quantity", expression=f"Patient.extension('{EYES}').extension('power').value.as(Quantity)"),
        "id": "power", "code": "lens-power", "url": "http://example.org/SearchParameter/power",
    }  # fmt: skip
    made = {
        "type": "composite",
        "component": [
            {**part("individual-gender", "extension('side').value")},
            {"definition": f"{power['url']}|1", "expression": "extension('power').value.as(Quantity)"},
        ],
    }
    assert "component[1].definition" in server.call("PUT", "SearchParameter/eyes", token, parameter(**made)).text
    server.put(power, token)
    put(server, token, **made)
    assert "being indexed" in server.get("Patient?eyes=left$gt3", token, 400)["issue"][0]["diagnostics"]
    server.clock.advance(seconds=6)
    index_all(server)
    forget(server)
    server.put(_lens("c", ("left", 7)), token)
    server.put({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "t"},
                "subject": {"reference": "Patient/b"}}, token)  # fmt: skip
    for query, found in (
        ("eyes=left$gt3", {"Patient/b", "Patient/c"}),
        ("eyes=left$2,right$2", {"Patient/a", "Patient/b"}),
        ("eyes=left$2&eyes=right$2", set()),
        ("eyes=right$7", set()),
        ("eyes:missing=true", {"Patient/none"}),
        ("lens-power=gt6", {"Patient/c"}),
        ("_sort=-lens-power&_count=1", {"Patient/c"}),
    ):
        assert server.ids(f"Patient?{query}", token) == found, query
    assert server.ids("Observation?subject:Patient.eyes=left$5", token) == {"Observation/o"}
    assert "[gender]$[lens-power]" in server.get("Patient?eyes=left", token, 400)["issue"][0]["diagnostics"]

    for refused in (
        server.call("DELETE", "SearchParameter/power", token),
        server.call("PUT", "SearchParameter/power", token, {**power, "status": "retired"}),
        server.call("PUT", "SearchParameter/power", token, {**power, "type": "string"}),
        server.call("PUT", "SearchParameter/power", token, {**power, "url": "http://example.org/other"}),
    ):
        assert refused.status_code == 422
        assert "eyes is made of this one" in refused.text
    server.put({**power, "description": "Dioptres"}, token)
    server.call("DELETE", "SearchParameter/eyes", token)
    assert server.call("DELETE", "SearchParameter/power", token).status_code in {200, 204}
    forget(server)
    server.get("Patient?lens-power=1", token, 400)


def test_a_parameter_of_any_type_is_searched_chained_sorted_and_followed_as_those_of_fhir(server: Server) -> None:
    token = server.operator()
    values: Mapping[str, tuple[str, str, Any, Any]] = {
        "string": ("valueString", "gréy", "Green", "Grey"),
        "token": (
            "valueCoding",
            "http://a|x",
            {"system": "http://b", "code": "x"},
            {"system": "http://a", "code": "x"},
        ),
        "date": ("valuePeriod", "sa2020", {"end": "2019"}, {"start": "2021"}),
        "number": ("valueDecimal", "gt2", 1.5, 2.5),
        "quantity": ("valueQuantity", "gt2", {"value": 1}, {"value": 3}),
        "uri": ("valueUri", "urn:b", "urn:a", "urn:b"),
        "reference": ("valueReference", "Patient/p1", {"reference": "Patient/p0"}, {"reference": "Patient/p1"}),
    }
    for kind, (name, _, _, _) in values.items():
        expression = f"Patient.extension('{EYES}-{kind}').value.as({name[5:6].lower() + name[6:]})"
        if kind in {"token", "date", "quantity", "reference"}:
            expression = f"Patient.extension('{EYES}-{kind}').value.as({name[5:]})"
        url = f"http://example.org/SearchParameter/{kind}"
        server.put(parameter(id=f"own-{kind}", url=url, code=f"own-{kind}", type=kind, expression=expression), token)
    for number in (0, 1):
        extensions = [{"url": f"{EYES}-{kind}", each[0]: each[2 + number]} for kind, each in values.items()]
        server.put({"resourceType": "Patient", "id": f"p{number}", "extension": extensions}, token)
        server.put({"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "t"},
                    "subject": {"reference": f"Patient/p{number}"}}, token)  # fmt: skip
    server.put({"resourceType": "Patient", "id": "p2"}, token)
    server.clock.advance(seconds=6)
    for _ in values:
        index_all(server)
    forget(server)
    for kind, (_, value, _, _) in values.items():
        code = f"own-{kind}"
        assert server.ids(f"Patient?{code}={value}", token) == {"Patient/p1"}, kind
        assert server.ids(f"Patient?{code}:missing=true", token) == {"Patient/p2"}, kind
        assert server.ids(f"Observation?patient.{code}={value}", token) == {"Observation/o1"}, kind
        ordered = [each["resource"]["id"] for each in server.get(f"Patient?_sort={code}", token)["entry"]]
        assert ordered[-1] == "p2", kind
        assert kind in {"reference", "token"} or ordered == ["p0", "p1", "p2"], kind
    included = server.ids("Patient?_id=p1&_include=Patient:own-reference&_revinclude=Patient:own-reference", token)
    assert included == {"Patient/p1"}
    assert server.ids("Patient?_id=p0&_revinclude=Patient:own-reference", token) == {"Patient/p0"}
    assert server.ids("Patient?_has:Patient:own-reference:own-number=gt2", token) == {"Patient/p1"}


def test_progress_is_for_the_operator(server: Server) -> None:
    token = server.operator()
    server.put(patient_with("p", "blue"), token)
    assert server.get("$reindex", token) == {"resourceType": "Parameters"}
    put(server, token)

    def told() -> list[Any]:
        parts = server.get("$reindex", token)["parameter"][0]["part"]
        return [next(value for name, value in part.items() if name != "name") for part in parts]

    assert told() == [parameter()["url"], "eyes", "indexing", 0]
    server.clock.advance(seconds=6)
    index_all(server)
    assert told() == [parameter()["url"], "eyes", "ready", 1]
    server.get("$reindex", server.token("Patient/p"), 403)


def test_taking_it_back_by_status_or_deletion_makes_it_unknown(server: Server) -> None:
    token = server.operator()
    server.put(patient_with("p", "blue"), token)
    for take_back in (
        lambda: server.put(parameter(status="retired"), token),
        lambda: server.call("DELETE", "SearchParameter/eyes", token),
    ):
        put(server, token)
        server.clock.advance(seconds=6)
        index_all(server)
        forget(server)
        assert server.ids("Patient?eyes=blue", token) == {"Patient/p"}
        take_back()
        forget(server)
        assert "not supported" in server.get("Patient?eyes=blue", token, 400)["issue"][0]["diagnostics"]


def test_another_definition_is_indexed_anew(server: Server) -> None:
    token = server.operator()
    server.put({**patient_with("p", "blue"), "name": [{"text": "Green"}]}, token)
    put(server, token)
    server.clock.advance(seconds=6)
    index_all(server)
    put(server, token, expression="Patient.name.text")
    assert "being indexed" in server.get("Patient?eyes=green", token, 400)["issue"][0]["diagnostics"]
    server.clock.advance(seconds=6)
    index_all(server)
    forget(server)
    assert server.ids("Patient?eyes=green", token) == {"Patient/p"}
    assert server.ids("Patient?eyes=blue", token) == set()


def test_every_process_hears_of_it_and_a_reindex_keeps_it(server: Server) -> None:
    token = server.operator()
    other = Current(load(), server.store)
    assert "eyes" not in other().search_parameters("Patient")
    server.put(patient_with("p", "blue"), token)
    put(server, token)
    deadline = time.monotonic() + 10
    while "eyes" not in other().search_parameters("Patient") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "eyes" in other().search_parameters("Patient")
    server.clock.advance(seconds=6)
    index_all(server)
    forget(server)
    base = base_of(server)
    assert sum(rebuild(replace(base, definitions=Current(base.definitions, server.store)())))
    assert server.ids("Patient?eyes=blue", token) == {"Patient/p"}


@pytest.mark.parametrize("kind", ["string", "token", "reference", "date", "uri"])
def test_values_of_another_type_than_the_parameter_has_stop_no_write(server: Server, kind: str) -> None:
    token = server.operator()
    put(server, token, type=kind)
    values: Mapping[str, Any] = {
        "String": "a", "Boolean": True, "Decimal": 1.5, "Integer": 1, "Date": "2000", "DateTime": "2000-01-01",
        "Period": {"start": "2000"}, "Quantity": {"value": 1}, "Coding": {"code": "a"}, "Code": "a",
        "CodeableConcept": {"text": "a"}, "Identifier": {"value": "a"}, "Reference": {"reference": "Patient/p"},
        "HumanName": {"text": "a"}, "Timing": {"event": ["2000"]}, "Range": {"low": {"value": 1}}, "Uri": "a:b",
        "Base64Binary": "YQ==", "Money": {"value": 1},
        "Age": {"value": 1, "system": "http://unitsofmeasure.org", "code": "a"},
        "Annotation": {"text": "a"},
        "ContactPoint": {"system": "phone", "value": "a"},
        "Ratio": {"numerator": {"value": 1}, "denominator": {"value": 2}}, "Time": "12:00:00",
    }  # fmt: skip
    extensions = [{"url": EYES, f"value{name}": value} for name, value in values.items()]
    server.put({"resourceType": "Patient", "id": "p", "extension": extensions}, token)


def test_a_parameter_of_every_type_of_resource_is_known_to_all() -> None:
    resource = parameter(base=["DomainResource"], type="token", expression="DomainResource.language", code="tongue")
    with pytest.raises(FhirError):
        parse(load(), "Patient", [("tongue", "de")], fhir_base="http://x")
    made = extended(load(), [resource], frozenset())
    check(load(), resource)
    for kind in ("Patient", "Observation", "Basic"):
        assert parse(made, kind, [("tongue", "de")], fhir_base="http://x").criteria


def test_the_capability_statement_names_a_parameter_once_it_can_be_searched_with(server: Server) -> None:
    token = server.operator()

    def named(path: str = "metadata") -> list[str]:
        (patient,) = [each for each in server.get(path, "")["rest"][0]["resource"] if each["type"] == "Patient"]
        return [each["definition"] for each in patient["searchParam"] if each["name"] == "eyes"]

    server.put(patient_with("p", "blue"), token)
    assert named() == []
    put(server, token)
    assert named() == []
    server.clock.advance(seconds=6)
    index_all(server)
    forget(server)
    assert named() == ["http://example.org/SearchParameter/eyes"]
    assert b'"eyes"' in server.call("GET", "metadata").data
    assert b'value="eyes"' in server.call("GET", "metadata", headers={"Accept": "application/fhir+xml"}).data
    assert server.ids("Patient?eyes=blue", token) == {"Patient/p"}
    server.call("DELETE", "SearchParameter/eyes", token)
    forget(server)
    assert named() == []
    assert b'value="eyes"' not in server.call("GET", "metadata", headers={"Accept": "application/fhir+xml"}).data
