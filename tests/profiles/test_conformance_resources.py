"""Our own conformance resources in ``profiles/``."""

import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_server.operations import BY_CODE

BASE = "https://fhir-server.example.org"
FILES = sorted((Path(__file__).parents[2] / "profiles").glob("*.json"))
RESOURCES = [json.loads(path.read_bytes()) for path in FILES]

each_resource = pytest.mark.parametrize("resource", RESOURCES, ids=[path.stem for path in FILES])


@each_resource
def test_a_resource_is_valid(resource: dict[str, Any]) -> None:
    # R4B describes these three types exactly as R4 does.
    model = get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    assert model.get_resource_type() == resource["resourceType"]


@each_resource
def test_a_canonical_is_where_the_resource_is_served(resource: dict[str, Any]) -> None:
    assert resource["url"] == f"{BASE}/{resource['resourceType']}/{resource['id']}"


def test_a_file_is_named_after_its_resource() -> None:
    assert [path.stem for path in FILES] == [f"{one['resourceType']}-{one['id']}" for one in RESOURCES]


def test_every_operation_has_its_definition_and_every_definition_its_operation() -> None:
    codes = {one["code"] for one in RESOURCES if one["resourceType"] == "OperationDefinition"}
    assert codes == set(BY_CODE)


def test_the_four_privacy_labels_are_defined() -> None:
    (labels,) = (one for one in RESOURCES if one["resourceType"] == "CodeSystem" and one["id"] == "privacy-label")
    codes = [concept["code"] for concept in labels["concept"]]
    assert codes == ["general", "mental-health", "sexual-health", "social-care"]
    assert labels["count"] == len(codes)
