"""The FHIR endpoints as OpenAPI paths, from the CapabilityStatement and the registry of operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.admin.fhir_components import (
    ALWAYS,
    WITH_BODY,
    Described,
    answers,
    form_body,
    in_path,
    parameter,
    patch_body,
    resource_body,
    schema,
)
from fhir_server.interactions.model import Operation

_SHOWN = ("format", "pretty")
_FOUND = {200: ("A page of what is found", "Bundle")}
_HISTORY = {200: ("Versions, newest first", "Bundle")}
_READ = {200: ("The resource", "Resource"), 304: ("The caller has this version", "")}
_WRITTEN = {200: ("The new version, as `Prefer` says", "Resource")}
_CREATED = {201: ("Created; the first version, as `Prefer` says", "Resource")}
_DELETED = {204: ("Deleted, or not there", ""), 200: ("Deleted: `Prefer: return=OperationOutcome`", "OperationOutcome")}
_ANSWERED = {200: ("The answer of the operation", "Resource")}
_BEGUN = {202: ("Begun, with `Prefer: respond-async`; `Content-Location` says where its progress is told", "")}
_SEARCHED = (*_SHOWN, "count", "total", "summary", "elements", "criteria")
_LISTED = (*_SHOWN, "since", "at", "count")
_NAMED_TYPES_COUNT = 10
"""Beyond it a path for each type would hide the others."""
_COMPARTMENTS = ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One method of one path.

    Attributes:
        code: Interaction in the CapabilityStatement, whose types `{type}` can be; "" for all of them.
        method, path: The path is below `/fhir`.
        summary: What it does.
        done: Answers that are no refusal.
        parameters: Names of shared parameters.
        body: Of the request, None for none.
        refused: Statuses beside those that every interaction can have.
        versioned: The answer says which version it is about.
    """

    code: str
    method: str
    path: str
    summary: str
    done: Mapping[int, tuple[str, str]]
    parameters: Sequence[str] = ()
    body: Described | None = None
    refused: Sequence[int] = ()
    versioned: bool = False


_CONDITIONAL = ("if-match", "prefer")
_ENDPOINTS = (
    _Endpoint("search-type", "get", "/{type}", "Search", _FOUND, (*_SEARCHED, "prefer")),
    _Endpoint(
        "create",
        "post",
        "/{type}",
        "Create; with criteria in If-None-Exist or in the URL only what they do not find",
        {**_CREATED, 200: ("The one match", "Resource")},
        (*_SHOWN, "criteria", "if-none-exist", "prefer"),
        resource_body(),
        (409, 412),
        versioned=True,
    ),
    _Endpoint(
        "update",
        "put",
        "/{type}",
        "Update the one match, or create",
        _WRITTEN | _CREATED,
        (*_SHOWN, "criteria", *_CONDITIONAL),
        resource_body(),
        (409, 412),
        versioned=True,
    ),
    _Endpoint(
        "patch",
        "patch",
        "/{type}",
        "Change parts of the one match",
        _WRITTEN,
        (*_SHOWN, "criteria", *_CONDITIONAL),
        patch_body(),
        (409, 412),
        versioned=True,
    ),
    _Endpoint(
        "delete",
        "delete",
        "/{type}",
        "Delete the one match",
        _DELETED,
        (*_SHOWN, "criteria", *_CONDITIONAL),
        refused=(409, 412, 422),
    ),
    _Endpoint(
        "search-type",
        "post",
        "/{type}/_search",
        "Search, with the parameters in a form",
        _FOUND,
        (*_SEARCHED, "prefer"),
        form_body(),
    ),
    _Endpoint("history-type", "get", "/{type}/_history", "History of a type", _HISTORY, (*_LISTED, "prefer")),
    _Endpoint(
        "read",
        "get",
        "/{type}/{id}",
        "Read",
        _READ,
        (*_SHOWN, "cut", "elements", "if-none-match", "prefer"),
        refused=(410,),
        versioned=True,
    ),
    _Endpoint(
        "update",
        "put",
        "/{type}/{id}",
        "Update, or create under this id",
        _WRITTEN | _CREATED,
        (*_SHOWN, *_CONDITIONAL),
        resource_body(),
        (409, 412),
        versioned=True,
    ),
    _Endpoint(
        "patch",
        "patch",
        "/{type}/{id}",
        "Change parts",
        _WRITTEN,
        (*_SHOWN, *_CONDITIONAL),
        patch_body(),
        (409, 412),
        versioned=True,
    ),
    _Endpoint(
        "delete",
        "delete",
        "/{type}/{id}",
        "Delete",
        _DELETED,
        (*_SHOWN, *_CONDITIONAL),
        refused=(409, 412, 422),
    ),
    _Endpoint("history-instance", "get", "/{type}/{id}/_history", "History", _HISTORY, (*_LISTED, "prefer")),
    _Endpoint(
        "vread",
        "get",
        "/{type}/{id}/_history/{version}",
        "Read a version",
        _READ,
        (*_SHOWN, "cut", "elements", "if-none-match", "prefer"),
        refused=(410,),
        versioned=True,
    ),
    _Endpoint("", "get", "/{compartment}/{id}/{type}", "Search in a compartment", _FOUND, (*_SEARCHED, "prefer")),
    _Endpoint(
        "",
        "post",
        "/{compartment}/{id}/{type}/_search",
        "Search in a compartment, with the parameters in a form",
        _FOUND,
        (*_SEARCHED, "prefer"),
        form_body(),
    ),
    _Endpoint("", "get", "", "Search all types; `_type` names some", _FOUND, (*_SEARCHED, "prefer")),
    _Endpoint("", "post", "/_search", "Search all types, by form", _FOUND, (*_SEARCHED, "prefer"), form_body()),
    _Endpoint("", "get", "/_history", "History of all types; `_type` names some", _HISTORY, (*_LISTED, "prefer")),
    _Endpoint(
        "",
        "post",
        "",
        "Transaction or batch",
        {200: ("What became of each entry", "Bundle")},
        (*_SHOWN, "prefer"),
        resource_body("Bundle"),
        (409, 410, 412),
    ),
)


