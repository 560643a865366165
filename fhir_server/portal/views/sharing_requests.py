"""Asking for access: the professional's request and its outcome, the patient's yes or no.

A yes is the same page, check and Consent as any other share; no page here writes a right of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import sharing_requests as identity
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.identifiers import nhs_number_answer
from fhir_server.portal.models.words import NHS_NUMBER, Moment, moment_of, nhs_number, spoken_day
from fhir_server.portal.road import clerk, road
from fhir_server.portal.views.directory import names
from fhir_server.portal.views.sharing import own_record
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web.acting import actor

_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.THROTTLED})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its professional sees it: what they entered, and what became of it."""

    nhs_number: str
    born: str
    asked: Moment
    state: str
    tone: str


def ask_for_access() -> str | Response:
    """Ask somebody to share: number, date of birth, reason. The answer is the same for everybody, known here or not."""
    if request.method == "GET" or request.form.get("step") != "ask":
        return _form(())
    number = nhs_number_answer(request.form, "nhs-number")
    born = day_answer(request.form, "born", "the date of birth")
    if isinstance(number, Problem) or isinstance(born, Problem):
        wrong = tuple(answer for answer in (number, born) if isinstance(answer, Problem))
        return make_response(_form(wrong), 400)
    me, way = actor(), road()
    # The service looks, not the person: nothing of what it finds is on any page of theirs.
    about = (("identifier", f"{NHS_NUMBER}|{number}"), ("birthdate", born.isoformat()), ("_count", "2"))
    found = [f"Patient/{entry['id']}" for entry in clerk(way).search("Patient", *about).matches]
    wish = identity.Wish(number, born.isoformat(), request.form.get("reason", ""))
    try:
        with me.act("ask-for-access", f"for {me.account.reference}") as session:
            at = me.person.principal.organization
            identity.ask(session, me.account, wish, found, me.now, organization=at)
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        href = "#reason" if error.kind is Kind.INVALID_VALUE else ""
        return make_response(_form((Problem(error.diagnostics, href),)), web.page_status(error))
    return redirect("/patients/requests?done=asked", 303)


def my_requests() -> str:
    """List what the professional asked for, and what became of it."""
    me = actor()
    with me.context.store.read() as session:
        found = identity.of(session, me.account)
    asked = [
        Asked(
            nhs_number(each.nhs_number),
            spoken_day(date.fromisoformat(each.birth_date)),
            moment_of(each.created_at),
            *_state(each, is_over=each.expires_at <= me.now),
        )
        for each in found
    ]
    done = "If this person has an account here, your request is on their Sharing page" if _done("asked") else ""
    return render_template("portal/professional/requests.html", requests=asked, notice=done)


def answer_request(request_id: str) -> str | Response:
    """Show a patient who asks and why; a yes goes on to what is shared, a no is told to who asked."""
    record, me = own_record(), actor()
    with me.context.store.read() as session:
        waiting = identity.waiting_for(session, record.reference, me.now)
    found = next((each for each in waiting if each.id == request_id), None)
    if found is None:
        abort(404)
    if request.method == "GET":
        organization = names(record.road, (found.organization,)).get(found.organization, "")
        return render_template("portal/sharing/answer.html", record=record, asked=found, organization=organization)
    if request.form.get("answer") == "yes":
        return redirect(f"/sharing/with/{found.practitioner}", 303)
    with me.act("decline-access-request", f"of {found.practitioner}") as session:
        identity.answer(session, found, granted=False, now=me.now)
    return redirect("/sharing?done=declined", 303)


def _done(what: str) -> bool:
    return request.args.get("done") == what


def _state(each: identity.Request, *, is_over: bool) -> tuple[str, str]:
    if each.granted is not None:
        return ("They said yes", "green") if each.granted else ("They said no", "red")
    return ("No answer in time", "grey") if is_over else ("Waiting", "blue")


def _form(problems: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/professional/ask.html", errors=problems, answers=request.form, longest=identity.LONGEST_REASON
    )
