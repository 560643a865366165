"""Sharing: who can see what now, share with somebody, stop, and switch all sharing off or on.

Each choice is saved as one Consent over the road. Questions go in steps of one page; answers travel in the form, so
that nothing of an unfinished choice is kept on the server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import carers, sharing_requests
from fhir_server.identity.ages import last_day_of_childhood
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.models import sharing as model
from fhir_server.portal.models import sharing_history, viewers
from fhir_server.portal.models.labels import BY_CODE, LABELS, Label, in_order
from fhir_server.portal.models.related import is_parent
from fhir_server.portal.models.sharing import Grantee, Overview, Share
from fhir_server.portal.models.words import LONDON, party_name, spoken_day
from fhir_server.portal.views.directory import find_grantees, grantee_of, names
from fhir_server.portal.views.whose import Record, open_record
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web.acting import actor

_FOR_TREATMENT = {"name": "purpose", "valueCode": "TREAT"}
_MOST_VERSIONS = 500
_CHANGED_MEANWHILE = frozenset({Kind.VERSION_REQUIRED, Kind.CONFLICT, Kind.DUPLICATE})


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for one grantee.

    Attributes:
        labels: Kinds of information.
        until: Last day, None for no end.
        may_act: Whether family may also add to the record.
        as_child: Whether it ends because the patient is a child and this is a parent.
    """

    labels: tuple[Label, ...]
    until: date | None
    may_act: bool = False
    as_child: bool = False

    @property
    def until_words(self) -> str:
        """Return the end in words."""
        if self.as_child and self.until:
            return web.say("%(day)s: from your birthday on you decide anew") % {"day": spoken_day(self.until)}
        return spoken_day(self.until) if self.until else web.say("No end date")


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation that waits.

    Attributes:
        reference: The RelatedPerson that the carer will be: nobody is it yet, so nobody sees anything as it.
        share: What they will see once they are, None where it was stopped or ended meanwhile.
    """

    id: str
    name: str
    email: str
    expired: bool
    reference: str
    share: Share | None = None


def sharing() -> str:
    """Show who can see what now."""
    record = own_record()
    report = record.road.operate("access-report", "Patient", record.patient_id, [_FOR_TREATMENT])
    known = names(record.road, viewers.references(report))
    overview, invitations = _apart(_overview(record), _waiting(record))
    waiting = {invitation.reference for invitation in invitations}
    seeing = [each for each in viewers.viewers(report, known, record.reference) if each.reference not in waiting]
    chosen = {share.grantee for share in overview.now}
    return render_template(
        "portal/sharing/overview.html",
        record=record,
        sharing=overview,
        viewers=seeing,
        seeing={viewer.reference: viewer for viewer in seeing if not viewer.is_emergency},
        others=[viewer for viewer in seeing if not viewer.is_emergency and viewer.reference not in chosen],
        labels=LABELS,
        invitations=invitations,
        requests=_requests(record),
        notice=_notice(),
    )


def add_share() -> str:
    """Find somebody to share with in the directory."""
    record = own_record()
    text = request.args.get("q", "").strip()
    suggested = [] if text else _suggested(record)
    found = find_grantees(record.road, text) if text else ()
    return render_template("portal/sharing/find.html", record=record, q=text, found=found, suggested=suggested)


def share_with(grantee_type: str, grantee_id: str) -> str | Response:
    """Ask what to share and for how long, show the answers, save; a family member sees it only after a fresh proof."""
    if grantee_type == "RelatedPerson" and (again := web.ask_again()) is not None:
        return again
    record = own_record()
    grantee = grantee_of(record.road, grantee_type, grantee_id)
    if grantee is None:
        abort(404)
    current = next(
        (share for share in (*_overview(record).now, *_overview(record).later) if share.grantee == grantee.reference),
        None,
    )
    if request.method == "GET":
        return _question(record, grantee, current, ())
    choice = choice_of(record)
    if not isinstance(choice, Choice):
        return make_response(_question(record, grantee, current, choice), 400)
    if grantee_type == "RelatedPerson" and is_parent(record.road.read(grantee_type, grantee_id)):
        choice = as_child(record, choice)
    if request.form.get("confirm") != "yes":
        if request.form.get("confirm") == "no":
            return _question(record, grantee, current, ())
        return _check(record, grantee, choice, current)
    return _save(record, grantee, choice, current)


def as_child(record: Record, choice: Choice) -> Choice:
    """Return what a child may choose for a parent: it ends, by the Consent's own period, before the set birthday."""
    today = record.road.now.astimezone(LONDON).date()
    last = last_day_of_childhood(record.patient.get("birthDate"), web.current().child_until_years, today)
    if last is None or (choice.until is not None and choice.until <= last):
        return choice
    return replace(choice, until=last, as_child=True)


