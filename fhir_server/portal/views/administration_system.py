"""What an administrator looks after: organisations, systems, messages under way, background jobs, settings."""

from __future__ import annotations

import re
from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import system_state
from fhir_server.identity.system_state import JobRun
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.words import Moment, concepts, identifier, moment_of, party_name
from fhir_server.portal.road import clerk, escaped, road
from fhir_server.portal.views.account_acts import actor
from fhir_server.spec.outcome import FhirError, Kind

ODS: Final = "https://fhir.nhs.uk/Id/ods-organization-code"
_TYPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/organization-type"
_TYPES: Final = {"prov": "Healthcare provider", "dept": "Department of a hospital", "govt": "Council or government"}
_ODS_CODE: Final = re.compile(r"[A-Z0-9]{3,10}")
_LONGEST_NAME: Final = 200
_ADDRESS: Final = re.compile(r"\S+@\S+|\+?\d[\d ]{6,}\d")


def organisations() -> str:
    """List the organisations of the directory, by name, page by page."""
    way, text = road(), request.args.get("q", "").strip()
    words = tuple(("name:contains", escaped(word)) for word in text.split()[:5])
    found = way.search("Organization", *words, ("_sort", "name"), ("_count", "50"), page=request.args.get("page", ""))
    return render_template(
        "portal/administration/organisations.html",
        organisations=[
            (party_name(each), identifier(each, ODS), concepts(each.get("type")), each.get("active") is not False)
            for each in found.matches
        ],
        q=text,
        next_page=found.next_page,
        done="done" in request.args,
    )


@web.require_fresh()
def add_organisation() -> Response:
    """Add an organisation to the directory."""
    if request.method == "GET":
        return _form({})
    typed = {name: " ".join(request.form.get(name, "").split()) for name in ("name", "code", "type")}
    typed["code"] = typed["code"].replace(" ", "").replace("-", "").upper()
    problems = _problems(typed)
    if not problems:
        organization = {
            "resourceType": "Organization",
            "identifier": [{"system": ODS, "value": typed["code"]}],
            "active": True,
            "type": [{"coding": [{"system": _TYPE_SYSTEM, "code": typed["type"], "display": _TYPES[typed["type"]]}]}],
            "name": typed["name"],
        }
        known = (("identifier", f"{ODS}|{typed['code']}"),)
        if road().search("Organization", *known, ("_count", "1")).matches:
            problems = (Problem("An organisation with this code is in the directory already", "#code"),)
        else:
            try:
                clerk(road()).create(organization, if_none_exist=known)
            except FhirError as error:
                if error.kind not in {Kind.INVALID_CONTENT, Kind.INVALID_VALUE, Kind.MULTIPLE_MATCHES}:
                    raise
                problems = (Problem(error.diagnostics, "#name"),)
            else:
                with actor().act("add-organisation", f"organisation {typed['code']}"):
                    pass  # The record of the act is all there is to write: the entry is there.
    return (
        _form(typed, problems) if problems else make_response(redirect("/administration/organisations?done=yes", 303))
    )


def systems() -> str:
    """List apps and systems of organisations with what they may do, and the messages that are under way or failed."""
    found = system_state.systems(web.context().store)
    return render_template(
        "portal/administration/systems.html",
        clients=[(client, moment_of(client.created_at)) for client in found.clients],
        waiting=found.waiting_count,
        oldest=moment_of(found.oldest_at) if found.oldest_at else None,
        troubles=[(each, moment_of(each.queued_at), _ADDRESS.sub("…", each.error)) for each in found.troubles],
    )


def jobs() -> str:
    """List the background jobs with when each last ran and what failed."""
    found = system_state.jobs(web.context().store)
    return render_template("portal/administration/jobs.html", jobs=[_shown(run) for run in found])


def settings() -> str:
    """Show every setting with its source; secrets are masked before they come here."""
    return render_template("portal/administration/settings.html", settings=web.current().settings)


def _shown(run: JobRun) -> tuple[JobRun, Moment, Moment | None]:
    return run, moment_of(run.finished_at), moment_of(run.succeeded_at) if run.succeeded_at else None


def _problems(typed: dict[str, str]) -> tuple[Problem, ...]:
    problems = []
    if not typed["name"] or len(typed["name"]) > _LONGEST_NAME or not typed["name"].isprintable():
        problems.append(Problem(f"Enter a name of up to {_LONGEST_NAME} characters", "#name"))
    if not _ODS_CODE.fullmatch(typed["code"]):
        problems.append(Problem("Enter an ODS code: 3 to 10 letters and digits, like RXX01", "#code"))
    if typed["type"] not in _TYPES:
        problems.append(Problem("Choose what kind of organisation it is", "#type"))
    return tuple(problems)


def _form(answers: dict[str, Any], errors: tuple[Problem, ...] = ()) -> Response:
    page = render_template(
        "portal/administration/add_organisation.html", answers=answers, errors=errors, types=_TYPES.items()
    )
    return make_response(page, 400 if errors else 200)
