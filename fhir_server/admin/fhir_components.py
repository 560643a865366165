"""The parts that descriptions of FHIR endpoints share in the OpenAPI document: shapes, parameters, bodies, answers.

A resource is described as far as every resource is alike; its own definition is
https://hl7.org/fhir/R4/resourcelist.html. XML is text here: OpenAPI cannot say what FHIR XML looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.interactions.patching import JSON_PATCH, MERGE_PATCH
from fhir_server.spec.xml_patch import XML_PATCH

Described = dict[str, Any]

JSON = "application/fhir+json"
XML = "application/fhir+xml"
FORM = "application/x-www-form-urlencoded"
_TEXT: Described = {"schema": {"type": "string"}}
_ETAG = 'W/"[0-9]{1,10}"'
_REFUSALS = {
    400: "What was sent is not understood; the OperationOutcome names the parameter or element, and what is allowed",
    401: "No valid access token",
    403: "The token or its owner may not do this, whatever the record is",
    404: "Not known: absent and hidden are one answer",
    405: "Not a method of this URL; `Allow` names those that are",
    406: "None of the formats that the caller takes",
    409: "The id is taken, or something changed at the same time",
    410: "Deleted",
    412: "`If-Match` names another version, or criteria match several",
    413: "Longer than is accepted",
    415: "The media type, charset or encoding of the body is not supported",
    422: "Not valid, or a rule that cannot be enforced; every problem is an issue with its `expression`",
    429: "Too many tries; see `Retry-After`",
    503: "Cannot be answered now; nothing was changed",
}
ALWAYS = (400, 401, 403, 404, 406, 503)
"""Statuses that every interaction with the record can have."""
WITH_BODY = (413, 415, 422)

SCHEMAS: dict[str, Described] = {
    "Resource": {
        "type": "object",
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"type": "string", "description": "Type of the resource, as in the URL"},
            "id": {"$ref": "#/components/schemas/Id"},
            "meta": {"type": "object", "description": "Version, instant, profiles, labels, tags"},
        },
        "additionalProperties": True,
    },
    "OperationOutcome": {
        "type": "object",
        "required": ["resourceType", "issue"],
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "issue": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Issue"}},
        },
    },
    "Issue": {
        "type": "object",
        "required": ["severity", "code"],
        "properties": {
            "severity": {"enum": ["fatal", "error", "warning", "information"]},
            "code": {"type": "string", "description": "Of http://hl7.org/fhir/ValueSet/issue-type"},
            "diagnostics": {"type": "string", "description": "What is wrong, and what is allowed"},
            "expression": {"type": "array", "items": {"type": "string"}, "description": "FHIRPath of the elements"},
        },
    },
    "Bundle": {
        "type": "object",
        "required": ["resourceType", "type"],
        "properties": {
            "resourceType": {"const": "Bundle"},
            "type": {"type": "string", "description": "searchset, history, transaction-response, batch-response"},
            "total": {"type": "integer", "minimum": 0},
            "link": {"type": "array", "items": {"type": "object", "required": ["relation", "url"]}},
            "entry": {"type": "array", "items": {"type": "object"}},
        },
    },
    "Parameters": {
        "type": "object",
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"const": "Parameters"},
            "parameter": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        },
    },
    "JsonPatch": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["op", "path"],
            "properties": {
                "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string", "description": "JSON Pointer"},
            },
        },
    },
    "Anything": {"description": "A resource; what is wrong with it is the answer"},
    "MergePatch": {"type": "object", "description": "Members to replace; null removes (RFC 7396)"},
    "Id": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
    "VersionId": {"type": "string", "pattern": "^[0-9]{1,9}$"},
}

PARAMETERS: dict[str, Described] = {
    "format": {
        "name": "_format",
        "in": "query",
        "description": "`json`, `xml` or a media type of them; goes before `Accept`",
        "schema": {"type": "string", "examples": ["json", "xml"]},
    },
    "pretty": {
        "name": "_pretty",
        "in": "query",
        "description": "Indented",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "summary": {
        "name": "_summary",
        "in": "query",
        "description": "A part of each resource; `count` of a search alone",
        "schema": {"type": "string", "enum": ["true", "text", "data", "count", "false"]},
    },
    "cut": {
        "name": "_summary",
        "in": "query",
        "description": "A part of the resource",
        "schema": {"type": "string", "enum": ["true", "text", "data", "false"]},
    },
    "elements": {
        "name": "_elements",
        "in": "query",
        "description": "These elements alone, and those that every resource must have",
        "schema": {"type": "string"},
    },
    "count": {
        "name": "_count",
        "in": "query",
        "description": "Size of a page, at most 1,000; 0 for the total alone",
        "schema": {"type": "integer", "minimum": 0},
    },
    "total": {
        "name": "_total",
        "in": "query",
        "description": "Whether to count all matches",
        "schema": {"type": "string", "enum": ["accurate", "estimate", "none"]},
    },
    "since": {
        "name": "_since",
        "in": "query",
        "description": "Versions made at or after this instant",
        "schema": {"type": "string", "format": "date-time"},
    },
    "at": {
        "name": "_at",
        "in": "query",
        "description": "Versions that were current at some time of this date or instant",
        "schema": {"type": "string"},
    },
    "mode": {
        "name": "mode",
        "in": "query",
        "description": "Which statement of capabilities",
        "schema": {"type": "string", "enum": ["full", "normative", "terminology"]},
    },
    "criteria": {
        "name": "criteria",
        "in": "query",
        "description": "Search parameters: the CapabilityStatement lists those of each type",
        "style": "form",
        "explode": True,
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "if-match": {
        "name": "If-Match",
        "in": "header",
        "description": "Only if this is the current version",
        "schema": {"type": "string", "examples": ['W/"1"']},
    },
    "if-none-match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Answer 304 if this is the version",
        "schema": {"type": "string", "examples": ['W/"1"', "*"]},
    },
    "if-none-exist": {
        "name": "If-None-Exist",
        "in": "header",
        "description": "Search criteria: create only what they do not find",
        "schema": {"type": "string"},
    },
    "prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`return=minimal`, `representation` or `OperationOutcome`; `handling=strict` or `lenient`",
        "schema": {"type": "string"},
    },
}

_VERSION_HEADERS: Mapping[str, Described] = {
    "ETag": {"description": "Version", "schema": {"type": "string", "pattern": f"^{_ETAG}$"}},
    "Last-Modified": {"description": "Instant of the version", "schema": {"type": "string"}},
}
_LOCATION: Mapping[str, Described] = {
    "Location": {"description": "Address of the version", "schema": {"type": "string"}}
}


def components() -> dict[str, dict[str, Described]]:
    """Return everything that the paths refer to."""
    refusals = {str(status): _refusal(status) for status in _REFUSALS}
    return {"schemas": SCHEMAS, "parameters": PARAMETERS, "responses": refusals}


def schema(name: str) -> Described:
    """Return a reference to a shape."""
    return {"$ref": f"#/components/schemas/{name}"}


def parameter(name: str) -> Described:
    """Return a reference to a parameter."""
    return {"$ref": f"#/components/parameters/{name}"}


def in_path(name: str, shape: Mapping[str, Any], description: str = "") -> Described:
    """Return a placeholder of a path."""
    described = {"name": name, "in": "path", "required": True, "schema": dict(shape)}
    return described | ({"description": description} if description else {})


def resource_body(name: str = "Resource", *, required: bool = True) -> Described:
    """Return a body that is a resource."""
    return {"required": required, "content": {JSON: {"schema": schema(name)}, XML: _TEXT}}


def patch_body() -> Described:
    """Return a body that is a patch of any kind."""
    content = {
        JSON_PATCH: {"schema": schema("JsonPatch")},
        MERGE_PATCH: {"schema": schema("MergePatch")},
        XML_PATCH: _TEXT,
        JSON: {"schema": schema("Parameters")},
        XML: _TEXT,
    }
    return {"required": True, "content": content}


def form_body() -> Described:
    """Return a body that is a form of search parameters."""
    shape = {"type": "object", "additionalProperties": {"type": "string"}}
    return {"content": {FORM: {"schema": shape}}}


def answers(done: Mapping[int, tuple[str, str]], refused: Iterable[int], *, versioned: bool = False) -> Described:
    """Return the answers of an interaction.

    Args:
        done: By status: what it means and the name of the shape of its body, "" for none.
        refused: Statuses that have an OperationOutcome.
        versioned: Answers say which version they are about.
    """
    found: Described = {}
    for status, (meaning, shape) in done.items():
        found[str(status)] = {"description": meaning}
        if shape:
            found[str(status)]["content"] = {JSON: {"schema": schema(shape)}, XML: _TEXT}
        if versioned:
            found[str(status)]["headers"] = dict(_VERSION_HEADERS) | (dict(_LOCATION) if status == 201 else {})  # noqa: PLR2004 - Created
    found |= {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted({*refused, 405})}
    return found


def _refusal(status: int) -> Described:
    content = {JSON: {"schema": schema("OperationOutcome")}, XML: _TEXT}
    described: Described = {"description": _REFUSALS[status], "content": content}
    if status == 405:  # noqa: PLR2004 - Method Not Allowed
        described["headers"] = {"Allow": {"description": "Methods of this URL", "schema": {"type": "string"}}}
    return described
