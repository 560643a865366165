"""The first page: for a patient what is new, what is next and who looked; for staff the way to their work."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from flask import redirect, render_template
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.portal.models.appointment import Visit, diary
from fhir_server.portal.models.appointment_request import Answer
from fhir_server.portal.models.audit import Log, LogVisit
from fhir_server.portal.models.letter import letter
from fhir_server.portal.models.note import is_note
from fhir_server.portal.models.result import latest_by_test, newest_first
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views import visits
from fhir_server.portal.views.access_log import log_of
from fhir_server.portal.views.appointment_requests import standing
from fhir_server.portal.views.letters import SENT_TO_ME, unread
from fhir_server.portal.views.paused_sharing import pauses_of
from fhir_server.portal.views.whose import Record, open_record

_START: Final = {
    "professional": "/patients",
    "coordinator": "/organisation",
    "privacy-officer": "/privacy",
    "service-desk": "/service-desk",
    "developer": "/developer",
}
_FEW: Final = 4
_MOST_LETTERS: Final = 50
_MOST_RESULTS: Final = 40
_EVENTS: Final = 20
_TOLD_DAYS: Final = 60


def home() -> str | Response:
    """Show the first page of whoever is here."""
    signed_in = web.signed_in()
    if signed_in is None:
        return render_template("portal/welcome.html")
    role = signed_in.account.role
    if role in _START:
        return redirect(_START[role])
    if role == "admin":
        return render_template("portal/administration.html")
    return _overview(open_record())


def _overview(record: Record) -> str:
    way = record.road
    before = visits.before(record)
    since = (way.now - visits.FIRST_VISIT).date().isoformat()
    today = way.now.date().isoformat()
    about = ("patient", record.reference)
    appointments = way.search("Appointment", about, ("date", f"ge{today}"), ("_sort", "date"), ("_count", "20")).matches
    upcoming = [visit for visit in diary(appointments, way.now).upcoming if not visit.called_off]
    newest = way.search("DocumentReference", about, SENT_TO_ME, ("_sort", "-date"), ("_count", str(_MOST_LETTERS)))
    letters = [letter(entry) for entry in newest.matches]
    notes = {str(entry["id"]) for entry in newest.matches if is_note(entry)}
    unopened = unread(record, letters)
    # Since the visit before; who was never here is told of the last weeks.
    asked = ("_lastUpdated", f"gt{before.isoformat()}") if before else ("date", f"ge{since}")
    results = way.search(
        "Observation", about, ("category", "laboratory"), asked, ("_sort", "-date"), ("_count", str(_MOST_RESULTS))
    ).matches
    log = log_of(record, count=_EVENTS)[0] if record.own else None
    answers = _answered(record, upcoming, before or way.now - visits.FIRST_VISIT)
    return render_template(
        "portal/home.html",
        record=record,
        next_visit=upcoming[0] if upcoming else None,
        answers=answers,
        letters=[entry for entry in letters if entry.id in unopened][:_FEW],
        unread_count=len(unopened),
        unread_words=_unread(len(unopened), len(unopened & notes)),
        more_letters=bool(newest.next_page) and len(unopened) == len(letters),
        results=sorted(latest_by_test(newest_first(results)), key=lambda test: not test.is_outside)[:_FEW],
        result_count=len(results),
        before=moment_of(before) if before else None,
        log=log,
        emergencies=_lately(log, way.now) if log else (),
        is_paused=record.own and bool(pauses_of(record)),
        new_days=visits.FIRST_VISIT.days,
    )


def _answered(record: Record, upcoming: list[Visit], since: datetime) -> list[tuple[Visit, Answer]]:
    """Return the appointments ahead about which a request was answered lately, each with the answer."""
    asked = standing(record) if upcoming else {}
    answers = ((visit, asked[visit.id].answer) for visit in upcoming if visit.id in asked)
    return [(visit, answer) for visit, answer in answers if answer and answer.sent and answer.sent.at > since]


def _unread(count: int, note_count: int) -> str:
    """Return `3 unread letters`, of so many in all, of which so many are notes."""
    if 0 < note_count < count:
        return web.say("%(count)s unread letters and notes") % {"count": count}
    if note_count:
        return web.say_many("1 unread note", "%(count)s unread notes", count) % {"count": count}
    return web.say_many("1 unread letter", "%(count)s unread letters", count) % {"count": count}


def _lately(log: Log, now: datetime) -> tuple[LogVisit, ...]:
    """Return the emergency accesses that the patient should not have to look for."""
    since = (now - timedelta(days=_TOLD_DAYS)).isoformat()
    return tuple(visit for visit in log.emergencies if visit.iso >= since and not visit.review)
