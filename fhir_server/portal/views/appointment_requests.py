"""Ask whoever booked an appointment for another time, or to cancel it; take such a request back."""

from __future__ import annotations

from typing import Any, Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.identity import carers
from fhir_server.portal.forms import Problem, too_long
from fhir_server.portal.models import appointment_request as model
from fhir_server.portal.models.appointment import CALLED_OFF, diary, visit
from fhir_server.portal.models.appointment_request import KINDS, LONGEST, Asked, communication
from fhir_server.portal.views.whose import Record, open_record

_LIST: Final = "/record/appointments"


def ask_to_change(appointment_id: str) -> str | Response:
    """Ask for another time or to cancel: one form, saved as a Communication to those who hold the appointment."""
    record = open_record()
    appointment = record.read("Appointment", appointment_id)
    if not may_ask(appointment, record):
        abort(404)
    if request.method == "GET":
        return _form(record, appointment, ())
    if request.form.get("step") == "back":
        return _take_back(record, appointment_id)
    if _waits(record, appointment_id):
        return redirect(f"{_LIST}?done=asked", 303)
    kind = request.form.get("kind", "")
    message = "\n".join(line.strip() for line in request.form.get("message", "").strip().splitlines())
    problems: list[Problem] = []
    if kind not in KINDS:
        problems.append(Problem("Choose what you want to ask", "#kind"))
    if len(message) > LONGEST:
        problems.append(Problem(too_long("Your message", LONGEST), "#message"))
    if problems:
        return make_response(_form(record, appointment, tuple(problems)), 400)
    who = record.road.principal
    sender = record.patient_reference if record.own else {"reference": who.subject, "display": who.name}
    sent = communication(
        kind, message, appointment, patient=record.patient_reference, sender=sender, now=record.road.now
    )
    record.road.create(sent)
    _tell(record, appointment)
    return redirect(f"{_LIST}?done=asked", 303)


def may_ask(appointment: dict[str, Any], record: Record) -> bool:
    """Return whether there is something to ask: it is ahead, somebody else's booking, and not called off."""
    ahead = bool(diary((appointment,), record.road.now).upcoming)
    return ahead and appointment.get("status") not in {*CALLED_OFF, "proposed"} and bool(appointment.get("start"))


def _waits(record: Record, appointment_id: str) -> bool:
    """Return whether an appointment was asked about and nobody has answered yet."""
    asked = standing(record).get(appointment_id)
    return asked is not None and asked.answer is None


def standing(record: Record) -> dict[str, Asked]:
    """Return the requests of a record that stand, with what was answered, by the id of their appointment."""
    codes = ",".join(f"{model.SYSTEM}|{code}" for code in (*KINDS, *model.ANSWERS))
    found = record.road.search_all("Communication", ("patient", record.reference), ("category", codes))
    return model.standing(found)


def _take_back(record: Record, appointment_id: str) -> Response:
    asked = standing(record).get(appointment_id)
    if asked is not None:
        stored = record.road.read("Communication", asked.id)
        record.road.update(model.taken_back(stored), asked.version)
    return redirect(f"{_LIST}?done=back", 303)


def _tell(record: Record, appointment: dict[str, Any]) -> None:
    """Tell the professionals of the appointment that there is something new, and not what, or for whom."""
    way = record.road
    with way.context.store.write() as session:
        for reference in model.professionals(appointment):
            carers.tell(session, reference, way.now)


def _form(record: Record, appointment: dict[str, Any], problems: tuple[Problem, ...]) -> str:
    shown = visit(appointment)
    return render_template(
        "portal/record/ask_to_change.html",
        record=record,
        visit=shown,
        longest=LONGEST,
        errors=problems,
        answers=request.form,
    )
