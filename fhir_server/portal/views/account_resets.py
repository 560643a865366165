"""Help for somebody who has lost every way to sign in: the service desk asks, an administrator decides."""

from __future__ import annotations

from flask import abort, redirect, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import resets
from fhir_server.identity.resets import LONGEST_REASON, SHORTEST_REASON, Asked, Refused
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import Actor, actor, form
from fhir_server.spec.outcome import FhirError

_ASK = "ask-account-reset"
_FIELDS = frozenset({"email", "new-email", "reason"})


@web.require_fresh()
def account_resets() -> Response:
    """Show the requests that wait; take a new one from the service desk, a decision from an administrator."""
    who = actor()
    if request.method == "GET":
        return _page(who)
    return _ask(who) if who.account.role == "service-desk" else _decide(who)


def _ask(who: Actor) -> Response:
    typed = {name: request.form.get(name, "") for name in _FIELDS}
    with who.context.store.write() as session:
        answer = resets.ask(
            session,
            web.current().vault,
            who.account,
            email=typed["email"],
            new_email=typed["new-email"],
            reason=typed["reason"],
            now=who.now,
        )
        if isinstance(answer, Asked):
            who.record(session, _ASK, f"reset {answer.reset.id} of account {answer.reset.account_id}")
            status = 200
        else:
            status = 429 if answer.is_throttled else 400
            who.record(session, _ASK, f"field {answer.field}", status=status)
    return _page(who, asked=answer) if isinstance(answer, Asked) else _page(who, answer, status=status)


def _decide(who: Actor) -> Response:
    decision = request.form.get("decision")
    if decision not in {"approve", "refuse"}:
        abort(400)
    reset_id = request.form.get("id", "")
    action, about = f"{decision}-account-reset", f"reset {reset_id[:36]}"
    try:
        with who.act(action, about) as session:
            resets.decide(session, who.account, reset_id, approved=decision == "approve", now=who.now)
    except FhirError as error:
        with who.context.store.write() as session:
            who.record(session, action, about, status=error.status)
        raise
    return redirect("/service-desk/account-resets?done=yes", 303)


def _page(who: Actor, refused: Refused | None = None, *, status: int = 0, asked: Asked | None = None) -> Response:
    with who.context.store.read() as session:
        waiting = resets.listed(session, who.now)
    return form(
        "resets",
        {refused.field: refused.text} if refused else None,
        status=status,
        waiting=[(reset, account, desk, moment_of(reset.requested_at)) for reset, account, desk in waiting],
        asked=asked,
        may_ask=who.account.role == "service-desk",
        own_id=who.account.id,
        typed=request.form if refused else {},
        shortest=SHORTEST_REASON,
        longest=LONGEST_REASON,
        done="done" in request.args,
    )
