"""The OpenAPI document: complete, consistent, and a page of it that asks no other host."""

import re
from collections.abc import Iterator
from typing import Any

from fhir_server.interactions.audit_parts import ACCOUNT_ACTIONS, ADMINISTRATION_ACTIONS
from fhir_server.operations import REGISTRY
from tests.admin.conftest import Desk


def _document(desk: Desk) -> dict[str, Any]:
    answer = desk.call("GET", "/api/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    return dict(answer.json)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_every_administration_route_is_described_and_audited_by_name(one: Desk) -> None:
    paths = _document(one)["paths"]
    actions, others = set(), set()
    for rule in one.server.app.url_map.iter_rules():
        if rule.endpoint.startswith(("admin.", "people.")):
            path = re.sub(r"<([^>]+)>", r"{\1}", rule.rule)
            assert {method.lower() for method in rule.methods or ()} - {"head", "options"} <= set(paths[path])
            actions.add(rule.endpoint.partition(".")[2].replace("_", "-"))
        elif rule.endpoint.startswith(("desk.", "helping.", "parents.", "teams.", "apps.")):
            others.add(rule.endpoint.partition(".")[2].replace("_", "-"))
    assert actions == set(ADMINISTRATION_ACTIONS)
    # A code that is not known is not found by the type of its event.
    assert others <= set(ACCOUNT_ACTIONS), others - set(ACCOUNT_ACTIONS)


def test_fhir_endpoints_are_those_of_the_capability_statement(one: Desk) -> None:
    paths = _document(one)["paths"]
    rest = one.server.get("metadata", "")["rest"][0]
    writable = {item["type"] for item in rest["resource"] if {"code": "create"} in item["interaction"]}
    shapes = _document(one)["components"]["schemas"]
    types = {
        method: set(shapes[about["parameters"][0]["schema"]["$ref"].rpartition("/")[2]]["enum"])
        for method, about in paths["/fhir/{type}"].items()
    }
    assert types["post"] == writable
    assert "AuditEvent" not in writable
    assert types["get"] == writable | {"AuditEvent"}
    for operation in REGISTRY:
        assert any(path.endswith(f"/${operation.code}") for path in paths)


def test_every_reference_leads_somewhere_and_every_placeholder_is_a_parameter(one: Desk) -> None:
    document = _document(one)
    assert document["openapi"].startswith("3.1")
    for reference in _references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            if method == "parameters":
                continue
            listed = [*methods.get("parameters", []), *about.get("parameters", [])]
            named = {item["name"] for item in listed if item.get("in") == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_the_page_runs_no_script_and_names_no_other_host(one: Desk) -> None:
    page = one.call("GET", "/api/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"<script|<link|<img|(?:src|href)=\"(?:https?:)?//", page.text)
    assert "POST /api/v1/clients" in page.text
    assert "GET /fhir/{type}/{id}" in page.text
