"""Search within one record: one box over letters, notes, results, appointments, conditions and the like."""

from __future__ import annotations

from typing import Any, Final

from flask import render_template, request

from fhir_server.portal.models.letter import found_in, letter
from fhir_server.portal.models.record_search import TYPES, hits, words_query
from fhir_server.portal.road import MOST_COUNT
from fhir_server.portal.views.whose import Record, open_record

_LONGEST: Final = 100
_MOST: Final = 200


def search_record(patient_id: str = "") -> str:
    """Show what has the words that were typed, all of them."""
    record = open_record(patient_id)
    typed = " ".join(request.args.get("q", "").split())[:_LONGEST]
    query = words_query(typed)
    found, is_first_only, is_cut = _found(record, typed, query) if query else ((), False, False)
    return render_template(
        "portal/record/search.html",
        record=record,
        typed=typed,
        asked=bool(query),
        hits=hits(found),
        more=is_first_only,
        cut=MOST_COUNT if is_cut else 0,
    )


def _found(record: Record, typed: str, query: str) -> tuple[tuple[dict[str, Any], ...], bool, bool]:
    """Return what has the words, whether there is more of it, and whether there are letters nobody looked into."""
    about = ("patient", record.reference)
    # The server's search knows every text but what is inside of a file: the words of letters are compared here.
    everywhere = record.road.search_types(TYPES, about, ("_content", query), limit=_MOST)
    letters, is_cut = record.road.search_most("DocumentReference", about, ("_sort", "-date"))
    wanted = {each.id for each in found_in(map(letter, letters), typed)}
    known = {str(entry["id"]) for entry in everywhere if entry["resourceType"] == "DocumentReference"}
    found = (*everywhere, *(entry for entry in letters if entry["id"] in wanted - known))
    return found, len(everywhere) >= _MOST, is_cut
