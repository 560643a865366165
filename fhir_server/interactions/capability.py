"""CapabilityStatement, generated from the registries: verbs, definitions, operations (https://hl7.org/fhir/R4/capabilitystatement.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fhir_server.interactions import audit_query
from fhir_server.interactions.model import Operation
from fhir_server.interactions.patching import JSON_PATCH, MERGE_PATCH
from fhir_server.search import lists, text
from fhir_server.spec.definitions import Definitions, SearchParameter
from fhir_server.spec.values import instant_text
from fhir_server.spec.xml_patch import XML_PATCH

SEARCH_TYPES = frozenset({"number", "date", "string", "token", "reference", "composite", "quantity", "uri"})
_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
_READ_ONLY = ("read", "search-type")
_FILTER = {"name": "_filter", "type": "special"}
_CANONICAL = "https://fhir-server.example.org"


def statement(
    definitions: Definitions,
    operations: Iterable[Operation],
    *,
    fhir_base: str,
    software_version: str,
    security: Mapping[str, Any],
    now: datetime,
    deletes_several: bool = False,
) -> dict[str, Any]:
    """Return the CapabilityStatement of this server.

    Args:
        definitions: Types and search parameters served.
        operations: The registry of operations.
        fhir_base: Service base URL.
        software_version: Version of this software.
        security: `rest.security`, from the authorization server.
        now: When it was generated.
        deletes_several: Whether a conditional delete may delete more than one resource.
    """
    known = tuple(operations)
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant_text(now),
        "kind": "instance",
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "software": {"name": "fhir-server", "version": software_version},
        "implementation": {"description": "The record that belongs to the patient", "url": fhir_base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json", "application/fhir+xml", "xml"],
        "patchFormat": [JSON_PATCH, MERGE_PATCH, XML_PATCH, "application/fhir+json", "application/fhir+xml"],
        "rest": [
            {
                "mode": "server",
                "security": dict(security),
                "resource": [
                    _resource(definitions, name, known, deletes_several=deletes_several)
                    for name in sorted(definitions.resource_types)
                ],
                "operation": [_operation(operation) for operation in known if "system" in operation.levels],
                "interaction": [
                    {"code": "transaction"},
                    {"code": "batch"},
                    {"code": "search-system"},
                    {"code": "history-system"},
                ],
                "searchParam": [*(_parameter(item) for item in _shared(definitions)), _FILTER],
            }
        ],
    }


def _shared(definitions: Definitions) -> list[SearchParameter]:
    """Return the parameters of every type: those of a search of the whole system."""
    first, *others = (definitions.search_parameters(name) for name in sorted(definitions.resource_types))
    shared = [item for code, item in sorted(first.items()) if all(code in other for other in others)]
    return [*_served(definitions, shared), *text.PARAMETERS.values(), lists.PARAMETER]


def _served(definitions: Definitions, parameters: Iterable[SearchParameter]) -> list[SearchParameter]:
    """Return those that a search may use: not one whose index is being made."""
    return [item for item in parameters if item.type in SEARCH_TYPES and item.url not in definitions.unready]


def _resource(
    definitions: Definitions, name: str, operations: tuple[Operation, ...], *, deletes_several: bool
) -> dict[str, Any]:
    if name == "AuditEvent":
        return {
            "type": name,
            **_profiles(definitions, name),
            "interaction": [{"code": code} for code in _READ_ONLY],
            "versioning": "no-version",
            "searchParam": [_audit_parameter(definitions, code) for code in audit_query.SUPPORTED],
        }
    parameters = _served(definitions, definitions.search_parameters(name).values())
    parameters += (*text.PARAMETERS.values(), lists.PARAMETER)
    references = [item.code for item in parameters if item.type == "reference"]
    described: dict[str, Any] = {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        **_profiles(definitions, name),
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple" if deletes_several else "single",
        "referencePolicy": ["literal", "logical"],
        "searchInclude": [f"{name}:{code}" for code in sorted(references)],
        "searchParam": [_parameter(item) for item in sorted(parameters, key=lambda item: item.code)],
    }
    if not references:
        del described["searchInclude"]
    if own := [_operation(operation) for operation in operations if not {name, "Resource"}.isdisjoint(operation.types)]:
        described["operation"] = own
    return described


def _profiles(definitions: Definitions, name: str) -> dict[str, list[str]]:
    """Return the profiles that a resource is held to where it claims them."""
    known = definitions.profiles.of_type(name)
    return {"supportedProfile": list(known)} if known else {}


def _audit_parameter(definitions: Definitions, code: str) -> dict[str, Any]:
    parameter = definitions.search_parameters("AuditEvent").get(code)
    # R4 defines no parameter for the purpose of an event; ours is a token.
    return _parameter(parameter) if parameter else {"name": code, "type": "token"}


def _parameter(parameter: SearchParameter) -> dict[str, Any]:
    described = {"name": parameter.code, "type": parameter.type}
    return described | ({"definition": parameter.url} if parameter.url else {})


def _operation(operation: Operation) -> dict[str, Any]:
    return {"name": operation.code, "definition": f"{_CANONICAL}/OperationDefinition/{operation.code}"}
