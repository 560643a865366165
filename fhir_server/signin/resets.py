"""The person's side of help by two people: link by e-mail, code from the service desk, a new password."""

from __future__ import annotations

from flask import Response, redirect
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import limits, passwords, resets
from fhir_server.identity.resets import Result
from fhir_server.interactions.perform import record_sign_in
from fhir_server.signin.entering import CLIENT
from fhir_server.signin.forms import field, message, page, secret
from fhir_server.store.accounts import Account


def show_reset(token: str) -> Response:
    """Ask for the code and a new password."""
    account = _account(token)
    return page("account-reset", email=account.email) if account else _dead()


def reset(token: str) -> BaseResponse:
    """Set the account up anew when the code is right."""
    account = _account(token)
    if account is None:
        return _dead()
    code, password = field("code"), secret("password")
    wrong = {} if code else {"code": "Enter the code from the service desk"}
    weak = passwords.problem(password, (account.name, account.email))
    if weak:
        wrong["password"] = weak
    if wrong:
        return page("account-reset", errors=wrong, email=account.email)
    result = _redeemed(token, code, passwords.hashed(password))
    if result is Result.WRONG:
        text = "The code is not right. Check it with the service desk"
        return page("account-reset", errors={"code": text}, status=403, email=account.email)
    return redirect("/account-reset/finished", 303) if result is Result.DONE else _dead()


def finished() -> Response:
    """Say what comes next."""
    return message(
        "You can sign in again",
        "Your new password works from now on. Everything else that you signed in with was removed.",
        "After you have signed in, set up a second proof again on your account page.",
        link=("Sign in", "/sign-in"),
    )


def _redeemed(token: str, code: str, password_hash: str) -> Result:
    here = web.context()
    now = here.now()
    with here.store.write() as session:
        found = resets.of_link(session, token, now)
        if found is None:
            return Result.UNUSABLE
        result = Result.WRONG
        if limits.allow(session, now, (limits.RESET_ADDRESS, here.address)):
            result = resets.redeem(session, web.current().vault, found, code=code, password_hash=password_hash, now=now)
        is_done = result is Result.DONE
        said = "Set up anew with the help of the service desk" if is_done else "Wrong code of the service desk"
        record_sign_in(here, session, found[1], succeeded=is_done, client_id=CLIENT, description=said)
    return result


def _account(token: str) -> Account | None:
    here = web.context()
    with here.store.read() as session:
        found = resets.of_link(session, token, here.now())
    return found[1] if found else None


def _dead() -> Response:
    return message(
        "This link does not work",
        "It may be too old or used already, or part of it may be missing. Ask the service desk for a new one.",
        status=404,
        link=("Contact us", "/contact"),
    )
