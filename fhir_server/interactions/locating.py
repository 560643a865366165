"""From method and URL to an `Interaction`: one table for HTTP requests and Bundle entries (https://hl7.org/fhir/R4/http.html#summary)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote

from fhir_server.interactions.model import Code, Interaction
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind

Query = tuple[tuple[str, str], ...]
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LONGEST_PATH = 256
_ANY_TYPE = "*"
_VERSION_PARTS = len(("type", "id", "_history", "version"))
_COMPARTMENT_PARTS = len(("type", "id", "type"))
_CUT = frozenset({"_summary", "_elements"})
PRESENTATION = frozenset({"_format", "_pretty"})
"""Parameters that say how an answer looks, not what is asked for."""
_KNOWN: Mapping[Code, frozenset[str]] = {
    Code.READ: _CUT,
    Code.VREAD: _CUT,
    Code.UPDATE: frozenset(),
    Code.PATCH: frozenset(),
    Code.DELETE: frozenset(),
    Code.TRANSACTION: frozenset(),
    Code.CAPABILITIES: frozenset({"mode", *_CUT}),
}
"""Parameters beside those of presentation that an interaction with one resource, or none, knows."""


def parse_query(text: str) -> Query:
    """Return the decoded (name, value) pairs of a query string, in order.

    Raises:
        FhirError: INVALID_VALUE (400) for text that is not UTF-8 or has too many parameters.
    """
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000))
    except (ValueError, UnicodeDecodeError) as error:
        raise FhirError(Kind.INVALID_VALUE, "The query string is not valid percent-encoded UTF-8") from error


def parse_criteria(text: str, resource_type: str, name: str, expression: tuple[str, ...] = ()) -> Query:
    """Return the criteria of a conditional create, sent as a query or as a search URL of its type.

    Args:
        text: What was sent.
        resource_type: What is to be created.
        name: Header or element that it was sent in.
        expression: FHIRPath of the element, if it is one.

    Raises:
        FhirError: INVALID_VALUE (400) where there is no criterion, or it is of another type.
    """
    path, question, query = text.strip().partition("?")
    if question and path.rpartition("/")[2] not in {"", resource_type}:
        raise FhirError(Kind.INVALID_VALUE, f"{name} searches {resource_type}, which is created", expression)
    criteria = parse_query(query if question else path)
    if not criteria:
        raise FhirError(Kind.INVALID_VALUE, f"{name} needs at least one search criterion", expression)
    return criteria


def check_parameters(interaction: Interaction) -> None:
    """Refuse a parameter that would be passed over; searches, histories and operations look at theirs themselves.

    Raises:
        FhirError: NOT_SUPPORTED (400), unless the caller is lenient.
    """
    allowed = _KNOWN.get(interaction.code)
    if allowed is None or interaction.handling == "lenient":
        return
    for name, _ in interaction.query:
        if name not in allowed | PRESENTATION:
            known = ", ".join(sorted(allowed | PRESENTATION))
            raise FhirError(
                Kind.NOT_SUPPORTED, f"{name[:64]!r} is no parameter of this interaction. Supported: {known}."
            )


def locate(definitions: Definitions, method: str, path: str, query: Query) -> Interaction:
    """Return the interaction that this method and path mean, without a body.

    Args:
        definitions: For the resource types there are.
        method: Upper case; HEAD counts as GET.
        path: Below the service base, without a leading slash, decoded.
        query: Decoded query parameters.

    Raises:
        FhirError: UNKNOWN_TYPE or NOT_FOUND (404), METHOD_NOT_ALLOWED (405), NOT_SUPPORTED (400).
    """
    if len(path) > _LONGEST_PATH:
        raise FhirError(Kind.NOT_FOUND, "There is nothing at this URL")
    parts = [part for part in path.strip("/").split("/") if part]
    method = "GET" if method == "HEAD" else method
    if parts and parts[-1].startswith("$"):
        return _operation(definitions, method, parts, query)
    if not parts:
        return _system(method, query)
    if parts == ["metadata"]:
        return _only("GET", method, Interaction(Code.CAPABILITIES, query=query))
    if parts == ["_history"]:
        return _only("GET", method, Interaction(Code.HISTORY_SYSTEM, query=query))
    if parts[-1] == "_search":
        return _search(definitions, method, parts[:-1], query)
    _check_type(definitions, parts[0])
    if parts[1:] in ([], ["_history"]):
        return _type_level(method, parts, query)
    if len(parts) == _COMPARTMENT_PARTS and (parts[2] == _ANY_TYPE or parts[2] in definitions.resource_types):
        return _only("GET", method, _compartment(definitions, parts, query))
    return _instance(method, parts, query)


def locate_url(definitions: Definitions, method: str, url: str) -> Interaction:
    """Return the interaction of a Bundle entry's relative `request.url`."""
    path, _, query = url.partition("?")
    return locate(definitions, method, unquote(path), parse_query(query))


