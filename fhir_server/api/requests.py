"""From an HTTP request to an `Interaction`: media types, conditional headers, body (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Request

from fhir_server.api.bodies import read_form, with_body
from fhir_server.api.formats import AS_JSON, BINARY_AS_RESOURCE, Format, negotiate
from fhir_server.interactions.etags import parse_etags
from fhir_server.interactions.locating import PRESENTATION, Query, check_parameters, locate, parse_criteria, parse_query
from fhir_server.interactions.model import Code, Interaction
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind

_CHANGES = frozenset({Code.UPDATE, Code.PATCH, Code.DELETE})
_BOOLEAN = frozenset({"true", "false", ""})
_CONDITIONS = frozenset({"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_NONE_EXIST"})
_RETURNS = frozenset({"minimal", "representation", "OperationOutcome"})
_TOTALS = {"count": "accurate", "estimate": "estimate", "none": "none"}
"""Values of `_totalMethod`, by which fhirpy asks for what FHIR calls `_total`."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the caller wants the answer.

    Attributes:
        returns: `Prefer: return=`: `minimal`, `representation` or `OperationOutcome`.
        format: JSON or XML.
        pretty: Indented.
        binary: A Binary is wanted as its raw bytes, in one of these media ranges; empty for a resource.
        none_match: Version ids of `If-None-Match`, `*` for any.
        modified_since: `If-Modified-Since`; None where absent, not a date, or overruled by `If-None-Match`.
    """

    returns: str
    format: Format
    pretty: bool
    binary: str
    none_match: tuple[str, ...]
    modified_since: datetime | None = None


def read_request(
    request: Request,
    definitions: Definitions,
    path: str,
    *,
    limit_bytes: int,
    presentation: MutableMapping[str, str],
) -> tuple[Interaction, Wishes]:
    """Return what the caller asks for and how it wants the answer.

    Args:
        request: With method, query, headers and body.
        definitions: For the resource types there are.
        path: Below the service base, decoded.
        limit_bytes: Longest body accepted.
        presentation: Is given how an answer has to look as soon as that is known, for a refusal looks the same way.

    Raises:
        FhirError: 4xx naming what is not understood.
    """
    query = _query(request)
    interaction = locate(definitions, request.method, path, _asked(query))
    form = read_form(request, interaction, limit_bytes)
    interaction = replace(interaction, query=(*interaction.query, *_asked(form))) if form else interaction
    # What the URL says goes before what a form says. Refusals are presented as well.
    presentation.update((name, value) for name, value in (*form, *query) if name in PRESENTATION)
    if presentation.get("_pretty", "") not in _BOOLEAN:
        raise FhirError(Kind.INVALID_VALUE, "_pretty is true or false")
    prefer = _prefer(request)
    binary = _binary_wish(request, interaction, presentation)
    wishes = Wishes(
        prefer.get("return", "representation"),
        AS_JSON if binary else negotiate(request, presentation),
        presentation.get("_pretty") == "true",
        binary,
        tuple(_version(tag) for tag in request.headers.get("If-None-Match", "").split(",") if tag.strip()),
        None if "If-None-Match" in request.headers else request.if_modified_since,
    )
    if prefer or not _CONDITIONS.isdisjoint(request.environ):
        interaction = replace(
            interaction,
            if_match=_versions(request, "If-Match"),
            if_none_match=_versions(request, "If-None-Match") if interaction.code in _CHANGES else (),
            if_none_exist=_if_none_exist(request, interaction),
            returns=prefer.get("return", ""),
            handling="lenient" if prefer.get("handling") == "lenient" else "strict",
            # A HEAD begins nothing.
            prefers_async="respond-async" in prefer and request.method != "HEAD",
        )
    check_parameters(interaction)
    return with_body(request, interaction, definitions, limit_bytes), wishes


def _query(request: Request) -> Query:
    raw = request.query_string.decode("ascii", "surrogateescape").encode("utf-8", "surrogateescape")
    try:
        return parse_query(raw.decode())
    except UnicodeDecodeError as error:
        raise FhirError(Kind.INVALID_VALUE, "The query string is not valid percent-encoded UTF-8") from error


def _asked(pairs: Query) -> Query:
    """Return the parameters that say what is asked for, and not how the answer is to look."""
    return tuple(
        ("_total", _TOTALS[value]) if name == "_totalMethod" and value in _TOTALS else (name, value)
        for name, value in pairs
        if name not in PRESENTATION
    )


def _binary_wish(request: Request, interaction: Interaction, query: Mapping[str, str]) -> str:
    """Return the Accept header when a Binary is wanted raw: it names a media type that is not FHIR's."""
    if interaction.type != "Binary" or interaction.code not in {Code.READ, Code.VREAD} or "_format" in query:
        return ""
    accept = request.headers.get("Accept", "")
    return "" if not accept or any(name in accept for name in BINARY_AS_RESOURCE) else accept


def _if_none_exist(request: Request, interaction: Interaction) -> tuple[tuple[str, str], ...]:
    text = request.headers.get("If-None-Exist")
    if text is None:
        return interaction.if_none_exist
    if interaction.code in _CHANGES:
        raise FhirError(Kind.INVALID_VALUE, "If-None-Exist is for a create")
    if interaction.if_none_exist:
        raise FhirError(Kind.INVALID_VALUE, "Criteria are in If-None-Exist or in the URL, not in both")
    return parse_criteria(text, interaction.type, "If-None-Exist")


def _prefer(request: Request) -> dict[str, str]:
    wishes: dict[str, str] = {}
    if "HTTP_PREFER" not in request.environ:
        return wishes
    for part in request.headers.get("Prefer", "").replace(";", ",").split(","):
        name, _, value = (each.strip(' \t"') for each in part.partition("="))
        if name.lower() != "return" or value in _RETURNS:
            # Of several the first counts (RFC 7240 section 2).
            wishes.setdefault(name.lower(), value)
    return wishes


def _versions(request: Request, name: str) -> tuple[str, ...]:
    text = request.headers.get(name)
    return () if text is None else parse_etags(text, name)


def _version(tag: str) -> str:
    return tag.strip().removeprefix("W/").strip('"')
