"""Rewriting references in a Bundle: to other entries by `fullUrl`, and conditional ones by search.

Rules of https://hl7.org/fhir/R4/http.html#trules: `Reference.reference`, uri-like values that equal a `fullUrl`,
links in the narrative.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fhir_server.interactions.locating import parse_query
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind

Find = Callable[[str, tuple[tuple[str, str], ...]], str]
_REST_URL = re.compile(r"^(?P<base>.*?)(?P<type>[A-Z][A-Za-z]{1,63})/(?P<id>[A-Za-z0-9\-.]{1,64})$")
_CONDITIONAL = re.compile(r"^[A-Z][A-Za-z]{1,63}\?")


def names_of(full_url: str, resource_type: str) -> Iterable[str]:
    """Return the texts that refer to an entry: its fullUrl, and `Type/id` where that is a RESTful URL."""
    yield full_url
    match = _REST_URL.match(full_url)
    if match and match["type"] == resource_type and match["base"]:
        yield f"{resource_type}/{match['id']}"


def has_conditional(value: Any) -> bool:
    """Return whether a resource has a conditional reference such as `Patient?identifier=…`."""
    if isinstance(value, Mapping):
        reference = value.get("reference")
        if isinstance(reference, str) and _CONDITIONAL.match(reference):
            return True
        return any(has_conditional(item) for item in value.values())
    return isinstance(value, list) and any(has_conditional(item) for item in value)


def rewrite(
    resource: Mapping[str, Any], known: Mapping[str, str], find: Find, definitions: Definitions
) -> dict[str, Any]:
    """Return the resource with every known or conditional reference made a literal relative one.

    Args:
        resource: Parsed resource; it is not changed.
        known: Text of a reference → `Type/id`.
        find: Returns the logical id a conditional reference matches; raises FhirError (412) unless exactly one does.
        definitions: For the resource types there are.
    """
    result = _value(resource, known, find, definitions)
    assert isinstance(result, dict)  # noqa: S101 - a mapping stays one
    return result


def _value(value: Any, known: Mapping[str, str], find: Find, definitions: Definitions) -> Any:
    if isinstance(value, Mapping):
        return {name: _member(name, item, known, find, definitions) for name, item in value.items()}
    if isinstance(value, list):
        return [_value(item, known, find, definitions) for item in value]
    if isinstance(value, str) and ":" in value:
        return known.get(value, value)
    return value


def _member(name: str, value: Any, known: Mapping[str, str], find: Find, definitions: Definitions) -> Any:
    if name == "reference" and isinstance(value, str):
        if _CONDITIONAL.match(value):
            kind, _, query = value.partition("?")
            if kind not in definitions.resource_types:
                raise FhirError(Kind.INVALID_VALUE, f"{kind[:64]} in a conditional reference is no resource type")
            return f"{kind}/{find(kind, parse_query(query))}"
        plain, hash_sign, fragment = value.partition("#")
        return known[plain] + hash_sign + fragment if plain in known else value
    if name == "div" and isinstance(value, str) and "urn:" in value:
        for text, literal in known.items():
            value = value.replace(f'"{text}"', f'"{literal}"')
        return value
    return _value(value, known, find, definitions)
