"""Sign in with NHS login: out, back, and what comes next (nhs.md §2, story S2).

`identity.nhs_login` says whose record an identity is; here are the pages.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import nhs_login
from fhir_server.identity.nhs_login import Arrival, Result
from fhir_server.identity.nhs_login_identity import SHARED_CLAIMS, VECTORS, identity_of
from fhir_server.identity.openid import OpenIdError
from fhir_server.identity.openid_tokens import agreed
from fhir_server.interactions.perform import record_refused_sign_in, record_sign_in
from fhir_server.signin import agreement, entering, relying_party, sign_in_problems
from fhir_server.signin.forms import message, page
from fhir_server.signin.relying_party import Proved
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session

NAME = "nhs-login"
CALLBACK = "/nhs-login/callback"
SCOPE = "openid profile profile_extended email phone"
ALGORITHMS = ("RS512",)
ACCOUNT_PAGE = "/account/nhs-login"
LINK_PAGE = "/nhs-login/link"
_SHOWN = "NHS login"
_OPENED = "Account opened with NHS login; agreement and policy accepted"


def start() -> BaseResponse:
    """Send the browser to NHS login.

    `level=P9` asks for a checked identity, where the first request was content with less; `again=1` for a new proof.
    """
    wanted = VECTORS if request.args.get("level") == "P9" else ()
    try:
        return relying_party.party(NAME).begin(
            return_to=web.safe_next(request.args.get("next")), vtr=wanted, fresh=request.args.get("again") == "1"
        )
    except OpenIdError as error:
        return sign_in_problems.page_of(error, _SHOWN, NAME)


def callback() -> BaseResponse:
    """Take the browser back from NHS login: sign in, or go on to the one next step."""
    party = relying_party.party(NAME)
    here = web.context()
    try:
        proved = party.finish()
        userinfo = agreed(proved.claims, proved.userinfo, SHARED_CLAIMS)
        identity = identity_of(party.provider.issuer, userinfo)
    except OpenIdError as error:
        return sign_in_problems.page_of(error, _SHOWN, NAME)
    target = proved.attempt.return_to
    with here.store.write() as session:
        arrival = nhs_login.arrive(session, identity, return_to=target, now=here.now())
        _note_refusal(session, arrival)
    if arrival.result is Result.SIGNED_IN and arrival.account is not None:
        return _sign_in(arrival.account, proved)
    if arrival.result is Result.REGISTER:
        return relying_party.keep(redirect("/nhs-login/agreement", 303), arrival.token)
    if arrival.result is Result.LINK:
        return relying_party.keep(redirect(LINK_PAGE, 303), arrival.token)
    return _refusal(arrival)


def show_agreement() -> Response:
    """Ask somebody new to accept agreement and policy."""
    return _agreement() if _waiting() else _gone()


def accept_agreement() -> BaseResponse:
    """Make the account and begin its first session."""
    if not _waiting():
        return _gone()
    if wrong := agreement.missing():
        return _agreement(wrong)
    here = web.context()
    with here.store.write() as session:
        arrival = nhs_login.register(session, relying_party.kept(), web.acceptance(), here.now())
        if arrival.account is not None:
            record_sign_in(here, session, arrival.account, client_id=NAME, description=_OPENED)
        _note_refusal(session, arrival)
    if arrival.account is None:
        return _refusal(arrival)
    web.start_session(arrival.account, NAME)
    return relying_party.keep(redirect("/", 303), "")


def show_link() -> BaseResponse:
    """Ask the owner of the record's account to link it; who is not signed in is asked to be, with what they have."""
    if not _waiting():
        return _gone()
    if web.signed_in() is None:
        return message(
            "You have an account already",
            "To use NHS login with it, we need to know that the account is yours. "
            "Sign in once more the way you did before. Then we link your NHS login to your account.",
            link=("Sign in", f"/sign-in?next={LINK_PAGE}"),
        )
    return page("nhs-login-link")


