"""Whoever cares for others: choose whose record to see, and stop seeing one."""

from __future__ import annotations

from dataclasses import dataclass

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.identity import carers as identity
from fhir_server.portal.forms import Problem
from fhir_server.portal.models import sharing as model
from fhir_server.portal.models.person import Person, person
from fhir_server.portal.models.words import LONDON
from fhir_server.portal.road import Road, clerk, road
from fhir_server.portal.views.whose import act_as
from fhir_server.web.acting import actor, parts


@dataclass(frozen=True, slots=True)
class Choice:
    """A record that somebody can open.

    Attributes:
        reference: As whom: `Patient/…` for their own record, else the `RelatedPerson/…`.
        person: Whose it is.
        way: The road of that part of them.
    """

    reference: str
    person: Person
    way: Road

    @property
    def own(self) -> bool:
        """Return whether it is their own record."""
        return self.reference.startswith("Patient/")

    @property
    def value(self) -> str:
        """Return what a form says of it."""
        return f"{self.reference.partition('/')[2]}~{self.person.id}"


def choose_record() -> str | Response:
    """Let somebody say whose record to open."""
    choices = _choices()
    if request.method == "POST":
        wish = request.form.get("record", "")
        chosen = next((each for each in choices if wish in {each.value, each.person.id}), None)
        if chosen is not None:
            return act_as(redirect("/record", 303), chosen.reference, chosen.person.id)
        errors = (Problem("Choose whose record you want to see", "#record"),)
        return make_response(render_template("portal/choose_record.html", choices=choices, errors=errors), 400)
    done = "You no longer see that record" if request.args.get("done") == "left" else ""
    return render_template("portal/choose_record.html", choices=choices, errors=(), notice=done)


def leave_record(choice: str) -> str | Response:
    """Ask once more, then end what somebody sees of another's record, by their own wish."""
    found = next((each for each in _choices() if each.value == choice and not each.own), None)
    if found is None:
        abort(404)
    if request.method == "GET":
        return render_template("portal/leave_record.html", choice=found)
    me = actor()
    service = clerk(found.way)
    about = (("patient", f"Patient/{found.person.id}"), ("actor", found.reference), ("status", "active"))
    for consent in service.search_all("Consent", *about):
        changed = model.without_actor(consent, found.reference)
        service.update(changed, str(consent["meta"]["versionId"]))
    with me.act("leave-record", found.reference) as session:
        identity.leave(session, me.account.id, found.reference, me.now)
        identity.tell(session, f"Patient/{found.person.id}", me.now)
    return act_as(redirect("/choose-record?done=left", 303), "", "")


def record_names() -> dict[str, str]:
    """Return the names of the records that whoever is signed in can open, by reference; none of a single one, own."""
    choices = _choices()
    if all(each.own for each in choices):
        return {}
    return {f"Patient/{each.person.id}": each.person.name for each in choices}


def _choices() -> list[Choice]:
    """Return every record that some part of whoever is signed in can open, their own first."""
    me, here = actor(), road()
    today = me.now.astimezone(LONDON).date()
    found = []
    for principal in parts(me.person, here.context):
        way = Road(principal, here.context)
        found += [Choice(principal.subject, person(entry, today), way) for entry in way.search_all("Patient")]
    return found
