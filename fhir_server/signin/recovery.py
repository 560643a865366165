"""A forgotten password: ask for a link; follow it, answer the memorable question, choose a new password."""

from __future__ import annotations

from flask import Response, redirect
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import passwords, recovery
from fhir_server.identity.recovery import Result
from fhir_server.signin.forms import field, message, page, secret


def show_forgotten() -> Response:
    """Ask for the e-mail address."""
    return page("forgotten")


def forgotten() -> Response:
    """Send a link if there is an account; always the same answer."""
    email = field("email")
    if not email:
        return page("forgotten", errors={"email": "Enter your e-mail address"})
    here = web.context()
    recovery.request_link(here.store, email, address=here.address, now=here.now())
    return message(
        "Check your e-mail",
        "If there is an account with that e-mail address, we have sent a link to it. The link works for 1 hour.",
        "If nothing comes, check your junk folder, or contact us.",
        link=("Contact us", "/contact"),
    )


def show_reset(token: str) -> Response:
    """Ask for the memorable answer and a new password."""
    here = web.context()
    with here.store.read() as session:
        account = recovery.account_of_link(session, token, here.now())
    if account is None:
        return _dead()
    if not account.memorable_question:
        return message(
            "We need to check that it is you",
            "Your account has no memorable question. Our service desk will check who you are and help you to sign in.",
            link=("Contact us", "/contact"),
        )
    return page("reset", question=account.memorable_question, email=account.email)


def reset(token: str) -> BaseResponse:
    """Change the password when the memorable answer is right."""
    here = web.context()
    with here.store.read() as session:
        account = recovery.account_of_link(session, token, here.now())
    if account is None or not account.memorable_question:
        return _dead()
    question, email = account.memorable_question, account.email
    answer, password = field("answer"), secret("password")
    wrong = {} if answer else {"answer": "Enter the answer to your memorable question"}
    weak = passwords.problem(password, (account.name, account.email))
    if weak:
        wrong["password"] = weak
    if wrong:
        return page("reset", errors=wrong, question=question, email=email)
    result = recovery.reset(here.store, token, answer=answer, password=password, now=here.now())
    if result is Result.WRONG_ANSWER:
        text = "The answer is not right. Check it and try again"
        return page("reset", errors={"answer": text}, status=403, question=question, email=email)
    return redirect("/reset-password/finished", 303) if result is Result.CHANGED else _dead()


def finished() -> Response:
    """Say that the new password holds."""
    return message(
        "Your password is changed",
        "We signed you out on every device. Sign in with your new password.",
        link=("Sign in", "/sign-in"),
    )


def _dead() -> Response:
    return message(
        "This link does not work",
        "It may be too old or used already, or part of it may be missing. You can ask for a new one.",
        status=404,
        link=("Ask for a new link", "/forgotten-password"),
    )