@web.require()
def link() -> BaseResponse:
    """Link NHS login to the account that is signed in."""
    person = web.signed_in()
    if person is None or not _waiting():
        return _gone()
    here = web.context()
    with here.store.write() as session:
        arrival = nhs_login.link(session, relying_party.kept(), person.account, here.now())
        if arrival.result is Result.LINKED:
            sign_in_problems.note(session, "link-nhs-login", person)
        _note_refusal(session, replace(arrival, account=person.account))
    if arrival.result is not Result.LINKED:
        return relying_party.keep(_refusal(arrival), "")
    return relying_party.keep(redirect(f"{ACCOUNT_PAGE}?linked=yes", 303), "")


@web.require("patient")
def show_account() -> Response:
    """Show whether the account is linked, and how to change that."""
    return _account_page()


@web.require("patient")
@web.require_fresh()
def unlink() -> BaseResponse:
    """Forget the account's NHS login, for somebody who has just proved who they are."""
    person = web.signed_in()
    if person is None:
        return redirect("/sign-in", 303)
    here = web.context()
    issuer = relying_party.party(NAME).provider.issuer
    with here.store.write() as session:
        is_unlinked = nhs_login.unlink(session, issuer, person.account, here.now())
        if is_unlinked:
            sign_in_problems.note(session, "unlink-nhs-login", person)
    if not is_unlinked:
        wrong = "You cannot remove NHS login: you have no password and no passkey, so you could not sign in any more"
        return _account_page({"unlink": wrong})
    return redirect(f"{ACCOUNT_PAGE}?unlinked=yes", 303)


def _sign_in(account: Account, proved: Proved) -> BaseResponse:
    """Begin a session; or, for somebody signed in as the same person, go on with it on a new proof."""
    here = web.context()
    person = web.signed_in()
    target = proved.attempt.return_to
    if person is not None and person.account.id != account.id and target == ACCOUNT_PAGE:
        reason = "The NHS login is linked to another account"
        record_refused_sign_in(here, person.account, client_id=NAME, description=reason)
        return _refusal(Arrival(Result.CONFLICT))
    entering.vouched(account, NAME, proved.proved_at)
    return redirect(target, 303)


def _note_refusal(session: Session, arrival: Arrival) -> None:
    if arrival.result in nhs_login.REFUSED:
        here, reason = web.context(), arrival.reason
        record_sign_in(here, session, arrival.account, succeeded=False, client_id=NAME, description=reason)


def _waiting() -> bool:
    here = web.context()
    return nhs_login.pending(here.store, relying_party.kept(), here.now()) is not None


def _agreement(wrong: dict[str, str] | None = None) -> Response:
    return page("nhs-login-agreement", errors=wrong)


def _account_page(wrong: dict[str, str] | None = None) -> Response:
    person = web.signed_in()
    here = web.context()
    issuer = relying_party.party(NAME).provider.issuer
    is_linked = person is not None and nhs_login.is_linked(here.store, issuer, person.account)
    done = next((name for name in ("linked", "unlinked") if name in request.args), "")
    return page("nhs-login-account", errors=wrong, is_linked=is_linked, done=done, account_page=ACCOUNT_PAGE)


def _gone() -> Response:
    return message(
        "This step is over",
        "It took too long, was done already, or began in another browser. Start again.",
        status=410,
        link=("Sign in", "/sign-in"),
    )


def _refusal(arrival: Arrival) -> Response:
    if arrival.result is Result.GONE:
        return _gone()
    if arrival.result is Result.EMAIL_TAKEN:
        return message(
            "Your e-mail address has an account already",
            "The e-mail address of your NHS login belongs to another account here. Is it yours? Sign in with it. "
            "If not, contact us: our service desk will help you.",
            status=409,
            link=("Sign in", "/sign-in"),
        )
    if arrival.result is Result.NO_EMAIL:
        return message(
            "We need your e-mail address",
            "NHS login did not share a confirmed e-mail address with us. "
            "Sign in with NHS login again and let it share your e-mail address.",
            status=409,
            link=("Sign in", "/sign-in"),
        )
    # INVARIANT: one text, whether there is no record, one of other details, or an account in the way.
    return message(
        "We could not link your NHS login",
        "Nothing that you did is wrong. Our service desk needs to check your details, and we have told them.",
        "You can also contact us. If you have a password for this service, you can sign in with it as before.",
        status=409,
        link=("Contact us", "/contact"),
    )
