"""Definitions: what FHIR R4 4.0.1 says, and how our own search parameters join it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fhir_server.spec.definitions import Definitions, DefinitionsError, load

OWN = {
    "resourceType": "SearchParameter",
    "url": "https://record.example/fhir/SearchParameter/nickname",
    "code": "nickname",
    "base": ["Patient"],
    "type": "string",
    "expression": "Patient.extension.where(url = 'https://record.example/nickname').value.as(string)",
}


def test_every_resource_type_is_known(definitions: Definitions) -> None:
    assert len(definitions.resource_types) == 146
    assert {"Patient", "Bundle", "Binary", "Parameters"} <= definitions.resource_types
    assert definitions.resource_types.isdisjoint({"Resource", "DomainResource", "HumanName"})


def test_every_parameter_has_a_supported_expression_and_a_key_of_its_own(definitions: Definitions) -> None:
    assert definitions.unsupported == ()
    keys = [each.key for name in definitions.resource_types for each in definitions.search_parameters(name).values()]
    assert len(keys) == len(set(keys)) == 2_582
    assert all(-(2**31) <= key < 2**31 for key in keys)


def test_keys_stay_what_stored_index_rows_say(definitions: Definitions) -> None:
    assert definitions.search_parameters("Patient")["gender"].key == 1868956413
    assert (
        definitions.search_parameters("Observation")["_id"].key != definitions.search_parameters("Patient")["_id"].key
    )


def test_parameters_of_every_resource_are_included(definitions: Definitions) -> None:
    common = {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"}
    assert all(common <= definitions.search_parameters(name).keys() for name in definitions.resource_types)
    assert set(definitions.search_parameters("Binary")) == common


def test_unknown_type_has_no_parameters(definitions: Definitions) -> None:
    for name in ("Resource", "HumanName", "Nonsense", ""):
        with pytest.raises(KeyError):
            definitions.search_parameters(name)


def test_reference_parameter_knows_where_it_can_point_from_this_type(definitions: Definitions) -> None:
    observation = definitions.search_parameters("Observation")
    assert observation["patient"].targets == ("Patient",)
    assert set(observation["subject"].targets) == {"Patient", "Group", "Device", "Location"}
    assert definitions.search_parameters("Encounter")["patient"].targets == ("Patient",)


def test_bound_code_implies_its_system(definitions: Definitions) -> None:
    assert definitions.search_parameters("Patient")["gender"].system == "http://hl7.org/fhir/administrative-gender"
    assert definitions.search_parameters("Observation")["status"].system == "http://hl7.org/fhir/observation-status"
    assert definitions.search_parameters("Observation")["code"].system is None


def test_composite_knows_how_its_parts_compare(definitions: Definitions) -> None:
    composite = definitions.search_parameters("Observation")["code-value-quantity"]
    assert [(part.code, part.type) for part in composite.components] == [
        ("code", "token"),
        ("value-quantity", "quantity"),
    ]


def test_compartments_follow_their_definitions(definitions: Definitions) -> None:
    assert set(definitions.compartments) == {"Patient", "Encounter", "Practitioner", "RelatedPerson", "Device"}
    assert definitions.compartment_parameters("Patient", "Observation") == ("subject", "performer")
    assert definitions.compartment_parameters("Patient", "Patient") == ("_id", "link")
    assert definitions.compartment_parameters("Encounter", "Encounter")[0] == "_id"
    assert definitions.compartment_parameters("Patient", "Medication") == ()
    assert definitions.compartment_parameters("Device", "Observation") == ("subject", "device")
    assert definitions.compartment_parameters("Device", "Device") == ("_id",)


def test_elements_say_what_the_snapshot_says(definitions: Definitions) -> None:
    element = definitions.type("Observation").elements["Observation.value[x]"]
    assert (element.name, element.choice, element.many, element.min) == ("value", True, False, 0)
    children = definitions.fields("Observation")["value"]
    assert ("valueQuantity", "Quantity") in [(child.json_name, child.type) for child in children]
    assert definitions.fields("Observation.component")["referenceRange"][0].context == "Observation.referenceRange"
    assert definitions.fields("Patient")["id"][0].type == "id"
    assert definitions.type("Observation").elements["Observation.status"].summary
    assert definitions.type("Observation").elements["Observation.status"].modifier
    assert definitions.fields("string") == {}


def test_types_know_their_ancestors(definitions: Definitions) -> None:
    assert definitions.is_a("Patient", "DomainResource")
    assert definitions.is_a("Age", "Quantity")
    assert not definitions.is_a("Bundle", "DomainResource")
    assert not definitions.is_a("Nonsense", "Resource")


def test_required_value_sets_are_closed_where_they_can_be_listed(definitions: Definitions) -> None:
    genders = definitions.value_set("http://hl7.org/fhir/ValueSet/administrative-gender")
    assert genders == frozenset({"male", "female", "other", "unknown"})
    assert definitions.value_set("http://hl7.org/fhir/ValueSet/mimetypes") is None
    assert definitions.value_set("https://nowhere.example/ValueSet/x") is None


def test_operations_are_listed(definitions: Definitions) -> None:
    everything = next(each for each in definitions.operations if each.url.endswith("/Patient-everything"))
    assert (everything.code, everything.types, everything.instance) == ("everything", ("Patient",), True)


def test_own_parameter_joins_those_of_its_type() -> None:
    definitions = load(extra=[OWN])
    assert definitions.search_parameters("Patient")["nickname"].type == "string"
    assert "nickname" not in definitions.search_parameters("Person")


@pytest.mark.parametrize(
    "change",
    [
        {"code": "gender"},
        {"base": ["Nonsense"]},
        {"base": ["Resource"], "code": "_id"},
        {"expression": "Patient.name.select(given)"},
        {"expression": None},
        {"type": None},
    ],
)
def test_own_parameter_that_contradicts_the_definitions_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DefinitionsError, match="nickname"):
        load(extra=[OWN | change])


def test_missing_or_damaged_artefact_says_how_to_build_it(tmp_path: Path) -> None:
    damaged = tmp_path / "r4.msgpack"
    with pytest.raises(DefinitionsError, match="build_definitions"):
        load(damaged)
    damaged.write_bytes(b"\x80")
    with pytest.raises(DefinitionsError, match="build it again"):
        load(damaged)
