"""Family and carers from the patient's side: invite one, send the invitation again.

What a carer will see is saved as a Consent for a RelatedPerson at once; link and code say who that person is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import carers as identity
from fhir_server.identity.ages import PARENT
from fhir_server.portal.forms import Problem
from fhir_server.portal.models import sharing as model
from fhir_server.portal.models import viewers
from fhir_server.portal.models.labels import LABELS
from fhir_server.portal.models.related import RELATIONS, related_person
from fhir_server.portal.models.sharing import Grantee
from fhir_server.portal.road import clerk
from fhir_server.portal.views.sharing import Choice, as_child, choice_of, own_record
from fhir_server.portal.views.whose import Record
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web.acting import actor

_NOBODY_YET: Final = "RelatedPerson/not-invited-yet"


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered about a carer."""

    carer: identity.Carer
    relation: str
    choice: Choice


def invite_carer() -> str | Response:
    """Ask who, what they may do and see, show the answers with what that means today, then invite."""
    if (again := web.ask_again()) is not None:
        return again
    record = own_record()
    if request.method == "GET" or request.form.get("confirm") == "no":
        return _question(record, ())
    answers = _answers(record)
    if not isinstance(answers, Answers):
        return make_response(_question(record, answers), 400)
    if request.form.get("confirm") != "yes":
        return _check(record, answers)
    if not identity.may_invite(record.road.context.store, record.reference, record.road.now):
        limit = (Problem("You have sent many invitations today. Try again tomorrow"),)
        return make_response(_question(record, limit), 429)
    _invite(record, answers)
    return redirect("/sharing?done=invited", 303)


def invite_again(carer_invitation_id: str) -> Response:
    """Send a new link and a new code for an invitation that waits."""
    record, me = own_record(), actor()
    with record.road.context.store.read() as session:
        waiting = identity.waiting(session, record.reference)
    found = next((entry for entry in waiting if entry.id == carer_invitation_id), None)
    if found is None:
        abort(404)
    if not identity.may_invite(record.road.context.store, record.reference, record.road.now):
        return redirect("/sharing?done=limit", 303)
    with me.act("resend-carer-invitation", f"carer-invitation {found.id}") as session:
        identity.resend(session, found, me.now)
    return redirect("/sharing?done=resent", 303)


def _invite(record: Record, answers: Answers) -> None:
    """Write who the carer is, what they may see, and send link and code."""
    me, carer = actor(), answers.carer
    person = related_person(record.patient_reference, carer.name, answers.relation)
    related = f"RelatedPerson/{clerk(record.road).create(person)}"
    consent_id = record.road.create(_consent(record, answers, related))
    about = identity.About(record.reference, related, consent_id)
    with me.act("invite-carer", related) as session:
        identity.invite(session, me.account, carer, about, me.now)


def _consent(record: Record, answers: Answers, related: str) -> dict[str, Any]:
    return model.permit(
        patient=record.patient_reference,
        grantee=Grantee(related, answers.carer.name),
        labels=[label.code for label in answers.choice.labels],
        until=answers.choice.until,
        now=record.road.now,
        may_act=answers.choice.may_act,
    )


def _answers(record: Record) -> Answers | tuple[Problem, ...]:
    """Return what was answered, or everything that is wrong at once."""
    problems: list[Problem] = []
    carer = identity.Carer(*(request.form.get(name, "") for name in ("name", "email", "mobile")))
    try:
        carer = identity.checked(carer)
    except FhirError as error:
        problems += [Problem(issue.diagnostics, f"#{issue.expression[0]}") for issue in error.issues]
    own = actor().account.email
    if carer.email == own:
        problems.append(Problem("Enter their e-mail address, not yours", "#email"))
    relation = request.form.get("relation", "")
    if relation not in {entry.code for entry in RELATIONS}:
        problems.append(Problem("Choose who they are to you", "#relation"))
    if request.form.get("right") not in {"view", "act"}:
        problems.append(Problem("Choose what they can do", "#right"))
    choice = choice_of(record)
    if isinstance(choice, Choice) and not problems:
        choice = replace(choice, may_act=request.form.get("right") == "act")
        return Answers(carer, relation, as_child(record, choice) if relation == PARENT else choice)
    return (*problems, *(() if isinstance(choice, Choice) else choice))


def _question(record: Record, errors: tuple[Problem, ...]) -> str:
    answers = request.form
    ticked = set(answers.getlist("labels")) if answers else {"general"}
    return render_template(
        "portal/sharing/invite_carer.html",
        record=record,
        relations=RELATIONS,
        labels=LABELS,
        ticked=ticked,
        answers=answers,
        errors=errors,
    )


def _check(record: Record, answers: Answers) -> str:
    fields = [(name, value) for name, value in request.form.items(multi=True) if name not in {"csrf_token", "confirm"}]
    relation = next(entry.name for entry in RELATIONS if entry.code == answers.relation)
    return render_template(
        "portal/sharing/check_carer.html",
        record=record,
        carer=answers.carer,
        relation=relation,
        choice=answers.choice,
        hidden=tuple(label for label in LABELS if label not in answers.choice.labels),
        fields=fields,
        preview=_preview(record, answers),
    )


def _preview(record: Record, answers: Answers) -> viewers.Preview | None:
    actor_parameter = {"name": "actor", "valueReference": {"reference": _NOBODY_YET}}
    consent = {"name": "consent", "resource": _consent(record, answers, _NOBODY_YET)}
    try:
        found = record.road.operate("preview-consent", "Patient", record.patient_id, [consent, actor_parameter])
    except FhirError as error:
        if error.kind not in {Kind.DUPLICATE, Kind.UNENFORCEABLE}:
            raise
        return None
    return viewers.previewed(found)
