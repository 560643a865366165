"""Registration by invitation: one thing on each page, every step stored, one answer for every kind of dead link."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response, redirect
from flask import session as form_state
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import accounts, registration
from fhir_server.identity.registration import QUESTIONS, SHORTEST_ANSWER, Result, Step
from fhir_server.identity.tries import LOCKED_FOR
from fhir_server.interactions.audit_strangers import record_act
from fhir_server.interactions.perform import record_sign_in
from fhir_server.signin import agreement
from fhir_server.signin.entering import CLIENT
from fhir_server.signin.forms import field, message, page, secret, typed_date
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.invitations import Invitation

_PROOF = "registration"
_REASON = {
    Result.WRONG: "Wrong code or date of birth for an invitation",
    Result.LOCKED: "Too many wrong tries for an invitation",
    Result.TAKEN: "Account not opened: record or e-mail address has one",
}


def show_code() -> Response:
    """Ask for the code on the letter that stands for a link."""
    return page("register-code")


def enter_code() -> BaseResponse:
    """Go on to the link that a code on paper stands for; whether there is one is seen there."""
    here = web.context()
    typed = field("link-code", 40)
    if not typed:
        return page("register-code", errors={"link-code": "Enter the code from your letter"})
    with here.store.write() as session:
        token = registration.link_of_code(session, typed, address=here.address, now=here.now())
    if not token:
        text = "Too many tries. Wait 15 minutes and try again"
        return page("register-code", errors={"link-code": text}, status=429)
    return redirect(f"/register/{quote(token, safe='')}", 303)


def show_start(token: str) -> BaseResponse:
    """Ask for code and date of birth, or go on where this browser stopped."""
    here = web.context()
    with here.store.read() as session:
        invitation = registration.usable(session, token, here.now())
        proved = registration.proved(session, token, _proof(), here.now())
    if invitation is None:
        return _dead(token)
    if proved is not None:
        return _to(token, registration.next_step(proved))
    return page("register-start")


def start(token: str) -> BaseResponse:
    """Check code and date of birth."""
    code, birth_date = field("code"), typed_date()
    missing = {}
    if not code:
        missing["code"] = "Enter the code from the text message"
    if not birth_date:
        missing["birth-date-day"] = "Enter a real date of birth, for example 27 3 1985"
    here = web.context()
    if missing:
        with here.store.read() as session:
            invitation = registration.usable(session, token, here.now())
        return page("register-start", errors=missing) if invitation else _dead(token)
    with here.store.write() as session:
        outcome = registration.prove(session, token, code, birth_date, address=here.address, now=here.now())
        if outcome.result in _REASON:
            said = _REASON[outcome.result]
            record_sign_in(here, session, None, succeeded=False, client_id=CLIENT, description=said)
    if outcome.result is Result.UNUSABLE:
        return _dead(token)
    if outcome.result is Result.LOCKED:
        locked = message(
            "Too many wrong tries",
            "For your safety this invitation is locked for 15 minutes. Then you can try again with the same link.",
            "If the code or your date of birth is not accepted then, contact us: we may hold a wrong detail about you.",
            status=429,
            link=("Contact us", "/contact"),
        )
        locked.headers["Retry-After"] = str(int(LOCKED_FOR.total_seconds()))
        return locked
    if outcome.result is Result.WRONG:
        wrong = "The code or the date of birth is not right. Check them and try again"
        return page("register-start", errors={"code": wrong}, status=403)
    form_state[_PROOF] = outcome.token
    return _next(token)


def new_link(token: str) -> Response:
    """Send a new link where the old one has run out; always the same answer."""
    here = web.context()
    registration.request_new_link(here.store, token, address=here.address, now=here.now(), noted=_sent_again)
    return message(
        "Check your e-mail and your phone",
        "If your invitation can be renewed, we have sent you a new link by e-mail and a new code by text message.",
        "If nothing comes within an hour, contact us or the people who invited you.",
    )


def show_step(token: str, step: str) -> BaseResponse:
    """Show one step; a later one than the next is not open yet."""
    invitation = _proved(token)
    if invitation is None:
        return redirect(f"/register/{token}", 303)
    wanted = Step(step)
    steps = list(Step)
    if steps.index(wanted) > steps.index(registration.next_step(invitation)):
        return _to(token, registration.next_step(invitation))
    return _step_page(wanted, invitation)


def choose_email(token: str) -> BaseResponse:
    """Keep the e-mail address of somebody who was invited by letter."""
    invitation = _proved(token)
    if invitation is None or invitation.email:
        return _next(token)
    wrong = registration.choose_email(web.context().store, invitation, field("email"))
    return _step_page(Step.EMAIL, invitation, {"email": wrong}) if wrong else _next(token)


def choose_password(token: str) -> BaseResponse:
    """Keep the password."""
    invitation = _proved(token)
    if invitation is None:
        return redirect(f"/register/{token}", 303)
    wrong = registration.choose_password(web.context().store, invitation, secret("password"))
    if wrong:
        return _step_page(Step.PASSWORD, invitation, {"password": wrong})
    return _next(token)


def choose_memorable(token: str) -> BaseResponse:
    """Keep memorable question and answer."""
    invitation = _proved(token)
    if invitation is None:
        return redirect(f"/register/{token}", 303)
    question, answer = field("question"), field("answer")
    wrong = {}
    if question not in QUESTIONS:
        wrong["question"] = "Choose a question"
    if len(answer) < SHORTEST_ANSWER:
        wrong["answer"] = web.say("Enter an answer with %(shortest)s characters or more") % {
            "shortest": SHORTEST_ANSWER
        }
    if wrong:
        return _step_page(Step.MEMORABLE, invitation, wrong)
    registration.choose_memorable(web.context().store, invitation, question, answer)
    return _next(token)


def accept(token: str) -> BaseResponse:
    """Accept agreement and policy; the account is made and the confirmation e-mail sent."""
    invitation = _proved(token)
    if invitation is None:
        return redirect(f"/register/{token}", 303)
    if wrong := agreement.missing():
        return _step_page(Step.AGREEMENT, invitation, wrong)
    here = web.context()
    result = registration.finish(here.store, token, _proof(), web.acceptance(), here.now(), _opened)
    if result is Result.UNUSABLE:
        return _next(token)
    form_state.pop(_PROOF, None)
    if result is Result.TAKEN:
        return message(
            "We could not make your account",
            "Our service desk needs to look at it. Nothing that you did is wrong.",
            status=409,
            link=("Contact us", "/contact"),
        )
    return redirect("/register/finished", 303)


def finished() -> Response:
    """Say what comes next."""
    return message(
        "Check your e-mail",
        "We have sent you an e-mail with a link. Follow the link to confirm your e-mail address. Then you can sign in.",
        "It may take a few minutes. Check your junk folder too.",
        link=("Sign in", "/sign-in"),
    )


def confirm_email(token: str) -> Response:
    """Make the account active."""
    here = web.context()
    if accounts.confirm_email(here.store, token, here.now(), _confirmed):
        return message(
            "Your e-mail address is confirmed",
            "Your account is ready. Sign in with your e-mail address and the password that you chose.",
            link=("Sign in", "/sign-in"),
        )
    return message(
        "This link does not work",
        "It may be too old, or part of it may be missing. Copy the whole link from the newest e-mail.",
        "To get a new link, sign in with your e-mail address and password.",
        status=404,
        link=("Sign in", "/sign-in"),
    )


def _sent_again(session: Session, invitation: Invitation) -> None:
    record_act(web.context(), session, "renew-invitation", f"invitation {invitation.id}")


def _opened(session: Session, account: Account | None) -> None:
    done = account is not None
    description = "Account opened by invitation; agreement and policy accepted" if done else _REASON[Result.TAKEN]
    record_sign_in(web.context(), session, account, succeeded=done, client_id=CLIENT, description=description)


def _confirmed(session: Session, account: Account) -> None:
    record_act(web.context(), session, "confirm-email", f"account {account.id}")


def _proof() -> str:
    return str(form_state.get(_PROOF, ""))


def _proved(token: str) -> Invitation | None:
    here = web.context()
    with here.store.read() as session:
        return registration.proved(session, token, _proof(), here.now())


def _to(token: str, step: Step) -> BaseResponse:
    return redirect(f"/register/{token}/{step.value}", 303)


def _next(token: str) -> BaseResponse:
    invitation = _proved(token)
    return redirect(f"/register/{token}", 303) if invitation is None else _to(token, registration.next_step(invitation))


def _step_page(step: Step, invitation: Invitation, errors: dict[str, str] | None = None) -> Response:
    return page(
        f"register-{step.value}",
        errors=errors,
        email=invitation.email,
        questions=QUESTIONS,
    )


def _dead(token: str) -> Response:
    return page("register-dead", status=404, token=token)
