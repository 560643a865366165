"""The ways to the service desk from outside: a message, a professional's request for an account, its set-up link.

No third party tells people from programs here: a field that people do not see, limits per network address, per mailbox
and for all together. Whoever is known here, the answer is the same.
"""

from __future__ import annotations

from flask import Response, redirect
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import account_requests
from fhir_server.identity.account_requests import TOPICS, Asked
from fhir_server.interactions.audit_strangers import record_act
from fhir_server.interactions.perform import record_sign_in
from fhir_server.signin import joining
from fhir_server.signin.entering import CLIENT
from fhir_server.signin.forms import field, message, page, secret
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session

_LONGEST_TEXT = 10_000
_HONEYPOT = "website"
_STATUS = {Kind.INVALID_VALUE: 400, Kind.THROTTLED: 429}


def show_message() -> Response:
    """Ask what it is about."""
    return page("contact-message", topics=TOPICS)


def send_message() -> Response:
    """Take a message to the service desk."""
    if field(_HONEYPOT):
        return _thanks()
    here = web.context()
    try:
        with here.store.write() as session:
            message_id = account_requests.send_message(
                session,
                name=field("name"),
                email=field("email"),
                topic=field("topic"),
                body=field("body", _LONGEST_TEXT),
                address=here.address,
                now=here.now(),
            )
            record_act(here, session, "send-contact-message", f"message {message_id}")
    except FhirError as error:
        return _again("contact-message", error, topics=TOPICS)
    return _thanks()


def show_request() -> Response:
    """Ask who wants an account, and what for."""
    return page("contact-account")


def send_request() -> Response:
    """Take a professional's request for an account."""
    if field(_HONEYPOT):
        return _thanks()
    here = web.context()
    asked = Asked(
        name=field("name"),
        email=field("email"),
        job=field("job"),
        organization_name=field("organization"),
        registration=field("registration"),
        reason=field("reason", _LONGEST_TEXT),
    )
    try:
        with here.store.write() as session:
            request_id = account_requests.ask(session, asked, address=here.address, now=here.now())
            record_act(here, session, "ask-for-account", f"request {request_id}")
    except FhirError as error:
        return _again("contact-account", error)
    return _thanks()


def show_set_up(token: str) -> BaseResponse:
    """Ask for a password, or who has an account whether they say yes, where the link works."""
    here = web.context()
    with here.store.read() as session:
        request = account_requests.of_link(session, token, here.now())
    if request is not None and request.account_id:
        return joining.answer(request, token) or _dead()
    return page("contact-set-up", email=request.email) if request else _dead()


def set_up(token: str) -> BaseResponse:
    """Make the account; the link works once."""
    here = web.context()
    with here.store.read() as session:
        request = account_requests.of_link(session, token, here.now())
    if request is not None and request.account_id:
        return joining.answer(request, token) or _dead()
    if request is None or field("terms") != "accepted":
        missing = {"terms": "Tick the box to accept the terms of use"}
        return page("contact-set-up", errors=missing, email=request.email) if request else _dead()
    wrong = account_requests.set_up(here.store, token, secret("password"), web.acceptance(), here.now(), _set_up)
    if wrong is not None:
        return page("contact-set-up", errors={"password": wrong}, email=request.email) if wrong else _dead()
    return redirect("/sign-in", 303)


def _set_up(session: Session, made: Account) -> None:
    said = "Account set up with a one-time link"
    record_sign_in(web.context(), session, made, client_id=CLIENT, description=said)


def _again(template: str, error: FhirError, **values: object) -> Response:
    if error.kind not in _STATUS:
        raise error
    wrong = {(issue.expression or ("name",))[0]: issue.diagnostics for issue in error.issues}
    wrong = wrong or {"name": error.diagnostics}
    return page(template, errors=wrong, status=_STATUS[error.kind], **values)


def _thanks() -> Response:
    return message(
        "We have your message",
        "Our service desk answers by e-mail within 5 working days.",
        "If you are ill, do not wait for us: call 111, or 999 in an emergency.",
    )


def _dead() -> Response:
    return message(
        "This link does not work",
        "It may be too old or used already, or part of it may be missing. Ask the service desk for a new one.",
        status=404,
        link=("Contact us", "/contact"),
    )
