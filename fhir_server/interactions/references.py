"""Rewriting references in a Bundle: to other entries by `fullUrl`, and conditional ones by search.

Rules of https://hl7.org/fhir/R4/http.html#trules: `Reference.reference`, elements of type uri, url, oid and uuid,
links in the narrative; not canonicals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.interactions.locating import parse_query
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind

Find = Callable[[str, tuple[tuple[str, str], ...]], str]
_REST_URL = re.compile(r"^(?P<base>.*?)(?P<type>[A-Z][A-Za-z]{1,63})/(?P<id>[A-Za-z0-9\-.]{1,64})$")
_LINK = re.compile(r"""(?P<opening>\b(?:href|src)\s*=\s*(?P<quote>["']))(?P<url>[^"']*)""")
_LINKS = frozenset({"uri", "url", "oid", "uuid"})
_PLAIN = (str, int, float, Decimal, type(None))
_CONDITIONAL = re.compile(r"^[A-Z][A-Za-z]{1,63}\?")


def names_of(full_url: str, resource_type: str) -> Iterable[str]:
    """Return the texts that refer to an entry: its fullUrl, and `Type/id` where that is a RESTful URL."""
    yield full_url
    match = _REST_URL.match(full_url)
    if match and match["type"] == resource_type and match["base"]:
        yield f"{resource_type}/{match['id']}"


def has_conditional(value: Any) -> bool:
    """Return whether a resource has a conditional reference such as `Patient?identifier=…`."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        # A dictionary is told at once, a mapping of another kind after a look at its class.
        elif isinstance(each, dict) or (not isinstance(each, _PLAIN) and isinstance(each, Mapping)):
            reference = each.get("reference")
            if isinstance(reference, str) and "?" in reference and _CONDITIONAL.match(reference):
                return True
            waiting += each.values()
    return False


def rewrite(
    resource: Mapping[str, Any], known: Mapping[str, str], find: Find, definitions: Definitions
) -> dict[str, Any]:
    """Return the resource with every known or conditional reference made a literal relative one.

    Args:
        resource: Parsed resource; it is not changed.
        known: Text of a reference → `Type/id`.
        find: Returns the logical id a conditional reference matches; raises FhirError (412) unless exactly one does.
        definitions: For the resource types there are, and which elements are links.
    """
    rewriting = _Rewriting(known, find, definitions)
    result = rewriting.member("", resource)
    assert isinstance(result, dict)  # noqa: S101 - a mapping stays one
    if rewriting.met and result.get("resourceType") in definitions.resource_types:
        _rewrite_links(result, result["resourceType"], known, definitions)
    return result


@dataclass(slots=True)
class _Rewriting:
    """One walk through a resource, which need not know the types of elements unless it meets a link elsewhere."""

    known: Mapping[str, str]
    find: Find
    definitions: Definitions
    met: bool = False
    """Whether a text beside `reference` is one of those known."""

    def member(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            if isinstance(value, list):
                return [self.member(name, item) for item in value]
            if isinstance(value, dict) or (not isinstance(value, _PLAIN) and isinstance(value, Mapping)):
                return {inner: self.member(inner, item) for inner, item in value.items()}
            return value
        if name == "reference":
            return self._reference(value)
        if name == "div":
            return _LINK.sub(self._link, value)
        if ("/" in value or ":" in value) and value in self.known:
            self.met = True
        return value

    def _reference(self, value: str) -> str:
        if _CONDITIONAL.match(value):
            kind, _, query = value.partition("?")
            if kind not in self.definitions.resource_types:
                raise FhirError(Kind.INVALID_VALUE, f"{kind[:64]} in a conditional reference is no resource type")
            return f"{kind}/{self.find(kind, parse_query(query))}"
        plain, hash_sign, fragment = value.partition("#")
        return self.known[plain] + hash_sign + fragment if plain in self.known else value

    def _link(self, found: re.Match[str]) -> str:
        return f"{found['opening']}{self.known.get(found['url'], found['url'])}"


def _rewrite_links(element: dict[str, Any], context: str, known: Mapping[str, str], definitions: Definitions) -> None:
    """Rewrite, in place, what is a uri, url, oid or uuid; a canonical or a text that happens to be equal stays."""
    for children in definitions.fields(context).values():
        for child in children:
            value = element.get(child.json_name)
            if value is None:
                continue
            many = value if isinstance(value, list) else [value]
            if child.type in _LINKS:
                rewritten = [known.get(item, item) if isinstance(item, str) else item for item in many]
                element[child.json_name] = rewritten if isinstance(value, list) else rewritten[0]
                continue
            for item in many:
                if not isinstance(item, dict):
                    continue
                if child.type != "Resource":
                    _rewrite_links(item, child.context, known, definitions)
                elif item.get("resourceType") in definitions.resource_types:
                    _rewrite_links(item, item["resourceType"], known, definitions)
