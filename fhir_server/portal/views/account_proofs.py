"""Second proofs beside the password: authenticator app, codes by text message, recovery codes."""

from __future__ import annotations

from flask import redirect, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_changes, authenticator_app, recovery_codes
from fhir_server.identity.account_view import Protection, protection
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import Actor, actor, form
from fhir_server.web.pictures import qr_picture


def protection_of(who: Actor) -> Protection:
    """Return how the account of somebody is protected now."""
    limits = web.current()
    return protection(
        who.context.store, who.account, who.now, session_idle=limits.session_idle, session_max=limits.session_max
    )


@web.require_fresh()
def authenticator() -> Response:
    """Set up an authenticator app, replace it, or stop using it."""
    who = actor()
    if request.method == "GET":
        return _app_form(who)
    if request.form.get("action") == "remove":
        with who.act("remove-authenticator") as session:
            if authenticator_app.remove(session, who.account.id):
                account_changes.tell(
                    session, who.account, "The authenticator app of your account was removed.", who.now
                )
        return redirect("/account?done=app-removed", 303)
    code = request.form.get("code", "").strip()
    if not code:
        return _app_form(who, {"code": "Enter the code that the app shows"})
    with who.context.store.write() as session:
        is_right = authenticator_app.confirm(session, web.current().vault, who.account.id, code, who.now)
        if is_right:
            account_changes.tell(session, who.account, "An authenticator app was added to your account.", who.now)
            who.record(session, "add-authenticator")
    if not is_right:
        return _app_form(who, {"code": "The code is not right. Wait for the next one and try again"}, status=403)
    return redirect("/account/recovery-codes?added=app", 303)


@web.require_fresh()
def text_codes() -> Response:
    """Ask for a code by text message at each sign-in, or not."""
    who = actor()
    if request.method == "GET":
        return form("text_codes", account=who.account, ending=who.account.mobile[-3:])
    wanted = request.form.get("wanted") == "yes"
    if wanted and not who.account.mobile:
        return redirect("/account/mobile", 303)
    with who.act("want-text-codes" if wanted else "stop-text-codes") as session:
        account_changes.want_text_codes(session, who.account, wanted=wanted, now=who.now)
    return redirect("/account?done=text-codes", 303)


@web.require_fresh()
def recovery() -> Response:
    """Say how many recovery codes are left, and make new ones: shown once, in this answer only."""
    who = actor()
    target = web.safe_next(request.values.get("next"))
    made: tuple[str, ...] = ()
    if request.method == "POST":
        with who.act("renew-recovery-codes") as session:
            made = recovery_codes.renew(session, web.current().vault, who.account.id, who.now)
            account_changes.tell(session, who.account, "New recovery codes were made for your account.", who.now)
    left = protection_of(who).recovery_code_count
    return form("recovery_codes", codes=made, left=left, added="added" in request.args, next=target)


def _app_form(who: Actor, errors: dict[str, str] | None = None, *, status: int = 0) -> Response:
    since = protection_of(who).app_since
    with who.context.store.write() as session:
        shown = authenticator_app.begin(
            session, web.current().vault, who.account, issuer=web.current().brand_name, now=who.now
        )
    return form(
        "authenticator",
        errors,
        status=status,
        secret=shown.secret,
        picture=qr_picture(shown.uri),
        since=moment_of(since) if since else None,
    )
