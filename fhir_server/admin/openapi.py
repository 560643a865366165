"""One OpenAPI document of everything: `/api/v1` from its schemas, the FHIR endpoints from the CapabilityStatement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Blueprint, Flask, Response, current_app, make_response, render_template
from flask_smorest import Api

from fhir_server.admin.extension import EXTENSION, Admin
from fhir_server.admin.schemas import Refusal
from fhir_server.interactions.model import Operation
from fhir_server.spec import json
from fhir_server.web import csp_nonce

blueprint = Blueprint("openapi", __name__, template_folder="templates")
DOCUMENT = "fhir_openapi"

_METHODS = ("get", "post", "put", "patch", "delete")
_JSON = "application/fhir+json"
_LOGICAL_ID = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
_RESOURCE = {"$ref": "#/components/schemas/Resource"}
_BODY = {"required": True, "content": {_JSON: {"schema": _RESOURCE}}}
_PATCH_BODY = {"required": True, "content": {"application/json-patch+json": {"schema": {"type": "array"}}}}
_FORM = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}

# Interaction → (path below /fhir, method, summary, body).
_TYPED: dict[str, tuple[str, str, str, Mapping[str, Any] | None]] = {
    "search-type": ("/{type}", "get", "Search", None),
    "create": ("/{type}", "post", "Create", _BODY),
    "read": ("/{type}/{id}", "get", "Read", None),
    "update": ("/{type}/{id}", "put", "Update, or create under this id", _BODY),
    "patch": ("/{type}/{id}", "patch", "Change parts", _PATCH_BODY),
    "delete": ("/{type}/{id}", "delete", "Delete", None),
    "history-type": ("/{type}/_history", "get", "History of a type", None),
    "history-instance": ("/{type}/{id}/_history", "get", "History", None),
    "vread": ("/{type}/{id}/_history/{version}", "get", "Read a version", None),
}
_HEALTH = {"/health/live": "Whether the process runs", "/health/ready": "Whether requests can be answered"}


class QuietApi(Api):  # type: ignore[misc]
    """flask-smorest without its error handler for the whole application: each door has a face of its own."""

    ERROR_SCHEMA = Refusal

    def _register_error_handlers(self) -> None:
        """Leave errors to the doors (docs/architecture.md)."""


@blueprint.route("/api/openapi.json")
def openapi() -> Response:
    """Answer the document; it names no secret, so anybody may read it."""
    return Response(current_app.extensions[DOCUMENT][1], content_type="application/json")


@blueprint.route("/api/docs")
def docs() -> Response:
    """Answer the document as a page that asks nothing of any other host."""
    page = make_response(render_template("admin/docs.html", document=current_app.extensions[DOCUMENT][0]))
    # INVARIANT: no script at all, so none can be injected by what the document says.
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{csp_nonce()}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return page


def describe(app: Flask, admin: Api, operations: Iterable[Operation], *, base_url: str) -> None:
    """Make the document, once, after the routes of `/api/v1` are there."""
    values: Admin = app.extensions[EXTENSION]
    document = admin.spec.to_dict()
    document["info"]["description"] = (
        "FHIR R4 under /fhir (the CapabilityStatement at /fhir/metadata says it in full) and administration under "
        "/api/v1. Tokens come from /oauth/token; see /fhir/.well-known/smart-configuration."
    )
    document["servers"] = [{"url": base_url}]
    document["security"] = [{"bearer": []}]
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    components.setdefault("schemas", {})["Resource"] = {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"type": "string"}},
        "additionalProperties": True,
    }
    document["tags"] = [*document.get("tags", ()), {"name": "fhir"}, {"name": "health"}]
    document["paths"] = {
        **document["paths"],
        **_fhir_paths(values.capabilities["rest"][0], operations),
        **{path: {"get": _plain(summary)} for path, summary in _HEALTH.items()},
    }
    app.extensions[DOCUMENT] = (document, json.encode(document))


def _fhir_paths(rest: Mapping[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/fhir/metadata": {"get": _fhir("CapabilityStatement") | {"security": []}},
        "/fhir": {"post": _fhir("Transaction or batch", body=_BODY)},
    }
    for code, (path, method, summary, body) in _TYPED.items():
        types = [item["type"] for item in rest["resource"] if code in {entry["code"] for entry in item["interaction"]}]
        parameters = [_in_path("type", {"type": "string", "enum": types})]
        parameters += [_in_path(name, _LOGICAL_ID) for name in ("id", "version") if f"{{{name}}}" in path]
        if code == "search-type":
            search = {"name": "parameters", "in": "query", "style": "form", "explode": True}
            parameters.append(search | {"schema": {"type": "object", "additionalProperties": {"type": "string"}}})
            by_form = _fhir("Search by POST", parameters=parameters[:1], body=_FORM)
            paths["/fhir/{type}/_search"] = {"post": by_form}
        paths.setdefault(f"/fhir{path}", {})[method] = _fhir(summary, parameters=parameters, body=body)
    for operation in operations:
        for path, parameters in _operation_paths(operation):
            method = "post" if operation.writes else "get"
            body = _BODY if operation.writes else None
            paths[path] = {method: _fhir(f"Operation ${operation.code}", parameters=parameters, body=body)}
    return paths


def _operation_paths(operation: Operation) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    if "system" in operation.levels:
        yield f"/fhir/${operation.code}", []
    for name in operation.types:
        place, known = ("{type}", [_in_path("type", {"type": "string"})]) if name == "Resource" else (name, [])
        if "type" in operation.levels:
            yield f"/fhir/{place}/${operation.code}", known
        if "instance" in operation.levels:
            yield f"/fhir/{place}/{{id}}/${operation.code}", [*known, _in_path("id", _LOGICAL_ID)]


def _in_path(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": dict(schema)}


def _fhir(
    summary: str, *, parameters: list[dict[str, Any]] | None = None, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    content = {_JSON: {"schema": _RESOURCE}}
    described: dict[str, Any] = {
        "tags": ["fhir"],
        "summary": summary,
        "parameters": parameters or [],
        "responses": {
            "2XX": {"description": "Done", "content": content},
            "default": {"description": "OperationOutcome", "content": content},
        },
    }
    return described | ({"requestBody": body} if body else {})


def _plain(summary: str) -> dict[str, Any]:
    responses = {"200": {"description": "Yes"}, "503": {"description": "No"}}
    return {"tags": ["health"], "summary": summary, "security": [], "responses": responses}
