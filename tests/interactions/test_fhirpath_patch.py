"""FHIRPath Patch: what each operation does to a resource, and what is refused by name."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from fhir_server.interactions.fhirpath_patch import apply
from fhir_server.spec.definitions import load
from fhir_server.spec.json import decode
from fhir_server.spec.outcome import FhirError
from fhir_server.spec.validate import validate

DEFINITIONS = load()
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "identifier": [{"system": f"http://a.test/{name}", "value": name} for name in "abcd"],
    "name": [
        {"use": "official", "family": "Old", "given": ["A", "B", "C"], "_given": [None, {"id": "b"}, None]},
        {"use": "nickname", "given": ["N"]},
    ],
    "birthDate": "1980-01-02",
    "_birthDate": {"extension": [{"url": "http://a.test/x", "valueString": "y"}]},
    "deceasedBoolean": False,
    "contact": [{"name": {"family": "Friend"}}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Inner"}],
    "managingOrganization": {"reference": "#o"},
}


def _operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    part: list[dict[str, Any]] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in parts.items():
        if isinstance(value, dict):
            part.append({"name": name, **value})
        else:
            part.append({"name": name, "valueInteger" if isinstance(value, int) else "valueString": value})
    return {"name": "operation", "part": part}


def _patched(*operations: dict[str, Any]) -> dict[str, Any]:
    given = deepcopy(PATIENT)
    result = apply(DEFINITIONS, given, {"resourceType": "Parameters", "parameter": list(operations)})
    assert given == PATIENT, "the given resource was changed"
    validate(DEFINITIONS, result)
    return result


def _values(result: dict[str, Any]) -> str:
    return "".join(each["value"] for each in result["identifier"])


def test_add_sets_an_element_or_appends_to_a_list() -> None:
    assert _patched(_operation("add", "Patient", name="gender", value={"valueCode": "male"}))["gender"] == "male"
    name = {"valueHumanName": {"text": "X"}}
    assert _patched(_operation("add", "Patient", name="name", value=name))["name"][2] == {"text": "X"}
    # A choice goes by its name without the type.
    result = _patched(
        _operation("delete", "Patient.deceased"),
        _operation("add", "Patient", name="deceased", value={"valueDateTime": "2020"}),
        _operation("add", "Patient", name="maritalStatus", value={"valueCodeableConcept": {"text": "S"}}),
    )
    assert (result["deceasedDateTime"], result["maritalStatus"]) == ("2020", {"text": "S"})
    assert "deceasedBoolean" not in result


def test_what_a_primitive_has_beside_its_value_is_patched_like_an_element() -> None:
    added = {"part": [{"name": "url", "valueUri": "http://a.test/n"}, {"name": "value", "valueString": "new"}]}
    result = _patched(
        _operation("add", "Patient.birthDate", name="extension", value=added),
        _operation("add", "Patient.active", name="extension", value=added),
        _operation("add", "Patient.name[0].given[2]", name="extension", value=added),
        _operation("replace", "Patient.birthDate.extension('http://a.test/x').value", value={"valueString": "z"}),
        _operation("delete", "Patient.name[0].given[1].id"),
    )
    extension = {"url": "http://a.test/n", "valueString": "new"}
    assert result["_active"] == {"extension": [extension]}
    assert result["_birthDate"]["extension"] == [{"url": "http://a.test/x", "valueString": "z"}, extension]
    assert result["name"][0]["_given"] == [None, None, {"extension": [extension]}]
    emptied = _patched(
        _operation("delete", "Patient.birthDate.extension[0]"), _operation("delete", "Patient.name[0].given[1].id")
    )
    assert "_birthDate" not in emptied
    assert "_given" not in emptied["name"][0]


def test_add_puts_an_inline_structure_together_of_parts() -> None:
    parts = [
        {"name": "name", "valueHumanName": {"text": "a name"}},
        {"name": "relationship", "valueCodeableConcept": {"text": "r1"}},
        {"name": "relationship", "valueCodeableConcept": {"text": "r2"}},
    ]
    result = _patched(_operation("add", "Patient", name="contact", value={"part": parts}))
    assert result["contact"][1] == {"name": {"text": "a name"}, "relationship": [{"text": "r1"}, {"text": "r2"}]}


@pytest.mark.parametrize(
    "path, expected",
    [
        ("Patient.name[0].family", "name.0.family"),
        ("name.first().family", "name.0.family"),
        ("Patient.name.where(use = 'official').family", "name.0.family"),
        ("%resource.name.where(use='official' and family='Old').family", "name.0.family"),
        ("Patient.name.where(given='N').given", "name.1.given.0"),
        ("Patient.name.last().given[0]", "name.1.given.0"),
        ("Patient.contact.where(name.family='Friend').name.family", "contact.0.name.family"),
        ("Patient.contained.where(id='o').name", "contained.0.name"),
        ("Patient.identifier.where(system='http://a.test/c').value", "identifier.2.value"),
    ],
)
def test_replace_changes_the_one_element_that_a_path_leads_to(path: str, expected: str) -> None:
    result: Any = _patched(_operation("replace", path, value={"valueString": "new"}))
    for step in expected.split("."):
        result = result[int(step) if step.isdigit() else step]
    assert result == "new"


def test_replace_may_change_the_type_of_a_choice_and_drops_what_was_beside_a_primitive() -> None:
    result = _patched(_operation("replace", "Patient.deceased", value={"valueDateTime": "2021-02-03"}))
    assert result["deceasedDateTime"] == "2021-02-03"
    assert "deceasedBoolean" not in result
    result = _patched(_operation("replace", "Patient.birthDate", value={"valueDate": "1981"}))
    assert result["birthDate"] == "1981"
    assert "_birthDate" not in result


def test_delete_takes_one_element_and_is_content_with_none() -> None:
    result = _patched(
        _operation("delete", "Patient.birthDate"),
        _operation("delete", "Patient.identifier.where(value='b')"),
        _operation("delete", "Patient.name[1].family"),
        _operation("delete", "Patient.contact[0]"),
        _operation("delete", "Patient.name[0].given[0]"),
    )
    assert _values(result) == "acd"
    assert not {"birthDate", "_birthDate", "contact"} & result.keys()
    assert (result["name"][0]["given"], result["name"][0]["_given"]) == (["B", "C"], [{"id": "b"}, None])


def test_insert_and_move_keep_what_is_beside_primitives_in_step() -> None:
    result = _patched(_operation("insert", "Patient.name[0].given", index=0, value={"valueString": "Z"}))
    assert result["name"][0]["given"] == ["Z", "A", "B", "C"]
    assert result["name"][0]["_given"][2] == {"id": "b"}
    result = _patched(_operation("move", "Patient.name[0].given", source=1, destination=2))
    assert result["name"][0]["given"] == ["A", "C", "B"]
    assert result["name"][0]["_given"] == [None, None, {"id": "b"}]
    result = _patched(_operation("insert", "Patient.address", index=0, value={"valueAddress": {"city": "York"}}))
    assert result["address"] == [{"city": "York"}]


@pytest.mark.parametrize(
    "source, destination, expected", [(3, 1, "adbc"), (0, 3, "bcda"), (1, 0, "bacd"), (2, 2, "abcd")]
)
def test_move_takes_an_item_out_and_puts_it_where_it_is_then_to_be(
    source: int, destination: int, expected: str
) -> None:
    assert _values(_patched(_operation("move", "identifier", source=source, destination=destination))) == expected


def test_decimals_and_extensions_of_values_are_kept_as_sent() -> None:
    raw = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10}}'
    patch = (
        b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},'
        b'{"name":"path","valueString":"Observation.value.value"},{"name":"value","valueDecimal":2.500}]}]}'
    )
    result = apply(DEFINITIONS, decode(raw, 1000), decode(patch, 1000))
    assert str(result["valueQuantity"]["value"]) == "2.500"
    extra = {"valueDate": "1981", "_valueDate": {"id": "z"}}
    assert _patched(_operation("replace", "Patient.birthDate", value=extra))["_birthDate"] == {"id": "z"}
    given = {"valueString": "D", "_valueString": {"id": "d"}}
    added = _patched(_operation("add", "Patient.name[1]", name="given", value=given))["name"][1]
    assert (added["given"], added["_given"]) == (["N", "D"], [None, {"id": "d"}])


VALUE = {"valueString": "x"}


@pytest.mark.parametrize(
    "operation, status, said",
    [
        (_operation("replace", "Patient.name.family.matches('a')", value=VALUE), 400, "matches"),
        (_operation("replace", "Patient.name.family | Patient.name", value=VALUE), 400, "'|'"),
        (_operation("replace", "Patient.name[", value=VALUE), 400, "at its end"),
        (_operation("replace", "Patient.name.where(use ~ 'x')", value=VALUE), 400, "'~'"),
        (_operation("replace", "a" * 2_000, value=VALUE), 400, "characters"),
        (_operation("replace", "id" + "[0]" * 100, value=VALUE), 400, "steps"),
        (_operation("replace", "Observation.status", value=VALUE), 422, "Patient"),
        (_operation("replace", "Patient.nickname", value=VALUE), 422, "nickname"),
        (_operation("replace", "Patient.birthDate.extension", value=VALUE), 422, "extension"),
        (_operation("replace", "Patient.name", value={"valueHumanName": {"text": "x"}}), 422, "more than one"),
        (_operation("replace", "Patient.name[7].family", value=VALUE), 422, "no element"),
        (_operation("replace", "Patient", value=VALUE), 422, "PUT"),
        (_operation("replace", "Patient.name[0]", value=VALUE), 422, "HumanName"),
        (_operation("replace", "Patient.deceased", value={"valueQuantity": {"value": 1}}), 422, "boolean, dateTime"),
        (_operation("delete", "Patient.identifier"), 422, "more than one"),
        (_operation("delete", "Patient"), 422, "DELETE"),
        (_operation("add", "Patient", name="active", value={"valueBoolean": True}), 422, "there already"),
        (_operation("add", "Patient", name="deceased", value={"valueDateTime": "2020"}), 422, "there already"),
        (_operation("add", "Patient", name="contact", value=VALUE), 422, "parts"),
        (_operation("add", "Patient", value=VALUE), 400, "name"),
        (_operation("add", "Patient", name="gender", index=1, value=VALUE), 400, "name, path, value"),
        (_operation("insert", "Patient.identifier", index=9, value={"valueIdentifier": {"value": "x"}}), 422, "beyond"),
        (_operation("insert", "Patient.birthDate", index=0, value={"valueDate": "2020"}), 422, "does not repeat"),
        (_operation("insert", "Patient.name[0]", index=0, value={"valueHumanName": {"text": "x"}}), 422, "must end"),
        (_operation("move", "Patient.identifier", source=4, destination=0), 422, "indexes"),
        (_operation("move", "Patient.identifier", source=-1, destination=0), 400, "from 0"),
        (_operation("move", "Patient.photo", source=0, destination=0), 422, "indexes"),
        (_operation("test", "Patient.active", value=VALUE), 400, "add, insert"),
        ({"name": "other", "part": []}, 400, ""),
        ({"name": "operation"}, 422, "inv-1"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(operation: dict[str, Any], status: int, said: str) -> None:
    with pytest.raises(FhirError) as refused:
        _patched(operation)
    assert refused.value.status == status
    assert said in refused.value.diagnostics


def test_the_operation_that_failed_is_named() -> None:
    fine = _operation("delete", "Patient.photo")
    with pytest.raises(FhirError) as refused:
        _patched(fine, _operation("replace", "Patient.nickname", value=VALUE))
    assert refused.value.issues[0].expression == ("Parameters.parameter[1]",)


def test_a_patch_costs_no_more_than_it_may() -> None:
    given = deepcopy(PATIENT)
    given["identifier"] *= 500
    many = [_operation("replace", "Patient.identifier.where(value='zz').value", value=VALUE)] * 3
    looks = {"resourceType": "Parameters", "parameter": [_operation("delete", "identifier.where(value='z')")] * 400}
    with pytest.raises(FhirError, match="too many elements"):
        apply(DEFINITIONS, given, looks)
    with pytest.raises(FhirError, match="no element"):
        apply(DEFINITIONS, given, {"resourceType": "Parameters", "parameter": many})
    with pytest.raises(FhirError, match="at most"):
        apply(DEFINITIONS, given, {"resourceType": "Parameters", "parameter": many * 200})
