"""The second proof: a code from an app, a text message or paper; and setting up an app where one is demanded."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, redirect
from flask import request as incoming
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import account_changes, authenticator_app, second_proof
from fhir_server.identity.second_proof import Purpose, Result, Way
from fhir_server.interactions.perform import record_sign_in
from fhir_server.signin import entering
from fhir_server.signin.entering import UnderWay
from fhir_server.signin.forms import field, message, page
from fhir_server.web import acting
from fhir_server.web.pictures import qr_picture

_WRONG = {
    Way.AUTHENTICATOR: "The code is not right. Wait for the next one and try again",
    Way.TEXT: "The code is not right, or too old. Check it, or ask for a new one",
    Way.RECOVERY: "The code is not right, or was used before",
    Way.PASSKEY: "Choose another way, or use your passkey",
}
_FAILED = "The second proof was wrong"
_APP_ADDED = "An authenticator app was added to your account."


def show_proof() -> BaseResponse:
    """Ask for a second proof, the best that the account has or the one that was wished for."""
    found = entering.under_way()
    if found is None or not found.need.ways:
        return _over()
    return _form(found, _way(found))


def proof() -> BaseResponse:
    """Judge a second proof; let its person in, or go on with their session."""
    found = entering.under_way()
    if found is None or not found.need.ways:
        return _over()
    way, typed, target = _way(found), field("code"), web.safe_next(field("next"))
    if not typed:
        return _form(found, way, errors={"code": "Enter the code"})
    here = web.context()
    vault, now = web.current().vault, here.now()
    with here.store.write() as session:
        outcome = second_proof.answer(session, vault, found.token, found.purpose, way=way, typed=typed, now=now)
        if outcome.result is not Result.PROVED:
            record_sign_in(
                here, session, found.account, succeeded=False, client_id=entering.CLIENT, description=_FAILED
            )
    if outcome.result is Result.PROVED:
        remember = found.purpose is Purpose.SIGN_IN and found.need.may_remember and field("remember") == "yes"
        return entering.enter(found.account, found.purpose, target, remember=remember)
    if outcome.result is Result.OVER:
        return _over()
    return _form(found, way, errors={"code": _WRONG[way]}, status=403)


def send_code() -> BaseResponse:
    """Send a code by text message; always the same answer."""
    found = entering.under_way()
    if found is None or Way.TEXT not in found.need.ways:
        return _over()
    acting.send_code(found.token, found.purpose)
    query = {"way": Way.TEXT.value, "sent": "yes", "next": web.safe_next(field("next"))}
    return redirect(f"/sign-in/proof?{urlencode(query)}", 303)


def show_set_up() -> BaseResponse:
    """Show the secret of a new authenticator app to somebody of whom a second proof is demanded and who has none."""
    found = entering.under_way()
    if found is None or found.need.ways:
        return _over()
    return _set_up_form(found)


def set_up() -> BaseResponse:
    """Take the first code of the app, and let its person in."""
    found = entering.under_way()
    if found is None or found.need.ways:
        return _over()
    here = web.context()
    now = here.now()
    with here.store.write() as session:
        is_right = authenticator_app.confirm(session, web.current().vault, found.account.id, field("code"), now)
        is_open = is_right and second_proof.finish(session, found.token, found.purpose, now)
        if is_open:
            account_changes.tell(session, found.account, _APP_ADDED, now)
            record_sign_in(here, session, found.account, client_id=entering.CLIENT, description=_APP_ADDED)
    if not is_right:
        return _set_up_form(found, errors={"code": _WRONG[Way.AUTHENTICATOR]}, status=403)
    if not is_open:
        return _over()
    query = urlencode({"next": web.safe_next(field("next"))})
    return entering.enter(found.account, found.purpose, f"/account/recovery-codes?{query}")


def _way(found: UnderWay) -> Way:
    wished = field("way") or incoming.args.get("way", "")
    return next((way for way in found.need.ways if way == wished), found.need.ways[0])


def _form(found: UnderWay, way: Way, *, errors: dict[str, str] | None = None, status: int = 0) -> Response:
    return page(
        "proof",
        errors=errors,
        status=status,
        way=way.value,
        others=[other.value for other in found.need.ways if other is not way],
        ending=found.account.mobile[-3:],
        next=web.safe_next(field("next") or incoming.args.get("next")),
        may_remember=found.purpose is Purpose.SIGN_IN and found.need.may_remember,
        again=found.purpose is Purpose.STEP_UP,
    )


def _set_up_form(found: UnderWay, *, errors: dict[str, str] | None = None, status: int = 0) -> Response:
    here = web.context()
    with here.store.write() as session:
        shown = authenticator_app.begin(
            session, web.current().vault, found.account, issuer=web.current().brand_name, now=here.now()
        )
    return page(
        "set-up",
        errors=errors,
        status=status,
        secret=shown.secret,
        picture=qr_picture(shown.uri),
        next=web.safe_next(field("next") or incoming.args.get("next")),
    )


def _over() -> Response:
    return message(
        "Sign in once more",
        "This sign-in took too long, or there were too many wrong codes. Begin again with your password.",
        status=403,
        link=("Sign in", "/sign-in"),
    )
