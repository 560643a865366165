"""The link that a new e-mail address is confirmed with: opened by a program that reads mail, it changes nothing."""

from __future__ import annotations

from flask import Response

from fhir_server import web
from fhir_server.identity import account_changes
from fhir_server.interactions.perform import record_sign_in
from fhir_server.signin.entering import CLIENT
from fhir_server.signin.forms import message, page


def show_confirm(token: str) -> Response:
    """Ask once more."""
    here = web.context()
    with here.store.read() as session:
        found = account_changes.new_email_of(session, token, here.now())
    return page("confirm-new-email", email=found[1]) if found else _dead()


def confirm(token: str) -> Response:
    """Use the new address from now on."""
    here = web.context()
    with here.store.write() as session:
        account = account_changes.confirm_new_email(session, token, here.now())
        if account is not None:
            record_sign_in(here, session, account, client_id=CLIENT, description="New e-mail address confirmed")
    if account is None:
        return _dead()
    return message(
        "Your e-mail address is changed",
        "From now on you sign in with your new e-mail address. We have told your old one.",
        link=("Continue", "/account"),
    )


def _dead() -> Response:
    return message(
        "This link does not work",
        "It may be too old or used already, or part of it may be missing. Your e-mail address is as it was.",
        status=404,
        link=("Your account", "/account"),
    )
