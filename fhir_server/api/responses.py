"""From an `Outcome` to an HTTP response: status, ETag, Last-Modified, Location, Prefer, raw Binary."""

from __future__ import annotations

from datetime import datetime

import msgspec
from flask import Response, request

from fhir_server.api.formats import render_xml
from fhir_server.api.raw_binary import raw_binary
from fhir_server.api.requests import Wishes
from fhir_server.interactions.model import Code, Interaction, Outcome
from fhir_server.interactions.uploads import Upload
from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import Issue, operation_outcome

_READS = frozenset({Code.READ, Code.VREAD})
_WRITES = frozenset({Code.CREATE, Code.UPDATE, Code.PATCH})
_ACCEPTED = 202


def answer(
    interaction: Interaction,
    wishes: Wishes,
    outcome: Outcome,
    definitions: Definitions,
    kept: dict[bool, bytes] | None = None,
) -> Response:
    """Return the response that discloses an outcome, and no more than that.

    Args:
        interaction: What was asked.
        wishes: How the answer is wanted.
        outcome: The answer.
        definitions: To write it as XML.
        kept: Where to keep the XML of an answer that is the same for everybody.
    """
    if interaction.code in _READS and outcome.version and _is_known(wishes, outcome):
        return _headers(Response(status=304), interaction, outcome)
    content, content_type = outcome.content, wishes.format.content_type
    status = outcome.status
    if interaction.code in _WRITES:
        content = _written(wishes, outcome)
    elif interaction.code is Code.DELETE and wishes.returns == "OperationOutcome":
        content, status = _told("Deleted"), 200
    elif wishes.binary and outcome.type == "Binary":
        return _headers(raw_binary(request, outcome.content), interaction, outcome)
    if content and interaction.upload is not None and interaction.upload.stands_in(content):
        if not (wishes.format.xml or wishes.pretty):
            return _headers(_long(interaction.upload, content, status, content_type), interaction, outcome)
        content = b"".join(interaction.upload.pieces_of(content))
    if content and wishes.format.xml:
        content = render_xml(definitions, content, pretty=wishes.pretty, kept=kept)
    elif wishes.pretty and content:
        content = msgspec.json.format(content, indent=2)
    response = Response(content, status=status)
    if content:
        response.content_type = content_type
    else:
        response.headers.pop("Content-Type", None)
    return _headers(response, interaction, outcome)


def _long(upload: Upload, content: bytes, status: int, content_type: str) -> Response:
    """Return the answer to a long upload, as long as it: piece by piece."""
    response = Response(upload.last_pieces_of(content), status=status, content_type=content_type)
    response.content_length = upload.length_in(content)
    return response


def _written(wishes: Wishes, outcome: Outcome) -> bytes:
    if wishes.returns == "minimal":
        return b""
    if wishes.returns == "OperationOutcome":
        return _told("Stored")
    return outcome.content


def _told(text: str) -> bytes:
    return json.encode(operation_outcome((Issue("information", "informational", text),)))


def _is_known(wishes: Wishes, outcome: Outcome) -> bool:
    """Return whether the caller has this version already (https://hl7.org/fhir/R4/http.html#cread)."""
    if wishes.none_match:
        return "*" in wishes.none_match or str(outcome.version) in wishes.none_match
    since = wishes.modified_since
    # The header has whole seconds, and so has the Last-Modified that it repeats.
    return since is not None and outcome.updated_at is not None and outcome.updated_at.replace(microsecond=0) <= since


def _headers(response: Response, interaction: Interaction, outcome: Outcome) -> Response:
    headers = response.headers
    if outcome.version:
        headers["ETag"] = f'W/"{outcome.version}"'
    if outcome.updated_at is not None:
        headers["Last-Modified"] = _http_date(outcome.updated_at)
    if outcome.location and interaction.code in _WRITES:
        headers["Location"] = outcome.location
    if outcome.location and outcome.status == _ACCEPTED:
        headers["Content-Location"] = outcome.location
    # A copy in a cache would outlive a consent that is withdrawn.
    headers["Cache-Control"] = "private, no-cache" if interaction.code is Code.CAPABILITIES else "no-store"
    return response


def _http_date(instant: datetime) -> str:
    return instant.strftime("%a, %d %b %Y %H:%M:%S GMT")
