"""The service desk's queue: requests for accounts, checked by one and decided by another, and messages."""

from __future__ import annotations

from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_requests as identity
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import Actor, actor
from fhir_server.spec.outcome import FhirError, Kind

_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.BUSINESS_RULE})


def requests() -> Response:
    """List what waits: requests that nobody has decided, and messages."""
    who = actor()
    with who.context.store.read() as session:
        waiting, sent = identity.open_requests(session), identity.open_messages(session)
    page = render_template(
        "portal/desk/requests.html",
        waiting=[(one, moment_of(one.asked_at)) for one in waiting],
        sent=[(one, moment_of(one.sent_at)) for one in sent],
        may_close=who.account.role == "service-desk",
        done="done" in request.args,
    )
    return make_response(page)


@web.require_fresh()
def one_request(request_id: str) -> Response:
    """Show one request; keep the evidence, or decide."""
    who = actor()
    if request.method == "GET":
        return _page(who, request_id)
    step = request.form.get("step", "")
    about = f"request {request_id[:36]}"
    try:
        if step == "check":
            typed = {name: request.form.get(name, "") for name in ("evidence", "practitioner", "organization")}
            with who.act("check-account-request", about) as session:
                identity.check(session, who.account, request_id, **typed, now=who.now)
        elif step in {"approve", "refuse"}:
            with who.act(f"{step}-account-request", about) as session:
                identity.decide(session, who.account, request_id, approved=step == "approve", now=who.now)
        else:
            abort(400)
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        problems = [Problem(issue.diagnostics, f"#{name}") for issue in error.issues for name in issue.expression]
        return _page(who, request_id, problems or [Problem(error.diagnostics)])
    return redirect("/service-desk/requests?done=yes", 303)


def close_message(message_id: str) -> Response:
    """Take a message off the queue."""
    who = actor()
    with who.act("close-contact-message", f"message {message_id[:36]}") as session:
        identity.close_message(session, message_id, who.account, who.now)
    return redirect("/service-desk/requests?done=yes", 303)


def _page(who: Actor, request_id: str, errors: list[Problem] | None = None) -> Response:
    with who.context.store.read() as session:
        found = identity.found(session, request_id)
    page = render_template(
        "portal/desk/request.html",
        asked=found,
        since=moment_of(found.asked_at),
        errors=errors or (),
        answers=request.form,
        may_check=who.account.role == "service-desk",
        may_approve=found.state is identity.RequestState.CHECKED and found.checked_by != who.account.id,
        is_open=found.state in {identity.RequestState.NEW, identity.RequestState.CHECKED},
    )
    return make_response(page, 400 if errors else 200)
