"""Coordinators: what patients ask about appointments that the organisation booked, and the answer.

INVARIANT: the gate decides which Tasks are here: those of the organisation's own. Of the record itself a coordinator
sees nothing; the answer goes into it by an operation that knows the request.
"""

from __future__ import annotations

from typing import Any, Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem
from fhir_server.portal.models.appointment_request import LONGEST
from fhir_server.portal.models.booking_request import CODE, BookingRequest, booking_request, in_order
from fhir_server.portal.road import Road, road
from fhir_server.portal.views.appointment_answers import read_verdict
from fhir_server.spec.outcome import FhirError, Kind

_LIST: Final = "/organisation/appointment-requests"
_MOST: Final = 200
_NOTICE: Final = {
    "sent": "Your answer is with the patient. Change the booking in your own system",
    "known": "This request was answered or taken back already",
}


def booking_requests() -> str:
    """List the requests that wait, about appointments ahead, and what was answered last."""
    way = road()
    ours = (("code", CODE), ("_count", str(_MOST)))
    waiting = way.search("Task", *ours, ("status", "requested"), ("_sort", "-authored-on"))
    show_answered = request.args.get("show") == "answered"
    done = way.search("Task", *ours, ("status", "completed"), ("_sort", "-modified")).matches if show_answered else ()
    return render_template(
        "portal/organisation/booking_requests.html",
        waiting=in_order(waiting.matches, way.now),
        cut=_MOST if waiting.next_page else 0,
        show="answered" if show_answered else "waiting",
        answered=tuple(filter(None, map(booking_request, done))),
        notice=_NOTICE.get(request.args.get("done", ""), ""),
    )


def answer_booking_request(request_id: str) -> str | Response:
    """Show one request; ask for an answer and a message, and give both to the patient."""
    way = road()
    found = booking_request(way.read("Task", request_id))
    if found is None:
        abort(404)
    if request.method == "GET":
        return _form(found, ())
    verdict, message, problems = read_verdict(request.form)
    if problems:
        return make_response(_form(found, problems), 400)
    return redirect(f"{_LIST}?done={'sent' if _answer(way, request_id, verdict, message) else 'known'}", 303)


def _answer(way: Road, request_id: str, verdict: str, message: str) -> bool:
    """Give the answer; return False where another's came first, or the patient took the request back."""
    given: list[dict[str, Any]] = [{"name": "answer", "valueCode": verdict}]
    if message:
        given.append({"name": "text", "valueString": message})
    try:
        way.operate("answer-appointment-request", "Task", request_id, given)
    except FhirError as error:
        if error.kind is not Kind.BUSINESS_RULE:
            raise
        return False
    return True


def _form(found: BookingRequest, problems: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/organisation/answer_booking.html", each=found, longest=LONGEST, errors=problems, answers=request.form
    )
