"""From an HTTP request to an `Interaction`: media types, conditional headers, body (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import Request

from fhir_server.api.compression import inflated
from fhir_server.api.formats import (
    AS_JSON,
    BINARY_AS_RESOURCE,
    FHIR_XML_BODIES,
    JSON,
    JSON_BODIES,
    XML,
    XML_BODIES,
    Format,
    is_of_this_version,
    negotiate,
)
from fhir_server.interactions.locating import locate, parse_query
from fhir_server.interactions.model import Code, Interaction
from fhir_server.interactions.patching import JSON_PATCH, parse_patch
from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.xml_patch import XML_PATCH, parse_xml_patch
from fhir_server.spec.xml_read import read_xml

_FORM = "application/x-www-form-urlencoded"
_PRESENTATION = frozenset({"_format", "_pretty"})
_RETURNS = frozenset({"minimal", "representation", "OperationOutcome"})


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
    request: Request, definitions: Definitions, path: str, *, limit_bytes: int
) -> tuple[Interaction, Wishes]:
    """Return what the caller asks for and how it wants the answer.

    Raises:
        FhirError: 4xx naming what is not understood.
    """
    query = parse_query(
        request.query_string.decode("ascii", "surrogateescape").encode("utf-8", "surrogateescape").decode()
    )
    plain = tuple(pair for pair in query if pair[0] not in _PRESENTATION)
    interaction = locate(definitions, request.method, path, plain)
    prefer = _prefer(request)
    presentation = dict(query)
    binary = _binary_wish(request, interaction, presentation)
    wishes = Wishes(
        prefer.get("return", "representation"),
        AS_JSON if binary else negotiate(request, presentation),
        presentation.get("_pretty") == "true",
        binary,
        tuple(_version(tag) for tag in request.headers.get("If-None-Match", "").split(",") if tag.strip()),
        None if "If-None-Match" in request.headers else request.if_modified_since,
    )
    interaction = replace(
        interaction,
        if_match=_version(request.headers.get("If-Match", "")),
        if_none_exist=_if_none_exist(request),
        returns=prefer.get("return", ""),
        handling="lenient" if prefer.get("handling") == "lenient" else "strict",
    )
    return _with_body(request, interaction, definitions, limit_bytes), wishes


def _with_body(request: Request, interaction: Interaction, definitions: Definitions, limit_bytes: int) -> Interaction:
    media = request.mimetype
    if request.method in {"GET", "HEAD", "DELETE", "OPTIONS"}:
        return interaction
    raw = inflated(request, limit_bytes)
    if (media in JSON_BODIES or media in {JSON_PATCH, _FORM}) and not _is_utf8(request):
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "The charset of a Content-Type is UTF-8 in FHIR")
    if interaction.code in {Code.SEARCH, Code.SEARCH_SYSTEM}:
        if media not in {_FORM, ""}:
            raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, f"_search takes {_FORM}")
        form = parse_query(raw.decode("utf-8", "replace"))
        pairs = tuple(pair for pair in form if pair[0] not in _PRESENTATION)
        return replace(interaction, query=(*interaction.query, *pairs))
    if interaction.code is Code.PATCH:
        # Nobody can tell which kind of patch `application/json` is, so FHIR's own type has to be said.
        if media == JSON or media in FHIR_XML_BODIES:
            return replace(interaction, resource=_decoded(request, raw, definitions, limit_bytes))
        if media == XML_PATCH:
            charset = request.mimetype_params.get("charset", "")
            return replace(interaction, xml_patch=parse_xml_patch(raw, limit_bytes, charset))
        if media != JSON_PATCH:
            raise FhirError(
                Kind.UNSUPPORTED_MEDIA_TYPE,
                f"PATCH takes {JSON_PATCH}, {XML_PATCH}, or {JSON} or {XML} with a FHIRPath Patch (Parameters)",
            )
        return replace(interaction, patch=parse_patch(raw))
    is_stored = interaction.code in {Code.CREATE, Code.UPDATE}
    if interaction.type == "Binary" and is_stored and media not in JSON_BODIES | FHIR_XML_BODIES:
        return replace(interaction, resource=_wrapped(raw, request, interaction))
    if not raw.strip():
        if interaction.code is Code.OPERATION:
            return interaction
        raise FhirError(Kind.MALFORMED, "A resource is required in the body")
    return replace(interaction, resource=_decoded(request, raw, definitions, limit_bytes))


def _decoded(request: Request, raw: bytes, definitions: Definitions, limit_bytes: int) -> Mapping[str, Any]:
    """Return the resource in a body, in the format its Content-Type says; JSON where it says nothing."""
    media = request.mimetype
    if media and not is_of_this_version(request):
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "The fhirVersion of the body is not supported; send 4.0")
    if media in XML_BODIES:
        return read_xml(definitions, raw, limit_bytes, request.mimetype_params.get("charset", ""))
    if media and media not in JSON_BODIES:
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, f"{media[:64]} is not supported; send {JSON} or {XML}")
    return json.decode(raw, limit_bytes)


def _is_utf8(request: Request) -> bool:
    """Return whether a body is declared to be UTF-8, or ASCII, which is part of it; FHIR knows no other."""
    return request.mimetype_params.get("charset", "utf-8").strip("\"'").lower() in {"utf-8", "utf8", "us-ascii"}


def _wrapped(raw: bytes, request: Request, interaction: Interaction) -> Mapping[str, Any]:
    if not request.mimetype or not raw:
        raise FhirError(Kind.MALFORMED, "A Binary needs a Content-Type and content")
    binary: dict[str, Any] = {"resourceType": "Binary", "contentType": request.mimetype}
    if interaction.id:
        binary["id"] = interaction.id
    if context := request.headers.get("X-Security-Context"):
        binary["securityContext"] = {"reference": context}
    return {**binary, "data": b64encode(raw).decode()}


def _binary_wish(request: Request, interaction: Interaction, query: Mapping[str, str]) -> str:
    """Return the Accept header when a Binary is wanted raw: it names a media type that is not FHIR's."""
    if interaction.type != "Binary" or interaction.code not in {Code.READ, Code.VREAD} or "_format" in query:
        return ""
    accept = request.headers.get("Accept", "")
    return "" if not accept or any(name in accept for name in BINARY_AS_RESOURCE) else accept


def _if_none_exist(request: Request) -> tuple[tuple[str, str], ...]:
    text = request.headers.get("If-None-Exist")
    if text is None:
        return ()
    criteria = parse_query(text.partition("?")[2] if "?" in text else text)
    if not criteria:
        raise FhirError(Kind.INVALID_VALUE, "If-None-Exist needs at least one search criterion")
    return criteria


def _prefer(request: Request) -> dict[str, str]:
    wishes: dict[str, str] = {}
    for part in request.headers.get("Prefer", "").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name != "return" or value in _RETURNS:
            wishes[name] = value.strip('"')
    return wishes


def _version(tag: str) -> str:
    return tag.strip().removeprefix("W/").strip('"')
