"""The body of an HTTP request: which media types an interaction takes, and what a body in one of them says."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from tempfile import TemporaryFile
from typing import Any

from flask import Request, g

from fhir_server.api.compression import inflated, inflated_pieces
from fhir_server.api.formats import FHIR_XML_BODIES, JSON, JSON_BODIES, XML, XML_BODIES, is_of_this_version
from fhir_server.api.positions import keep
from fhir_server.interactions.locating import Query, parse_query
from fhir_server.interactions.model import Code, Interaction
from fhir_server.interactions.patching import JSON_PATCH, MERGE_PATCH, parse_patch
from fhir_server.interactions.uploads import Upload
from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import parse_reference
from fhir_server.spec.xml_patch import XML_PATCH, parse_xml_patch
from fhir_server.spec.xml_read import read_xml
from fhir_server.web import context

FORM = "application/x-www-form-urlencoded"
GENERAL_JSON = "application/json"
PATCH_BODIES = (JSON_PATCH, MERGE_PATCH, XML_PATCH, JSON, XML)
_HELD_BYTES = 1 << 20
_GROUP_BYTES = 3
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_SEARCHES = frozenset({Code.SEARCH, Code.SEARCH_SYSTEM})


def read_form(request: Request, interaction: Interaction, limit_bytes: int) -> Query:
    """Return the parameters in the body of a search by POST, none of any other request.

    Raises:
        FhirError: UNSUPPORTED_MEDIA_TYPE (415) for another body than a form; 400 for one that is not UTF-8.
    """
    if interaction.code not in _SEARCHES or request.method in _BODILESS:
        return ()
    if request.mimetype not in {FORM, ""}:
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, f"_search takes {FORM}")
    _check_charset(request)
    try:
        text = inflated(request, limit_bytes).decode()
    except UnicodeDecodeError as error:
        raise FhirError(Kind.MALFORMED, "The form is not percent-encoded UTF-8") from error
    return parse_query(text)


def with_body(request: Request, interaction: Interaction, definitions: Definitions, limit_bytes: int) -> Interaction:
    """Return the interaction with what the body says.

    Raises:
        FhirError: UNSUPPORTED_MEDIA_TYPE (415) for a type that the interaction does not take; 400 and 413 for a body
            that is not what its type says.
    """
    if request.method in _BODILESS or interaction.code in _SEARCHES:
        return interaction
    media = request.mimetype
    is_stored = interaction.code in {Code.CREATE, Code.UPDATE}
    if interaction.type == "Binary" and is_stored and media not in JSON_BODIES | FHIR_XML_BODIES:
        return _with_binary(request, interaction, limit_bytes)
    raw = inflated(request, limit_bytes)
    if media in JSON_BODIES or media in {JSON_PATCH, MERGE_PATCH}:
        _check_charset(request)
    if interaction.code is Code.PATCH:
        return _with_patch(request, interaction, raw, definitions, limit_bytes)
    if not raw.strip():
        if interaction.code is Code.OPERATION:
            return interaction
        raise FhirError(Kind.MALFORMED, "A resource is required in the body")
    return replace(interaction, resource=_decoded(request, raw, definitions, limit_bytes))


def _with_patch(
    request: Request, interaction: Interaction, raw: bytes, definitions: Definitions, limit_bytes: int
) -> Interaction:
    """Return the interaction with its patch: what `application/json` is not told, an object of members to merge is."""
    media = request.mimetype
    if media == JSON or media in FHIR_XML_BODIES:
        return replace(interaction, resource=_decoded(request, raw, definitions, limit_bytes))
    if media == XML_PATCH:
        charset = request.mimetype_params.get("charset", "")
        return replace(interaction, xml_patch=parse_xml_patch(raw, limit_bytes, charset))
    if media == JSON_PATCH:
        return replace(interaction, patch=parse_patch(raw))
    if media == MERGE_PATCH:
        return replace(interaction, merge_patch=json.decode(raw, limit_bytes))
    if media == GENERAL_JSON and raw.lstrip()[:1] == b"{":
        changes = json.decode(raw, limit_bytes)
        if changes.get("resourceType", interaction.type) == interaction.type:
            return replace(interaction, merge_patch=changes)
    raise FhirError(
        Kind.UNSUPPORTED_MEDIA_TYPE,
        f"PATCH takes {JSON_PATCH}, {MERGE_PATCH}, {XML_PATCH}, or {JSON} or {XML} with a FHIRPath Patch (Parameters)",
    )


def _decoded(request: Request, raw: bytes, definitions: Definitions, limit_bytes: int) -> Mapping[str, Any]:
    """Return the resource in a body, in the format its Content-Type says; JSON where it says nothing."""
    media = request.mimetype
    keep(request, raw)
    if media and not is_of_this_version(request):
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "The fhirVersion of the body is not supported; send 4.0")
    if media in XML_BODIES:
        return read_xml(definitions, raw, limit_bytes, request.mimetype_params.get("charset", ""))
    if media and media not in JSON_BODIES:
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, f"{media[:64]} is not supported; send {JSON} or {XML}")
    return json.decode(raw, limit_bytes)


def _check_charset(request: Request) -> None:
    """Refuse a body that is declared to be anything but UTF-8, or ASCII, which is part of it; FHIR knows no other."""
    if request.mimetype_params.get("charset", "utf-8").strip("\"'").lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "The charset of a Content-Type is UTF-8 in FHIR")


def _with_binary(request: Request, interaction: Interaction, limit_bytes: int) -> Interaction:
    """Return the interaction with a Binary around a raw body; what is long is kept in a file, and not here."""
    pieces = _base64_of(inflated_pieces(request, limit_bytes))
    held = b""
    for piece in pieces:
        held += piece
        if len(held) > _HELD_BYTES:
            break
    if not request.mimetype or not held:
        raise FhirError(Kind.MALFORMED, "A Binary needs a Content-Type and content")
    binary = _wrapper(request, interaction)
    if len(held) <= _HELD_BYTES:
        return replace(interaction, resource={**binary, "data": held.decode()})
    # Whoever answers, or refuses, closes it (`api.routes`).
    g.fhir_upload = upload = Upload(TemporaryFile())  # noqa: SIM115 - it is read while the answer goes out
    upload.write(held)
    for piece in pieces:
        upload.write(piece)
    return replace(interaction, resource={**binary, "data": upload.mark}, upload=upload)


def _base64_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        raw = rest + piece
        end = len(raw) - len(raw) % _GROUP_BYTES
        yield b64encode(raw[:end])
        rest = raw[end:]
    yield b64encode(rest)


def _wrapper(request: Request, interaction: Interaction) -> dict[str, Any]:
    """Return the Binary without its content."""
    binary: dict[str, Any] = {
        "resourceType": "Binary",
        "contentType": " ".join(request.headers["Content-Type"].split()),
    }
    if interaction.id:
        binary["id"] = interaction.id
    if named := request.headers.get("X-Security-Context"):
        # INVARIANT: whoever names a context is not told 201 for content that nothing protects.
        if not parse_reference(named, context().fhir_base).id:
            raise FhirError(Kind.INVALID_VALUE, "X-Security-Context is a reference such as DocumentReference/1")
        binary["securityContext"] = {"reference": named}
    return binary