@dataclass(slots=True)
class FhirPaths:
    """Paths of the FHIR endpoints, and the types that they are for as shapes.

    Attributes:
        schemas: Shapes of `{type}`, for the components of the document.
        paths: Path items.
    """

    schemas: dict[str, Described] = field(default_factory=dict)
    paths: dict[str, Described] = field(default_factory=dict)


def fhir_paths(rest: Mapping[str, Any], operations: Iterable[Operation]) -> FhirPaths:
    """Return the paths.

    Args:
        rest: `rest` of the CapabilityStatement.
        operations: The registry.
    """
    made = FhirPaths()
    types = {item["type"]: {each["code"] for each in item["interaction"]} for item in rest["resource"]}
    made.paths["/fhir/metadata"] = {
        "get": {
            "tags": ["fhir"],
            "summary": "What this server can do",
            "security": [],
            "parameters": [parameter(name) for name in (*_SHOWN, "mode")],
            "responses": answers({200: ("The statement", "Resource")}, (400, 406)),
        }
    }
    for endpoint in _ENDPOINTS:
        named = _type_shape(made.schemas, endpoint, types)
        _add(made.paths, endpoint, [*_placeholders(endpoint.path, named)])
    for operation in operations:
        for endpoint in _operation_endpoints(operation):
            _add(made.paths, endpoint, [*_placeholders(endpoint.path, "ResourceType")])
    return made


def _type_shape(schemas: dict[str, Described], endpoint: _Endpoint, types: Mapping[str, Iterable[str]]) -> str:
    """Return the name of the shape of `{type}`: all types, or those that have the interaction."""
    schemas.setdefault("ResourceType", {"type": "string", "enum": sorted(types)})
    able = sorted(name for name, codes in types.items() if endpoint.code in codes)
    if not able or able == sorted(types):
        return "ResourceType"
    schemas.setdefault("WritableType", {"type": "string", "enum": able})
    # INVARIANT: one shape for all that AuditEvents lack; another set of types would need a name of its own.
    return "WritableType"


def _placeholders(path: str, type_shape: str) -> Iterator[Described]:
    if "{compartment}" in path:
        yield in_path("compartment", {"type": "string", "enum": list(_COMPARTMENTS)})
    if "{type}" in path:
        yield in_path("type", schema(type_shape))
    if "{id}" in path:
        yield in_path("id", schema("Id"))
    if "{version}" in path:
        yield in_path("version", schema("VersionId"))


def _add(paths: dict[str, Described], endpoint: _Endpoint, placeholders: Sequence[Described]) -> None:
    refused = (*ALWAYS, *endpoint.refused, *(WITH_BODY if endpoint.body else ()))
    described: Described = {
        "tags": ["fhir"],
        "summary": endpoint.summary,
        "parameters": [*placeholders, *(parameter(name) for name in endpoint.parameters)],
        "responses": answers(endpoint.done, refused, versioned=endpoint.versioned),
    }
    if endpoint.body:
        described["requestBody"] = endpoint.body
    paths.setdefault(f"/fhir{endpoint.path}", {})[endpoint.method] = described


def _operation_endpoints(operation: Operation) -> Iterator[_Endpoint]:
    for path in _operation_paths(operation):
        summary = f"Operation ${operation.code}"
        refused = (409, 410, 412, 422, 429)
        # Without a body the parameters are those of the URL.
        body = resource_body("Anything" if operation.code == "validate" else "Resource", required=False)
        names = (*_SHOWN, "criteria")
        done = _BEGUN if operation.code == "export" else _ANSWERED
        yield _Endpoint("", "post", path, summary, done, names, body, refused)
        if not operation.writes:
            yield _Endpoint("", "get", path, summary, done, names, refused=refused)


def _operation_paths(operation: Operation) -> Iterator[str]:
    end = f"/${operation.code}"
    if "system" in operation.levels:
        yield end
    types = ("Resource",) if len(operation.types) > _NAMED_TYPES_COUNT else operation.types
    for name in types:
        place = "/{type}" if name == "Resource" else f"/{name}"
        if "type" in operation.levels:
            yield f"{place}{end}"
        if "instance" in operation.levels:
            yield f"{place}/{{id}}{end}"
