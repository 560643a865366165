"""What patients asked about appointments, for the professionals who may see it, and the answer.

INVARIANT: the same gate as everywhere decides which requests are here: who cannot open the record has none of it.
Nothing here changes a booking: whoever holds it does, in their own system, and it arrives as any other change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.identity import carers
from fhir_server.portal.forms import Problem, too_long
from fhir_server.portal.models.appointment import Visit, diary
from fhir_server.portal.models.appointment_request import ANSWERS, KINDS, LONGEST, SYSTEM, Asked, reply, standing
from fhir_server.portal.models.person import Person, person
from fhir_server.portal.models.words import LONDON, reference
from fhir_server.portal.road import Road, escaped, road
from fhir_server.spec.outcome import FhirError, Kind

_LIST: Final = "/patients/appointment-requests"
_MOST: Final = 200
_REFUSED: Final = "You cannot answer this. What the person shares with you does not include adding to their record"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for an answer: of whom, about which appointment."""

    asked: Asked
    person: Person
    visit: Visit


def appointment_requests() -> str:
    """List the requests about appointments ahead that nobody has answered, the appointment that comes first on top."""
    waiting, is_cut = _waiting(road())
    return render_template(
        "portal/professional/appointment_requests.html",
        waiting=waiting,
        cut=_MOST if is_cut else 0,
        notice={
            "sent": "Your answer is in the person's record now. Change the booking in your own system",
            "known": "Somebody has answered this already",
        }.get(request.args.get("done", ""), ""),
    )


def answer_appointment_request(request_id: str) -> str | Response:
    """Ask for a yes or no and a message, save it to the record as the professional's, and tell the patient."""
    way = road()
    found = next((each for each in _waiting(way)[0] if each.asked.id == request_id), None)
    if found is None:
        way.read("Communication", request_id)
        return redirect(f"{_LIST}?done=known", 303)
    if request.method == "GET":
        return _form(found, ())
    verdict, message, problems = read_verdict(request.form)
    if problems:
        return make_response(_form(found, problems), 400)
    try:
        is_ours = _save(way, found, verdict, message)
    except FhirError as error:
        if error.kind is not Kind.FORBIDDEN:
            raise
        return make_response(_form(found, (Problem(_REFUSED),)), 403)
    return redirect(f"{_LIST}?done={'sent' if is_ours else 'known'}", 303)


def read_verdict(form: Mapping[str, str]) -> tuple[str, str, tuple[Problem, ...]]:
    """Return the answer to a request about an appointment, its message, and what is wrong with them."""
    verdict = form.get("verdict", "")
    message = "\n".join(line.strip() for line in form.get("message", "").strip().splitlines())
    problems = []
    if verdict not in ANSWERS:
        problems.append(Problem("Choose your answer", "#verdict"))
    if verdict == "another-time" and not message:
        problems.append(Problem("Say which times you can offer", "#message"))
    if len(message) > LONGEST:
        problems.append(Problem(too_long("Your message", LONGEST), "#message"))
    return verdict, message, tuple(problems)


def _save(way: Road, found: Waiting, verdict: str, message: str) -> bool:
    """Save an answer and tell the patient; return False where another's came first, and stands."""
    asked = way.read("Communication", found.asked.id)
    by = {"reference": way.principal.subject, "display": way.principal.name}
    answer, same = reply(verdict, message, asked, by=by, version=found.asked.version, now=way.now)
    # Of two answers at once the second waits, and finds the first.
    if not way.create_first(answer, same):
        return False
    with way.context.store.write() as session:
        carers.tell(session, found.asked.patient, way.now)
    return True


def _waiting(way: Road) -> tuple[tuple[Waiting, ...], bool]:
    """Return the requests that wait, and whether there are more than are looked at."""
    codes = ",".join(f"{SYSTEM}|{code}" for code in (*KINDS, *ANSWERS))
    found = way.search("Communication", ("category", codes), ("_sort", "-sent"), ("_count", str(_MOST)))
    # INVARIANT: person by person. Two may ask about one appointment, and nobody answers what another person asked.
    by_person: dict[str, list[dict[str, Any]]] = {}
    for each in found.matches:
        by_person.setdefault(reference(each.get("subject")), []).append(each)
    asked = [one for of_one in by_person.values() for one in standing(of_one).values() if one.answer is None]
    appointments = {str(each["id"]): each for each in _read(way, "Appointment", {one.appointment_id for one in asked})}
    ahead = (visit for visit in diary(appointments.values(), way.now).upcoming if not visit.called_off)
    today = way.now.astimezone(LONDON).date()
    people = {
        f"Patient/{each['id']}": person(each, today)
        for each in _read(way, "Patient", {one.patient.partition("/")[2] for one in asked})
    }
    # Who cannot see the appointment learns nothing of it from what was asked about it.
    return tuple(
        Waiting(one, people[one.patient], visit)
        for visit in ahead
        for one in asked
        if one.appointment_id == visit.id and one.patient in people and _is_of(appointments[visit.id], one.patient)
    ), bool(found.next_page)


def _read(way: Road, resource_type: str, ids: Any) -> tuple[dict[str, Any], ...]:
    """Return those of these that exist for the professional, by one search."""
    wanted = ",".join(escaped(each) for each in sorted(ids))
    return way.search(resource_type, ("_id", wanted), ("_count", str(_MOST))).matches if wanted else ()


def _is_of(appointment: dict[str, Any], patient: str) -> bool:
    return any(reference(each.get("actor")) == patient for each in appointment.get("participant", ()))


def _form(found: Waiting, problems: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/professional/answer_appointment.html",
        each=found,
        longest=LONGEST,
        errors=problems,
        answers=request.form,
    )
