"""Letters: the list, the page of one, and its file.

INVARIANT: a file leaves only with a media type of the allow list, `nosniff` and a sandboxing policy; never HTML or SVG.
"""

from __future__ import annotations

from typing import Final

from flask import abort, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.models.letter import SHOWN_TYPES, attachments, inline_data, letter, media_type
from fhir_server.portal.models.words import Json
from fhir_server.portal.views.whose import Record, open_record

_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"


def letters(patient_id: str = "") -> str:
    """List letters, newest first."""
    record = open_record(patient_id)
    page = request.args.get("page", "")
    found = record.road.search(
        "DocumentReference", ("patient", record.reference), ("_sort", "-date"), ("_count", "20"), page=page
    )
    shown = [letter(entry) for entry in found.matches]
    return render_template(
        "portal/record/letters.html", record=record, letters=shown, next_page=found.next_page, later=bool(page)
    )


def one_letter(letter_id: str, patient_id: str = "") -> str:
    """Show one letter with its words as text beside the file."""
    record = open_record(patient_id)
    shown = letter(record.road.read("DocumentReference", letter_id))
    return render_template("portal/record/letter.html", record=record, letter=shown)


def letter_file(letter_id: str, index: int, patient_id: str = "") -> Response:
    """Send one file of a letter: read over the road, the DocumentReference first, then its Binary."""
    record = open_record(patient_id)
    resource = record.road.read("DocumentReference", letter_id)
    listed = attachments(resource)
    shown = letter(resource).files[index] if index < len(listed) else None
    if shown is None or not shown.shown:
        abort(404)
    content, kind = _content(record, listed[index], shown.binary)
    if content is None or kind not in SHOWN_TYPES:
        abort(404)
    headers = {
        "Content-Disposition": f'attachment; filename="letter.{SHOWN_TYPES[kind][1]}"',
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, content_type=f"{kind}; charset=utf-8" if kind == "text/plain" else kind, headers=headers)


def _content(record: Record, attachment: Json, binary_id: str) -> tuple[bytes | None, str]:
    if not binary_id:
        return inline_data(attachment), media_type(attachment)
    binary = record.road.read("Binary", binary_id)
    # The Binary's own type decides: the letter may say otherwise of it.
    return inline_data(binary), media_type(binary)
