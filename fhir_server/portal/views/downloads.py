"""Download a record: everything as a FHIR Bundle, a summary for another country (IPS), a PDF, results as a table.

Each file is made of what the same person sees on pages, over the road, and its reading is in the access log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import render_template
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.portal.models import ips, results_csv
from fhir_server.portal.models.appointment import visit
from fhir_server.portal.models.letter import letter
from fhir_server.portal.models.note import is_note
from fhir_server.portal.models.result import latest_by_test, newest_first
from fhir_server.portal.models.summary import SUMMARY_TYPES, summary
from fhir_server.portal.views.whose import Record, open_record
from fhir_server.spec import json
from fhir_server.web.language import in_english

if TYPE_CHECKING:
    from fhir_server.portal import record_pdf

_FHIR: Final = "application/fhir+json"
_PDF_TYPES: Final = ("Observation", "Appointment", "DocumentReference")


def download() -> str:
    """Say what can be downloaded, and what to take care of."""
    return render_template("portal/record/download.html", record=open_record())


def fhir_bundle() -> Response:
    """Send the whole record as one FHIR Bundle, every digit as it was written."""
    record = open_record()
    resources = record.road.everything(record.patient_id)
    base = record.road.context.fhir_base
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": record.road.now.isoformat(timespec="seconds"),
        "entry": [{"fullUrl": f"{base}/{each['resourceType']}/{each['id']}", "resource": each} for each in resources],
    }
    return _file(json.encode(bundle), _FHIR, "health-record.json")


def ips_document() -> Response:
    """Send the International Patient Summary."""
    with in_english():
        return _ips()


def _ips() -> Response:
    record = open_record()
    document = ips.document(
        record.road.everything(record.patient_id),
        record.patient,
        fhir_base=record.road.context.fhir_base,
        maker=web.current().brand_name,
        title=f"Patient summary of {record.person.name}",
        reader=record.road.principal.subject,
        now=record.road.now,
    )
    return _file(json.encode(document), _FHIR, "patient-summary.json")


def pdf_file() -> Response:
    """Send the record as a PDF."""
    with in_english():
        return _pdf()


def _pdf() -> Response:
    record = open_record()
    resources = record.road.everything(record.patient_id)
    copy = _copy(record, resources)
    from fhir_server.portal import record_pdf  # noqa: PLC0415 - as in `_copy`

    return _file(
        record_pdf.pdf(copy, web.current().brand_name, record.road.now), "application/pdf", "health-record.pdf"
    )


def _copy(record: Record, resources: tuple[dict[str, Any], ...]) -> record_pdf.Copy:
    by_type: dict[str, list[dict[str, Any]]] = {}
    for resource in resources:
        by_type.setdefault(str(resource["resourceType"]), []).append(resource)
    tests = newest_first(by_type.get("Observation", ()))
    visits = sorted(map(visit, by_type.get("Appointment", ())), key=lambda one: one.start.iso if one.start else "")
    sent = sorted(by_type.get("DocumentReference", ()), key=lambda one: str(one.get("date", "")), reverse=True)
    from fhir_server.portal import record_pdf  # noqa: PLC0415 - fpdf is 26 MB, which most processes never need

    return record_pdf.Copy(
        person=record.person,
        summary=summary(entry for kind in SUMMARY_TYPES for entry in by_type.get(kind, ())),
        results=latest_by_test(test for test in tests if not test.vital),
        measurements=latest_by_test(test for test in tests if test.vital),
        appointments=visits[::-1],
        letters=[letter(entry) for entry in sent if not is_note(entry)],
        notes=[letter(entry) for entry in sent if is_note(entry)],
        is_whole=record.own,
    )


def results_table() -> Response:
    """Send every result and measurement as CSV, newest first."""
    record = open_record()
    found = record.road.search_whole("Observation", ("patient", record.reference), ("_sort", "-date"))
    with in_english():
        return _file(results_csv.table(newest_first(found)), "text/csv; charset=utf-8", "results.csv")


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, content_type=media_type, headers=headers)
