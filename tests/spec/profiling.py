"""Profiles made for a test, and what is found in a resource that is held to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import Issue
from fhir_server.spec.profile_registry import Profiles
from fhir_server.spec.validate import find_issues
from tests.spec.examples import Json

URL = "http://example.org/StructureDefinition/x"
CORE = "http://hl7.org/fhir/StructureDefinition/"
LOINC = "http://loinc.org"


def profile(kind: str, *elements: Json, url: str = URL, base: str = "", **more: Any) -> Json:
    """Return a profile of a type with these elements, each with its id."""
    listed = [
        {"path": ".".join(part.partition(":")[0] for part in each["id"].split(".")), **each}
        for each in ({"id": kind}, *elements)
    ]
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "type": kind,
        "kind": "resource",
        "baseDefinition": base or CORE + kind,
        "derivation": "constraint",
        "differential": {"element": listed},
        **more,
    }


def found(definitions: Definitions, resource: Json, *profiles: Json, **more: Any) -> dict[str, Issue]:
    """Return the issues of a resource by element, held to the last of these profiles."""
    known = replace(definitions, profiles=Profiles(profiles))
    return {
        issue.expression[0]: issue
        for issue in find_issues(known, resource, [profiles[-1]["url"]], **more)
        if "(dom-6)" not in issue.diagnostics
    }


def observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


def concept(code: str, system: str = LOINC) -> Json:
    return {"coding": [{"system": system, "code": code}]}
