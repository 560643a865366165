"""The record at a glance, appointments, results and measurements to look at."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import abort, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.calendar_file import calendar
from fhir_server.portal.models.appointment import diary, visit
from fhir_server.portal.models.chart import chart
from fhir_server.portal.models.freshness import freshness
from fhir_server.portal.models.measurement import KINDS
from fhir_server.portal.models.person import Contact, contact
from fhir_server.portal.models.result import Result, compared, lately, latest_by_test, newest_first
from fhir_server.portal.models.summary import SUMMARY_TYPES, summary
from fhir_server.portal.road import MOST_COUNT, escaped
from fhir_server.portal.views import visits
from fhir_server.portal.views.appointment_requests import may_ask, standing
from fhir_server.portal.views.whose import Record, open_record

_MOST_ENTRIES = 1_000
"""So many problems, medicines, allergies, vaccinations and alerts together: more than any real record has."""


def record_summary(patient_id: str = "") -> str:
    """Show alerts, allergies, medicines, problems, vaccinations, recent results and next of kin."""
    record = open_record(patient_id)
    resources = clinical(record, SUMMARY_TYPES)
    emergency = record.emergency_ends_at is not None
    return render_template(
        "portal/record/emergency.html" if emergency else "portal/record/summary.html",
        record=record,
        summary=summary(resources),
        sources=freshness(resources, record.reference),
        results=_recent(record, "laboratory"),
        vital_signs=latest_by_test(_recent(record, "vital-signs")) if emergency else (),
        contacts=next_of_kin(record) if emergency else record.person.contacts,
    )


def clinical(record: Record, types: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Return the entries of these types of a record, by one search."""
    return record.road.search_types(types, ("patient", record.reference), limit=_MOST_ENTRIES)


def _recent(record: Record, category: str) -> tuple[Result, ...]:
    found = record.road.search(
        "Observation", ("patient", record.reference), ("category", category), ("_sort", "-date"), ("_count", "8")
    )
    return newest_first(found.matches)


def next_of_kin(record: Record) -> tuple[Contact, ...]:
    """Return the contacts of the Patient and the RelatedPersons who are not among them."""
    listed = record.person.contacts
    known = {contact.name for contact in listed}
    related = (contact(entry) for entry in record.road.search_all("RelatedPerson", ("patient", record.reference)))
    return (*listed, *(person for person in related if person.name not in known))


def appointments(patient_id: str = "") -> str:
    """Show appointments, what is ahead first, with what was asked about them."""
    record = open_record(patient_id)
    found, is_cut = record.road.search_most("Appointment", ("patient", record.reference), ("_sort", "-date"))
    return render_template(
        "portal/record/appointments.html",
        record=record,
        diary=diary(found, record.road.now),
        asked=standing(record),
        open=frozenset(str(entry["id"]) for entry in found if may_ask(entry, record)),
        sources=freshness(found, record.reference),
        done=request.args.get("done", ""),
        cut=MOST_COUNT if is_cut else 0,
    )


def appointment_file(appointment_id: str, patient_id: str = "") -> Response:
    """Send one appointment as a calendar file."""
    record = open_record(patient_id)
    shown = visit(record.read("Appointment", appointment_id))
    content = calendar(shown, record.road.now)
    if content is None:
        abort(404)
    headers = {"Content-Disposition": 'attachment; filename="appointment.ics"', "Cache-Control": "no-store"}
    return Response(content, content_type="text/calendar; charset=utf-8", headers=headers)


def results(patient_id: str = "") -> str:
    """Show the latest result of each test, compared with the time before."""
    record = open_record(patient_id)
    found, is_cut = _observations(record, "laboratory")
    newest = lately(found)
    tests = latest_by_test(newest)
    since = visits.before(record)
    return render_template(
        "portal/record/results.html",
        record=record,
        tests=tests,
        outside=[test for test in tests if test.is_outside and test.code],
        latest=newest[:1],
        new=frozenset(test.id for test in tests if visits.is_new(test.arrived, since)),
        sources=freshness(found, record.reference),
        cut=MOST_COUNT if is_cut else 0,
    )


def _observations(record: Record, category: str) -> tuple[tuple[dict[str, Any], ...], bool]:
    return record.road.search_most(
        "Observation", ("patient", record.reference), ("category", category), ("_sort", "-date")
    )


def history(code: str, patient_id: str = "") -> str | Response:
    """Show one test or measurement over time, among those of its kind: a chart and the same as a table."""
    record = open_record(patient_id)
    about = (("patient", record.reference), ("code", escaped(code)), ("_sort", "-date"))
    found, is_cut = record.road.search_most("Observation", *about)
    entries = compared(newest_first(found))
    if not entries:
        abort(404)
    if not request.path.startswith(room := f"{record.root}{entries[0].room}/"):
        return redirect(f"{room}{quote(code, safe='')}")
    return render_template(
        "portal/record/history.html",
        record=record,
        entries=entries,
        chart=chart(entries),
        cut=MOST_COUNT if is_cut else 0,
        sources=freshness(found, record.reference),
    )


def measurements(patient_id: str = "") -> str:
    """Show the latest of each measurement."""
    record = open_record(patient_id)
    found, is_cut = _observations(record, "vital-signs")
    return render_template(
        "portal/record/measurements.html",
        record=record,
        tests=latest_by_test(lately(found)),
        kinds=KINDS,
        cut=MOST_COUNT if is_cut else 0,
        sources=freshness(found, record.reference),
        may_add=record.own,
    )
