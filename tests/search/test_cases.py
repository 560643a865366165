"""The language-neutral conformance cases that lie beside this repository, run without HTTP."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from fhir_server.search.bundle import searchset
from fhir_server.spec.json import decode
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import ALL, BASE, DEFINITIONS, World

FILE = Path(__file__).resolve().parents[3] / "shared" / "cases" / "search-cases.json"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the shared conformance cases are not here")

CASES: dict[str, Any] = (
    json.loads(FILE.read_text(encoding="utf-8").replace("{{base}}", BASE), parse_float=Decimal) if FILE.exists() else {}
)


def _build(url: str) -> None:
    world = World(url)
    for resources in CASES["fixture_sets"].values():
        world.add(resources)
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-cases", _build))
    yield made
    made.close()


def _pages(world: World, case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    url = urlsplit(f"{BASE}/{case['query']}")
    kind = url.path.removeprefix(urlsplit(BASE).path).strip("/")
    handling = case.get("headers", {}).get("Prefer", "handling=strict").removeprefix("handling=")
    query: list[tuple[str, str]] | None = parse_qsl(url.query, keep_blank_values=True)
    while query is not None:
        page, request = world.search(kind, query, visibility=ALL, handling=handling)
        bundle = decode(searchset(page, request, fhir_base=BASE, path=kind), 10_000_000)
        yield bundle
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        query = parse_qsl(urlsplit(links["next"]).query, keep_blank_values=True) if "next" in links else None


def _ids(bundle: dict[str, Any], mode: str) -> list[str]:
    return [e["resource"]["id"] for e in bundle.get("entry", ()) if e["search"]["mode"] == mode]


def _check(world: World, case: dict[str, Any]) -> None:
    expected = case["expect"]
    own = {resource["id"] for resource in CASES["fixture_sets"][case["fixture_set"]]}
    if expected.get("status", 200) != 200:
        with pytest.raises(FhirError) as refused:
            list(_pages(world, case))
        assert refused.value.status == expected["status"]
        return
    pages = list(_pages(world, case))
    matches = [each for page in pages for each in _ids(page, "match") if each in own]
    assert len(matches) == len(set(matches))
    assert set(expected["match"]) <= set(matches) <= set(expected["match"]) | set(expected.get("may", ()))
    if "include" in expected:
        assert {each for page in pages for each in _ids(page, "include")} & own == set(expected["include"])
    if "page_max_match" in expected:
        assert max(len(_ids(page, "match")) for page in pages) <= expected["page_max_match"]
    if "resource" in expected:
        resource = pages[0]["entry"][0]["resource"]
        assert set(expected["resource"]["has"]) <= set(resource)
        assert not set(expected["resource"]["lacks"]) & set(resource)
    if expected.get("subsetted"):
        assert any(tag["code"] == "SUBSETTED" for tag in pages[0]["entry"][0]["resource"]["meta"]["tag"])
    if expected.get("no_entry"):
        assert "entry" not in pages[0]
    if "bundle" in expected:
        assert pages[0]["type"] == "searchset"
        assert set(expected["bundle"]["entry_has"]) <= set(pages[0]["entry"][0])
        assert pages[0]["entry"][0]["fullUrl"].endswith(expected["bundle"]["fullUrl_suffix"])


def test_every_firm_case_holds(world: World) -> None:
    failed = {}
    for case in CASES["cases"]:
        if case.get("uncertain"):
            continue
        try:
            _check(world, case)
        except (AssertionError, FhirError, pytest.fail.Exception) as error:
            failed[case["id"]] = f"{error}"
    assert not failed


def test_definitions_load_once() -> None:
    assert DEFINITIONS.search_parameters("Patient")["_id"].type == "token"
