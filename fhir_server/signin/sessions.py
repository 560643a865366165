"""Sign in and out with e-mail address and password; the second proof, where one is needed, is the next page."""

from __future__ import annotations

from flask import Response, redirect
from flask import request as incoming
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity.second_proof import Purpose
from fhir_server.identity.sign_in import Attempt, Result, prove_password
from fhir_server.interactions.perform import record_refused_sign_in
from fhir_server.signin import entering
from fhir_server.signin.forms import field, message, page, secret
from fhir_server.web import even

_REFUSED = "The e-mail address or password is not right. Check them and try again"
_THROTTLED = "Too many tries. Wait 15 minutes and try again, or choose a new password"
_STATUS = {Result.REFUSED: 403, Result.THROTTLED: 429}
_REASON = {
    Result.REFUSED: "Wrong e-mail address or password, or the account is closed",
    Result.THROTTLED: "Too many tries",
    Result.UNCONFIRMED: "The e-mail address is not confirmed yet",
}


def show_sign_in() -> BaseResponse:
    """Show the form; who is signed in already goes on."""
    target = web.safe_next(incoming.args.get("next"))
    if web.signed_in() is not None:
        return redirect(target, 303)
    return page("sign-in", next=target)


def sign_in() -> BaseResponse:
    """Check e-mail address and password; begin a session, or ask for a second proof; go on to `next`."""
    since = even.started()
    target = web.safe_next(field("next"))
    email, password = field("email"), secret("password")
    missing = {}
    if not email:
        missing["email"] = "Enter your e-mail address"
    if not password:
        missing["password"] = "Enter your password"  # noqa: S105 - a message
    if missing:
        return page("sign-in", errors=missing, next=target)
    attempt = _attempt(email, password)
    if attempt.result is Result.UNCONFIRMED:
        return message(
            "Confirm your e-mail address",
            "We have sent you a new e-mail with a link. Follow the link, then sign in.",
            "It may take a few minutes. Check your junk folder too.",
        )
    if attempt.result is not Result.PROVED or attempt.account is None:
        text = _THROTTLED if attempt.result is Result.THROTTLED else _REFUSED
        even.wait(since)
        return page("sign-in", errors={"email": text}, status=_STATUS[attempt.result], next=target)
    return entering.after_password(attempt.account, Purpose.SIGN_IN, target)


@web.require()
def show_sign_in_again() -> BaseResponse:
    """Ask for the password once more."""
    return page("sign-in-again", next=web.safe_next(incoming.args.get("next")))


@web.require()
def sign_in_again() -> BaseResponse:
    """Check the password of who is signed in, and what else they need; the session goes on with a new token."""
    target = web.safe_next(field("next"))
    person = web.signed_in()
    if person is None:
        return redirect("/sign-in", 303)
    attempt = _attempt(person.account.email, secret("password"))
    if attempt.result is not Result.PROVED:
        text = _THROTTLED if attempt.result is Result.THROTTLED else "The password is not right. Try again"
        return page("sign-in-again", errors={"password": text}, status=_STATUS.get(attempt.result, 403), next=target)
    return entering.after_password(person.account, Purpose.STEP_UP, target)


def sign_out() -> BaseResponse:
    """End the session, and an emergency access with it."""
    web.end_session()
    return redirect("/signed-out", 303)


def signed_out() -> Response:
    """Say that nobody is signed in any more."""
    why = "We signed you out to keep your information safe, since the time for this visit was over."
    return message(
        "You are signed out",
        *((why,) if incoming.args.get("why") == "time" else ()),
        "If you share this device with others, close the browser too.",
        link=("Sign in again", "/sign-in"),
    )


def _attempt(email: str, password: str) -> Attempt:
    here = web.context()
    attempt = prove_password(here.store, email, password, address=here.address, now=here.now())
    if attempt.result is not Result.PROVED:
        # A right password is on the log with what came of it: a session, or a second proof asked for.
        record_refused_sign_in(here, attempt.account, client_id=entering.CLIENT, description=_REASON[attempt.result])
    return attempt
