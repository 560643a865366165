"""Change the e-mail address, and the mobile phone number; each is used once its person proved that it is theirs."""

from __future__ import annotations

from flask import redirect, request
from flask import session as form_state
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_changes, second_proof
from fhir_server.identity.accounts import plain_email
from fhir_server.identity.invitations import plain_mobile
from fhir_server.identity.second_proof import Purpose, Result, Way
from fhir_server.portal.views.account_acts import actor, form
from fhir_server.web import even
from fhir_server.web.acting import send_code

_TOKEN = "new-mobile"  # noqa: S105 - the name of a value in the form cookie
_LONGEST = 320


@web.require_fresh()
def change_email() -> Response:
    """Send a link to a new address, at one pace whoever has it; the old one is told, and stays until it is followed."""
    who, since = actor(), even.started()
    if request.method == "GET":
        return form("email", email=who.account.email, typed="")
    typed = request.form.get("new-email", "").strip()[:_LONGEST]
    wrong = account_changes.email_problem(typed, who.account)
    if wrong:
        return form("email", {"new-email": wrong}, email=who.account.email, typed=typed)
    with who.act("ask-new-email") as session:
        is_sent = account_changes.ask_new_email(session, who.account, plain_email(typed), who.now)
    if not is_sent:
        text = "You asked for this too often. Wait an hour and try again"
        return form("email", {"new-email": text}, status=429, email=who.account.email, typed=typed)
    even.wait(since)
    return redirect("/account?done=email-asked", 303)


@web.require_fresh()
def change_mobile() -> Response:
    """Send a code to a new number, or use none any more."""
    who = actor()
    if request.method == "GET":
        return form("mobile", mobile=who.account.mobile, typed="")
    if request.form.get("action") == "remove":
        with who.act("remove-mobile") as session:
            account_changes.use_mobile(session, who.account, "", who.now)
        return redirect("/account?done=mobile", 303)
    typed = request.form.get("mobile", "").strip()
    number = plain_mobile(typed[:_LONGEST])
    if not number:
        wrong = {"mobile": "Enter a mobile phone number, such as 07700 900982"}
        return form("mobile", wrong, mobile=who.account.mobile, typed=typed)
    token = account_changes.ask_new_mobile(who.context.store, who.account, number, who.now)
    form_state[_TOKEN] = token
    send_code(token, Purpose.MOBILE)
    return redirect("/account/mobile/code", 303)


@web.require_fresh()
def confirm_mobile() -> Response:
    """Use the new number when the code that was sent there is right."""
    who = actor()
    token = str(form_state.get(_TOKEN, ""))
    with who.context.store.read() as session:
        pending = second_proof.under_way(session, token, Purpose.MOBILE, who.now)
    if pending is None or pending.account_id != who.account.id:
        return redirect("/account/mobile", 303)
    if request.method == "GET":
        return form("mobile_code", ending=pending.detail[-3:])
    if request.form.get("action") == "send":
        send_code(token, Purpose.MOBILE)
        return redirect("/account/mobile/code", 303)
    typed = request.form.get("code", "").strip()
    if not typed:
        return form("mobile_code", {"code": "Enter the code"}, ending=pending.detail[-3:])
    vault = web.current().vault
    with who.context.store.write() as session:
        outcome = second_proof.answer(session, vault, token, Purpose.MOBILE, way=Way.TEXT, typed=typed, now=who.now)
        if outcome.result is Result.PROVED:
            account_changes.use_mobile(session, who.account, outcome.detail, who.now)
            who.record(session, "change-mobile")
        else:
            who.record(session, "change-mobile", status=403)
    if outcome.result is Result.WRONG:
        wrong = {"code": "The code is not right, or too old. Check it, or ask for a new one"}
        return form("mobile_code", wrong, status=403, ending=pending.detail[-3:])
    form_state.pop(_TOKEN, None)
    if outcome.result is Result.OVER:
        return redirect("/account/mobile", 303)
    return redirect("/account?done=mobile", 303)
