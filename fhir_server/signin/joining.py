"""The link of a professional who has an account: signed in with it, they say yes to one more organisation."""

from __future__ import annotations

from flask import Response, redirect
from flask import request as incoming
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity.account_requests import AccountRequest
from fhir_server.operations import joining_staff
from fhir_server.signin.forms import message, page
from fhir_server.web.acting import actor


def answer(request: AccountRequest, token: str) -> BaseResponse | None:
    """Ask the owner of the account, or take their yes; None where the link was used just now."""
    if web.signed_in() is None:
        return redirect(f"/sign-in?next=/set-up/{token}", 303)
    me = actor()
    if not joining_staff.is_for(request, me.account):
        return _not_theirs()
    # What lets somebody see records: a stolen session must not be enough.
    if (again := web.ask_again()) is not None:
        return again
    if incoming.method != "POST":
        return page("join-organisation", organization=request.organization_name, job=request.job)
    if not joining_staff.join(me.context, me.person.principal, me.account, token):
        return None
    return message(
        "Thank you",
        "From now on you see what patients share with that organisation, too.",
        link=("My patients", "/patients"),
    )


def _not_theirs() -> Response:
    return message(
        "Use another account",
        "This link is for somebody with another account. If that is you, sign out and use the link again.",
        status=403,
    )
