"""A lost password: ask for a link; follow it, give a second proof, choose a new password."""

from __future__ import annotations

from flask import Response, redirect
from flask import request as incoming
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import passwords, recovery
from fhir_server.identity.recovery import Proof, Recoverable, Result
from fhir_server.identity.second_proof import Purpose, Way
from fhir_server.interactions.audit_strangers import record_act
from fhir_server.interactions.perform import record_sign_in
from fhir_server.signin.entering import CLIENT
from fhir_server.signin.forms import field, message, page, secret
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.web import acting, even

_WRONG = {
    Way.AUTHENTICATOR: "The code is not right. Wait for the next one and try again",
    Way.RECOVERY: "The code is not right, or was used before",
    Way.TEXT: "The code or the answer is not right, or the code is too old. Check them or ask for a new code",
}
_HELP = ("Contact us", "/contact")


def show_forgotten() -> Response:
    """Ask for the e-mail address."""
    return page("forgotten")


def forgotten() -> Response:
    """Send a link if there is an account; always the same answer, at the same pace."""
    since = even.started()
    email = field("email")
    if not email:
        return page("forgotten", errors={"email": "Enter your e-mail address"})
    here = web.context()
    recovery.request_link(here.store, email, address=here.address, now=here.now(), noted=_asked)
    even.wait(since)
    return message(
        "Check your e-mail",
        "If there is an account with that e-mail address, we have sent a link to it. The link works for 1 hour.",
        "If nothing comes, check your junk folder, or contact us.",
        link=_HELP,
    )


def show_reset(token: str) -> Response:
    """Ask for a second proof and a new password."""
    found = _found(token)
    if found is None:
        return _dead()
    return _form(token, found, _way(found)) if found.ways else _nobody_can_tell()


def send_code(token: str) -> BaseResponse:
    """Send a code by text message; always the same answer."""
    acting.send_code(token, Purpose.RECOVER)
    return redirect(f"/reset-password/{token}?way={Way.TEXT}&sent=yes", 303)


def reset(token: str) -> BaseResponse:
    """Change the password when the second proof is right."""
    found = _found(token)
    if found is None:
        return _dead()
    if not found.ways:
        return _nobody_can_tell()
    way = _way(found)
    proof = Proof(way, field("code"), field("answer"))
    password = secret("password")
    wrong = {} if proof.typed else {"code": "Enter the code"}
    if way is Way.TEXT and found.question and not proof.answer:
        wrong["answer"] = "Enter the answer to your memorable question"
    weak = passwords.problem(password, (found.account.name, found.account.email))
    if weak:
        wrong["password"] = weak
    if wrong:
        return _form(token, found, way, errors=wrong)
    here = web.context()
    result = recovery.reset(
        here.store, web.current().vault, token, proof, password=password, now=here.now(), noted=_note
    )
    if result is Result.WRONG:
        return _form(token, found, way, errors={"code": _WRONG[way]}, status=403)
    return redirect("/reset-password/finished", 303) if result is Result.CHANGED else _dead()


def finished() -> Response:
    """Say that the new password holds."""
    return message(
        "Your password is changed",
        "We signed you out on every device. Sign in with your new password.",
        link=("Sign in", "/sign-in"),
    )


def _asked(session: Session, account: Account | None) -> None:
    about = f"account {account.id}" if account else "an address without an account"
    record_act(web.context(), session, "ask-new-password", about)


def _note(session: Session, account: Account, result: Result) -> None:
    is_changed = result is Result.CHANGED
    said = "New password by e-mail link" if is_changed else "Wrong second proof for a new password"
    record_sign_in(web.context(), session, account, succeeded=is_changed, client_id=CLIENT, description=said)


def _found(token: str) -> Recoverable | None:
    here = web.context()
    with here.store.read() as session:
        return recovery.of_link(session, token, here.now())


def _way(found: Recoverable) -> Way:
    wished = field("way") or incoming.args.get("way", "")
    return next((way for way in found.ways if way == wished), found.ways[0])


def _form(
    token: str, found: Recoverable, way: Way, *, errors: dict[str, str] | None = None, status: int = 0
) -> Response:
    return page(
        "reset",
        errors=errors,
        status=status,
        token=token,
        way=way.value,
        others=[other.value for other in found.ways if other is not way],
        question=found.question if way is Way.TEXT else "",
        ending=found.account.mobile[-3:],
        sent="sent" in incoming.args,
        email=found.account.email,
    )


def _nobody_can_tell() -> Response:
    return message(
        "We need to check that it is you",
        "Your account has no second way to prove who you are. Our service desk will check it and help you to sign in.",
        link=_HELP,
    )


def _dead() -> Response:
    return message(
        "This link does not work",
        "It may be too old or used already, or part of it may be missing. You can ask for a new one.",
        status=404,
        link=("Ask for a new link", "/forgotten-password"),
    )