def _system(method: str, query: Query) -> Interaction:
    if method == "POST":
        return Interaction(Code.TRANSACTION, query=query)
    if method == "GET":
        return Interaction(Code.SEARCH_SYSTEM, query=query)
    raise _not_allowed(method)


def _type_level(method: str, parts: Sequence[str], query: Query) -> Interaction:
    kind = parts[0]
    if parts[1:]:
        return _only("GET", method, Interaction(Code.HISTORY_TYPE, kind, query=query))
    if method == "GET":
        return Interaction(Code.SEARCH, kind, query=query)
    if method == "POST":
        # Criteria in the URL mean what If-None-Exist does: clients send them, and nothing is to be passed over.
        return Interaction(Code.CREATE, kind, if_none_exist=query)
    code = {"PUT": Code.UPDATE, "DELETE": Code.DELETE, "PATCH": Code.PATCH}.get(method)
    if code is None:
        raise _not_allowed(method)
    if not query:
        raise FhirError(Kind.NOT_SUPPORTED, f"{method} on a type needs an id, or search criteria")
    return Interaction(code, kind, conditional=query)


def _instance(method: str, parts: Sequence[str], query: Query) -> Interaction:
    kind, logical_id, *rest = parts
    if not _ID.fullmatch(logical_id):
        # What cannot be there is not found; what is to be made under such an id is the fault of the request.
        kind_of = Kind.INVALID_VALUE if method == "PUT" and not rest else Kind.NOT_FOUND
        raise FhirError(kind_of, "An id has 1 to 64 characters of A-Z, a-z, 0-9, '-' and '.'")
    if rest == ["_history"]:
        return _only("GET", method, Interaction(Code.HISTORY, kind, logical_id, query=query))
    if rest[:1] == ["_history"] and not rest[2:]:
        return _only("GET", method, Interaction(Code.VREAD, kind, logical_id, rest[1], query=query))
    if rest:
        raise FhirError(Kind.NOT_FOUND, "There is nothing at this URL")
    code = {"GET": Code.READ, "PUT": Code.UPDATE, "DELETE": Code.DELETE, "PATCH": Code.PATCH}.get(method)
    if code is None:
        raise _not_allowed(method)
    return Interaction(code, kind, logical_id, query=query)


def _search(definitions: Definitions, method: str, parts: Sequence[str], query: Query) -> Interaction:
    """Return a search by POST: of the system, a type, a compartment, or one type in it."""
    if parts:
        _check_type(definitions, parts[0])
    match parts:
        case []:
            found = Interaction(Code.SEARCH_SYSTEM, query=query)
        case [kind]:
            found = Interaction(Code.SEARCH, kind, query=query)
        case [owner, logical_id]:
            found = _compartment(definitions, (owner, logical_id, _ANY_TYPE), query)
        case [_, _, kind] if kind == _ANY_TYPE or kind in definitions.resource_types:
            found = _compartment(definitions, parts, query)
        case _:
            raise FhirError(Kind.NOT_FOUND, "There is nothing at this URL")
    return _only("POST", method, found)


def _compartment(definitions: Definitions, parts: Sequence[str], query: Query) -> Interaction:
    """Return a search in the compartment of one resource (https://hl7.org/fhir/R4/search.html#2.21.1.2)."""
    owner, logical_id, kind = parts
    if owner not in definitions.compartments or not _ID.fullmatch(logical_id):
        raise FhirError(Kind.NOT_SUPPORTED, f"There is no compartment of {owner}")
    compartment = (owner, logical_id)
    if kind == _ANY_TYPE:
        return Interaction(Code.SEARCH_SYSTEM, query=query, compartment=compartment)
    return Interaction(Code.SEARCH, kind, query=query, compartment=compartment)


def _operation(definitions: Definitions, method: str, parts: Sequence[str], query: Query) -> Interaction:
    if method not in {"GET", "POST"}:
        raise _not_allowed(method)
    *where, name = parts
    if where:
        _check_type(definitions, where[0])
    version_id = ""
    if name == "$meta" and where[2:3] == ["_history"] and len(where) == _VERSION_PARTS:
        version_id = where[3]
        where = where[:2]
    if where[2:] or (where[1:] and not _ID.fullmatch(where[1])):
        raise FhirError(Kind.NOT_FOUND, "There is nothing at this URL")
    kind, logical_id = (*where, "", "")[:2]
    return Interaction(Code.OPERATION, kind, logical_id, version_id, query, operation=name[1:], by_get=method == "GET")


def _check_type(definitions: Definitions, name: str) -> None:
    if name not in definitions.resource_types:
        raise FhirError(Kind.UNKNOWN_TYPE, f"{name[:64]!r} is not a resource type of FHIR R4")


def _only(allowed: str, method: str, interaction: Interaction) -> Interaction:
    if method != allowed:
        raise _not_allowed(method)
    return interaction


def _not_allowed(method: str) -> FhirError:
    return FhirError(Kind.METHOD_NOT_ALLOWED, f"{method[:10]} is not allowed here")