def changes() -> str:
    """Show every change of who can see the record."""
    record = own_record()
    versions = record.road.versions("Consent", _MOST_VERSIONS)
    found = sharing_history.changes(versions, record.reference, record.road.now)
    return render_template(
        "portal/sharing/history.html", record=record, changes=found, cut=len(versions) >= _MOST_VERSIONS
    )


def stop_sharing(consent_id: str) -> str | Response:
    """Ask once more, then stop a share: the next request of that person finds nothing."""
    record = own_record()
    consent = record.road.read("Consent", consent_id)
    found = model.overview([consent], record.road.now)
    share = next(iter((*found.now, *found.later)), None)
    if share is None:
        return redirect("/sharing")
    if request.method == "GET":
        return render_template("portal/sharing/stop.html", record=record, share=share)
    answer = _stored(record, model.stopped(consent), share.version, "stopped")
    if share.is_family:
        with record.road.context.store.write() as session:
            carers.withdraw(session, share.grantee, record.road.now)
    tell_family(record, share.grantee)
    return answer


def switch_off() -> str | Response:
    """Ask once more, then switch all sharing off."""
    record = own_record()
    if _overview(record).disabled_id:
        return redirect("/sharing")
    if request.method == "GET":
        return render_template("portal/sharing/switch_off.html", record=record, errors=())
    if request.form.get("understood") != "yes":
        errors = (Problem("Tick the box to say that you understand what this means", "#understood"),)
        return make_response(render_template("portal/sharing/switch_off.html", record=record, errors=errors), 400)
    return _stored(record, model.deny_all(patient=record.patient_reference, now=record.road.now), "", "off")


def switch_on() -> str | Response:
    """Ask once more, then switch sharing on again as it was."""
    record = own_record()
    overview = _overview(record)
    if not overview.disabled_id:
        return redirect("/sharing")
    if request.method == "GET":
        return render_template("portal/sharing/switch_on.html", record=record, sharing=overview)
    consent = record.road.read("Consent", overview.disabled_id)
    return _stored(record, model.stopped(consent), overview.disabled_version, "on")


def own_record() -> Record:
    """Return the record of whoever looks, whose sharing nobody else decides about here; aborts with 403 otherwise."""
    record = open_record()
    if not record.own:
        abort(403)
    return record


def _overview(record: Record) -> Overview:
    return model.overview(record.road.search_all("Consent", ("patient", record.reference)), record.road.now)


def _requests(record: Record) -> tuple[sharing_requests.Request, ...]:
    """Return the requests of professionals that wait for an answer."""
    with record.road.context.store.read() as session:
        return sharing_requests.waiting_for(session, record.reference, record.road.now)


def _waiting(record: Record) -> tuple[Invited, ...]:
    """Return the invitations of carers that nobody has taken up yet."""
    with record.road.context.store.read() as session:
        found = carers.waiting(session, record.reference)
    now = record.road.now
    return tuple(Invited(each.id, each.name, each.email, each.expires_at <= now, each.reference) for each in found)


def _apart(overview: Overview, invitations: tuple[Invited, ...]) -> tuple[Overview, tuple[Invited, ...]]:
    """Take what is chosen for people who have not come yet out of what others see, and put it to their invitations."""
    chosen = {share.grantee: share for share in (*overview.now, *overview.later)}
    waiting = {invitation.reference for invitation in invitations}
    now, later = (
        tuple(share for share in shares if share.grantee not in waiting) for shares in (overview.now, overview.later)
    )
    with_shares = tuple(replace(each, share=chosen.get(each.reference)) for each in invitations)
    return replace(overview, now=now, later=later), with_shares


def _notice() -> str:
    return {
        "invited": "Your invitation is on its way",
        "resent": "A new link and a new code are on their way. The old ones no longer work",
        "declined": "You said no. They are told that, and see nothing",
        "limit": "You have sent many invitations today. Try again tomorrow",
        "saved": "Your choice is saved and works from now on",
        "stopped": "You have stopped sharing. They can no longer see your record",
        "off": "All sharing is off. Nobody can see your record, not even in an emergency",
        "on": "Sharing is on again",
        "changed": "Your sharing choices have changed meanwhile. Check them and try again",
    }.get(request.args.get("done", ""), "")


def _suggested(record: Record) -> list[Grantee]:
    """Return the patient's own general practice, which most people look for."""
    suggested = []
    for entry in record.patient.get("generalPractitioner", ()):
        kind, _, logical_id = str(entry.get("reference", "")).partition("/")
        found = record.road.find(kind, logical_id) if kind in {"Organization", "Practitioner"} else None
        if found:
            suggested.append(Grantee(f"{kind}/{logical_id}", party_name(found), web.say("Your general practice")))
    return suggested


