"""Professionals: who shares with me, and look-up of somebody who does not (yet)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.operations.emergencies import running
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.identifiers import nhs_number_answer
from fhir_server.portal.models.person import person
from fhir_server.portal.models.words import LONDON, NHS_NUMBER, nhs_number, spoken_day
from fhir_server.portal.road import Road, escaped, road


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What was looked up, as it was entered: nothing of any record."""

    nhs_number: str
    shown: str
    birth_date: str
    born: str


@dataclass(frozen=True, slots=True)
class OpenEmergency:
    """An emergency access that runs: whose record, until when (aware UTC)."""

    patient_id: str
    name: str
    ends_at: datetime


def patients() -> str:
    """List the patients whose record the professional can open."""
    way = road()
    text = request.args.get("q", "").strip()
    page = request.args.get("page", "")
    query = [("name:contains", escaped(word)) for word in text.split()[:5]]
    found = way.search("Patient", *query, ("_sort", "family"), ("_count", "25"), page=page)
    today = way.now.astimezone(LONDON).date()
    shown = [person(entry, today) for entry in found.matches]
    return render_template(
        "portal/professional/patients.html",
        patients=shown,
        q=text,
        next_page=found.next_page,
        later=bool(page),
        emergencies=_open_emergencies(way),
    )


def _open_emergencies(way: Road) -> list[OpenEmergency]:
    """Return the emergency accesses of this sign-in that run, the one that ends first on top."""
    today = way.now.astimezone(LONDON).date()
    found = []
    for patient_id, ends_at in sorted(running(way.context, way.principal).items(), key=lambda each: each[1]):
        if patient := way.find("Patient", patient_id):
            found.append(OpenEmergency(patient_id, person(patient, today).name, ends_at))
    return found


def find_patient() -> str | Response:
    """Look a person up by NHS number and date of birth.

    A person who shares opens; for everybody else, known here or not, the same card says how to go on.
    """
    if request.method == "GET":
        return render_template("portal/professional/find.html", errors=(), answers={})
    problems: list[Problem] = []
    number = nhs_number_answer(request.form, "nhs-number")
    born = day_answer(request.form, "born", "the date of birth")
    problems += [answer for answer in (number, born) if isinstance(answer, Problem)]
    if isinstance(number, Problem) or isinstance(born, Problem):
        page = render_template("portal/professional/find.html", errors=tuple(problems), answers=request.form)
        return make_response(page, 400)
    if opened := _shared(road(), number, born.isoformat()):
        return redirect(f"/patients/{opened}", 303)
    card = LookedUp(number, nhs_number(number), born.isoformat(), spoken_day(born))
    return render_template("portal/professional/card.html", card=card, answers=request.form)


def _shared(way: Road, number: str, birth_date: str) -> str:
    found = way.search("Patient", ("identifier", f"{NHS_NUMBER}|{number}"), ("birthdate", birth_date), ("_count", "2"))
    return str(found.matches[0]["id"]) if len(found.matches) == 1 else ""
