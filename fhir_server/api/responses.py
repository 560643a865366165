"""From an `Outcome` to an HTTP response: status, ETag, Last-Modified, Location, Prefer, raw Binary."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is held whole: status, the headers that say what it is, content."""

    status: int
    headers: list[tuple[str, str]]
    content: bytes


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
    upload = interaction.upload
    if wishes.binary and outcome.type == "Binary" and not _is_known(interaction, wishes, outcome):
        response = raw_binary(request, outcome.content)
        response.headers.extend(_headers(interaction, outcome))
        return response
    content, status = _said(interaction, wishes, outcome)
    if content and upload is not None and upload.stands_in(content) and not (wishes.format.xml or wishes.pretty):
        response = _long(upload, content, status, wishes.format.content_type)
        response.headers.extend(_headers(interaction, outcome))
        return response
    made = whole_answer(interaction, wishes, outcome, definitions, kept)
    response = Response(made.content, made.status)
    del response.headers["Content-Type"]
    response.headers.extend(made.headers)
    return response


def whole_answer(
    interaction: Interaction,
    wishes: Wishes,
    outcome: Outcome,
    definitions: Definitions,
    kept: dict[bool, bytes] | None = None,
) -> Answer:
    """Return an answer in one piece; arguments as of `answer`."""
    if _is_known(interaction, wishes, outcome):
        # Of what describes the content only the tag is said again (RFC 9110 §15.4.5).
        return Answer(304, _headers(interaction, replace(outcome, updated_at=None)), b"")
    content, status = _said(interaction, wishes, outcome)
    if content and interaction.upload is not None and interaction.upload.stands_in(content):
        content = b"".join(interaction.upload.pieces_of(content))
    if content and wishes.format.xml:
        content = render_xml(definitions, content, pretty=wishes.pretty, kept=kept)
    elif content and wishes.pretty:
        content = msgspec.json.format(content, indent=2)
    described = [("Content-Type", wishes.format.content_type)] if content else []
    return Answer(status, described + _headers(interaction, outcome), content)


def _said(interaction: Interaction, wishes: Wishes, outcome: Outcome) -> tuple[bytes, int]:
    """Return the JSON of what is answered, which after a change is what was wished for, and the status."""
    if interaction.code in _WRITES:
        return _written(wishes, outcome), outcome.status
    if interaction.code is Code.DELETE and wishes.returns == "OperationOutcome":
        return _told("Deleted"), 200
    return outcome.content, outcome.status


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


def _is_known(interaction: Interaction, wishes: Wishes, outcome: Outcome) -> bool:
    """Return whether the caller has this version already (https://hl7.org/fhir/R4/http.html#cread)."""
    if interaction.code not in _READS or not outcome.version:
        return False
    if wishes.none_match:
        return "*" in wishes.none_match or str(outcome.version) in wishes.none_match
    since = wishes.modified_since
    # The header has whole seconds, and so has the Last-Modified that it repeats.
    return since is not None and outcome.updated_at is not None and outcome.updated_at.replace(microsecond=0) <= since


def _headers(interaction: Interaction, outcome: Outcome) -> list[tuple[str, str]]:
    headers = []
    if outcome.version:
        headers.append(("ETag", f'W/"{outcome.version}"'))
    if outcome.updated_at is not None:
        headers.append(("Last-Modified", _http_date(outcome.updated_at)))
    if outcome.location and interaction.code in _WRITES:
        headers.append(("Location", outcome.location))
    if outcome.location and outcome.status == _ACCEPTED:
        headers.append(("Content-Location", outcome.location))
    # A copy in a cache would outlive a consent that is withdrawn.
    headers.append(("Cache-Control", "private, no-cache" if interaction.code is Code.CAPABILITIES else "no-store"))
    return headers


def _http_date(instant: datetime) -> str:
    return instant.strftime("%a, %d %b %Y %H:%M:%S GMT")
