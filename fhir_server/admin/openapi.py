"""One OpenAPI document of everything: `/api/v1` from its schemas, the FHIR endpoints from the CapabilityStatement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, make_response, render_template
from flask_smorest import Api

from fhir_server.admin.extension import EXTENSION, Admin
from fhir_server.admin.fhir_components import components as fhir_components
from fhir_server.admin.fhir_paths import fhir_paths
from fhir_server.admin.schemas import Refusal
from fhir_server.interactions.model import Operation
from fhir_server.spec import json
from fhir_server.web import csp_nonce

blueprint = Blueprint("openapi", __name__, template_folder="templates")
DOCUMENT = "fhir_openapi"

_HEALTH = {"/health/live": "Whether the process runs", "/health/ready": "Whether requests can be answered"}


class QuietApi(Api):  # type: ignore[misc]
    """flask-smorest without its error handler for the whole application: each door has a face of its own."""

    ERROR_SCHEMA = Refusal

    def _register_error_handlers(self) -> None:
        """Leave errors to the doors (docs/architecture.md)."""


@blueprint.route("/api/openapi.json")
def openapi() -> Response:
    """Answer the document; it names no secret, so anybody may read it."""
    return Response(current_app.extensions[DOCUMENT]()[1], content_type="application/json")


@blueprint.route("/api/docs")
def docs() -> Response:
    """Answer the document as a page that asks nothing of any other host."""
    page = make_response(render_template("admin/docs.html", document=current_app.extensions[DOCUMENT]()[0]))
    # INVARIANT: no script at all, so none can be injected by what the document says.
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{csp_nonce()}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return page


def describe(app: Flask, admin: Api, operations: Iterable[Operation], *, base_url: str) -> None:
    """Let the document be made once, when it is first asked for: few ask, and it takes long."""
    values: Admin = app.extensions[EXTENSION]

    @cache
    def made() -> tuple[dict[str, Any], bytes]:
        document = _document(admin.spec.to_dict(), values.capabilities(), operations, base_url)
        return _resolved(document), json.encode(document)

    app.extensions[DOCUMENT] = made


def _document(
    document: dict[str, Any], capabilities: Mapping[str, Any], operations: Iterable[Operation], base_url: str
) -> dict[str, Any]:
    document["info"]["description"] = (
        "FHIR R4 under /fhir (the CapabilityStatement at /fhir/metadata says it in full) and administration under "
        "/api/v1. Tokens come from /oauth/token; see /fhir/.well-known/smart-configuration."
    )
    document["servers"] = [{"url": base_url}]
    document["security"] = [{"bearer": []}]
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    described = fhir_paths(capabilities["rest"][0], operations)
    for kind, shared in fhir_components().items():
        components[kind] = components.get(kind, {}) | shared
    components["schemas"] |= described.schemas
    document["tags"] = [*document.get("tags", ()), {"name": "fhir"}, {"name": "health"}]
    document["paths"] = {
        **document["paths"],
        **described.paths,
        **{path: {"get": _plain(summary)} for path, summary in _HEALTH.items()},
    }
    return document


def _resolved(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with its shared parameters and answers in place, for the page."""
    shared = document["components"]

    def meant(kind: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = str(item.get("$ref", ""))
        return cast("Mapping[str, Any]", shared[kind][reference.rpartition("/")[2]]) if reference else item

    def method(about: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **about,
            "parameters": [meant("parameters", item) for item in about.get("parameters", ())],
            "responses": {code: meant("responses", answer) for code, answer in about["responses"].items()},
        }

    paths = {
        path: {name: about if name == "parameters" else method(about) for name, about in methods.items()}
        for path, methods in document["paths"].items()
    }
    return {**document, "paths": paths}


def _plain(summary: str) -> dict[str, Any]:
    responses = {"200": {"description": "Yes"}, "503": {"description": "No"}}
    return {"tags": ["health"], "summary": summary, "security": [], "responses": responses}
