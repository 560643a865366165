"""Help for somebody who has lost every way to sign in: the service desk asks, an administrator decides."""

from __future__ import annotations

from flask import abort, redirect, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import resets
from fhir_server.identity.resets import LONGEST_REASON, SHORTEST_REASON, Asked
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import Actor, actor, form
from fhir_server.spec.outcome import FhirError, Kind

_FIELDS = frozenset({"email", "new-email", "reason"})


@web.require_fresh()
def account_resets() -> Response:
    """Show the requests that wait; take a new one from the service desk, a decision from an administrator."""
    who = actor()
    if request.method == "GET":
        return _page(who)
    return _ask(who) if who.account.role == "service-desk" else _decide(who)


def _ask(who: Actor) -> Response:
    typed = {name: request.form.get(name, "").strip() for name in _FIELDS}
    try:
        with who.act("ask-account-reset") as session:
            asked = resets.ask(
                session,
                web.current().vault,
                who.account,
                email=typed["email"],
                new_email=typed["new-email"],
                reason=typed["reason"],
                now=who.now,
            )
    except FhirError as error:
        if error.kind not in {Kind.INVALID_VALUE, Kind.THROTTLED}:
            raise
        field = next((name for issue in error.issues for name in issue.expression if name in _FIELDS), "email")
        return _page(who, {field: error.diagnostics}, status=429 if error.kind is Kind.THROTTLED else 422)
    return _page(who, asked=asked)


def _decide(who: Actor) -> Response:
    decision = request.form.get("decision")
    if decision not in {"approve", "refuse"}:
        abort(400)
    reset_id = request.form.get("id", "")
    with who.act(f"{decision}-account-reset", f"reset {reset_id[:36]}") as session:
        resets.decide(session, who.account, reset_id, approved=decision == "approve", now=who.now)
    return redirect("/service-desk/account-resets?done=yes", 303)


def _page(who: Actor, errors: dict[str, str] | None = None, *, status: int = 0, asked: Asked | None = None) -> Response:
    with who.context.store.read() as session:
        waiting = resets.listed(session, who.now)
    return form(
        "resets",
        errors,
        status=status,
        waiting=[(reset, account, desk, moment_of(reset.requested_at)) for reset, account, desk in waiting],
        asked=asked,
        may_ask=who.account.role == "service-desk",
        own_id=who.account.id,
        typed=request.form if errors else {},
        shortest=SHORTEST_REASON,
        longest=LONGEST_REASON,
        done="done" in request.args,
    )
