"""Letters: the list with what is unread, a search in their words, the page of one, and its file.

INVARIANT: a file leaves only with a media type of the allow list, `nosniff` and a sandboxing policy; never HTML or SVG.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flask import abort, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.identity import reading
from fhir_server.portal.models.freshness import freshness
from fhir_server.portal.models.letter import (
    SHOWN_TYPES,
    Letter,
    attachments,
    found_in,
    inline_data,
    letter,
    media_type,
)
from fhir_server.portal.models.note import EVERY_TYPE, TYPE, is_note
from fhir_server.portal.models.words import Json
from fhir_server.portal.road import MOST_COUNT
from fhir_server.portal.views.whose import Record, account_id, open_record

_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
_TYPE: Final = "DocumentReference"
NO_NOTES: Final = tuple(("type:not", kind) for kind in EVERY_TYPE.split(","))
"""Search parameters that leave notes out."""
SENT_TO_ME: Final = ("type:not", TYPE)
"""Search parameter that leaves out what the patient and family wrote."""
_LONGEST_QUERY: Final = 100


def letters(patient_id: str = "") -> str:
    """List letters, newest first, or those with the words that were searched for."""
    record = open_record(patient_id)
    wanted = " ".join(request.args.get("q", "").split())[:_LONGEST_QUERY]
    page = request.args.get("page", "")
    about = (("patient", record.reference), *NO_NOTES, ("_sort", "-date"))
    is_cut = False
    if wanted:
        (resources, is_cut), next_page = record.road.search_most(_TYPE, *about), ""
        shown = found_in(map(letter, resources), wanted)
    else:
        found = record.road.search(_TYPE, *about, ("_count", "20"), page=page)
        resources, next_page = found.matches, found.next_page
        shown = tuple(letter(entry) for entry in resources)
    return render_template(
        "portal/record/letters.html",
        record=record,
        letters=shown,
        unread=unread(record, shown),
        wanted=wanted,
        cut=MOST_COUNT if is_cut else 0,
        sources=freshness(resources, record.reference) if not wanted else (),
        next_page=next_page,
        later=bool(page),
    )


def mark_all_read() -> Response:
    """Note every letter and note of the record as read."""
    record = open_record()
    found = record.road.search_all(_TYPE, ("patient", record.reference), SENT_TO_ME, ("_elements", "status"))
    note_opened(record, (str(entry["id"]) for entry in found))
    return redirect("/record/letters", 303)


def unread(record: Record, shown: Iterable[Letter]) -> frozenset[str]:
    """Return which letters the reader has not opened yet, by logical id; nothing for a professional."""
    if not (record.own or record.caring):
        return frozenset()
    ids = tuple(entry.id for entry in shown)
    return reading.unopened(record.road.context.store, account_id(), _TYPE, ids)


def note_opened(record: Record, ids: Iterable[str]) -> None:
    """Note that whose record it is, or family, was shown these."""
    if record.own or record.caring:
        reading.opened(record.road.context.store, account_id(), _TYPE, ids, record.road.now)


def one_letter(letter_id: str, patient_id: str = "") -> str:
    """Show one letter with its words as text beside the file."""
    record = open_record(patient_id)
    resource = record.read(_TYPE, letter_id)
    shown = letter(resource)
    note_opened(record, (shown.id,))
    return render_template("portal/record/letter.html", record=record, letter=shown, is_note=is_note(resource))


def letter_file(letter_id: str, index: int, patient_id: str = "") -> Response:
    """Send one file of a letter: read over the road, the DocumentReference first, then its Binary."""
    record = open_record(patient_id)
    resource = record.read(_TYPE, letter_id)
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