def choice_of(record: Record) -> Choice | tuple[Problem, ...]:
    """Return what the form chooses, or everything that is wrong with it."""
    problems: list[Problem] = []
    labels = in_order(code for code in request.form.getlist("labels") if code in BY_CODE)
    if not labels:
        problems.append(Problem("Choose at least one kind of information", "#labels"))
    until = None
    if request.form.get("ends") not in {"never", "on"}:
        problems.append(Problem("Choose how long they can see it", "#ends"))
    elif request.form.get("ends") == "on":
        answer = day_answer(request.form, "until", "the last day")
        if isinstance(answer, Problem):
            problems.append(answer)
        elif answer < record.road.now.astimezone(LONDON).date():
            problems.append(Problem("The last day must be today or in the future", "#until-day"))
        else:
            until = answer
    return tuple(problems) if problems else Choice(labels, until, request.form.get("right") == "act")


def _question(record: Record, grantee: Grantee, current: Share | None, errors: tuple[Problem, ...]) -> str:
    answers = request.form
    if answers:
        ticked = set(answers.getlist("labels"))
    else:
        ticked = {label.code for label in current.labels} if current and not current.only else {"general"}
    return render_template(
        "portal/sharing/choose.html",
        record=record,
        grantee=grantee,
        current=current,
        labels=LABELS,
        ticked=ticked,
        answers=answers or _end_answers(current) | {"right": "act" if current and current.may_act else "view"},
        is_family=grantee.reference.startswith("RelatedPerson/"),
        errors=errors,
    )


def _end_answers(current: Share | None) -> dict[str, str]:
    if current is None or current.until is None:
        return {"ends": "never"} if current else {}
    last = current.until.at.astimezone(LONDON)
    return {"ends": "on", "until-day": str(last.day), "until-month": str(last.month), "until-year": str(last.year)}


def _check(record: Record, grantee: Grantee, choice: Choice, current: Share | None) -> str:
    hidden = tuple(label for label in LABELS if label not in choice.labels)
    fields = [(name, value) for name, value in request.form.items(multi=True) if name not in {"csrf_token", "confirm"}]
    return render_template(
        "portal/sharing/check.html",
        record=record,
        grantee=grantee,
        choice=choice,
        hidden=hidden,
        fields=fields,
        current=current,
        is_family=grantee.reference.startswith("RelatedPerson/"),
        preview=_preview(record, grantee, choice, current),
    )


def _preview(record: Record, grantee: Grantee, choice: Choice, current: Share | None) -> viewers.Preview | None:
    """Return what the grantee sees now and would see; None where the choice could not be saved as things stand."""
    consent = _chosen(record, grantee, choice, current)
    actor = {"name": "actor", "valueReference": {"reference": grantee.reference}}
    try:
        found = record.road.operate(
            "preview-consent", "Patient", record.patient_id, [{"name": "consent", "resource": consent}, actor]
        )
    except FhirError as error:
        if error.kind not in _CHANGED_MEANWHILE:
            raise
        return None
    return viewers.previewed(found)


def _chosen(record: Record, grantee: Grantee, choice: Choice, current: Share | None) -> dict[str, Any]:
    """Return the Consent that a choice makes."""
    return model.permit(
        patient=record.patient_reference,
        grantee=grantee,
        labels=[label.code for label in choice.labels],
        until=choice.until,
        now=record.road.now,
        existing=record.road.read("Consent", current.id) if current else None,
        may_act=choice.may_act,
    )


def _save(record: Record, grantee: Grantee, choice: Choice, current: Share | None) -> Response:
    consent = _chosen(record, grantee, choice, current)
    answer = _stored(record, consent, current.version if current else "", "saved")
    if answer.location.endswith("done=saved"):
        _answer_requests(record, grantee.reference)
        tell_family(record, grantee.reference)
    return answer


def _answer_requests(record: Record, grantee: str) -> None:
    """Say yes to whoever asked and now is shared with, themselves or by their organisation."""
    for each in _requests(record):
        if grantee in {each.practitioner, each.organization}:
            with actor().act("grant-access-request", f"of {each.practitioner}") as session:
                sharing_requests.answer(session, each, granted=True, now=record.road.now)


def tell_family(record: Record, reference: str) -> None:
    """Tell a carer that something changed for them; the message does not say what. Nobody else is told."""
    if reference.startswith("RelatedPerson/"):
        with record.road.context.store.write() as session:
            carers.tell(session, reference, record.road.now)


def _stored(record: Record, consent: dict[str, Any], version: str, done: str) -> Response:
    try:
        if version:
            record.road.update(consent, version)
        else:
            record.road.create(consent)
    except FhirError as error:
        if error.kind not in _CHANGED_MEANWHILE:
            raise
        done = "changed"
    return redirect(f"/sharing?done={done}", 303)
