"""A professional opens the portal from their hospital's system: SMART EHR launch into us (nhs.md §4, story S3).

Who may come in is `operations.arriving`'s to say; here are the pages. The launched person opens only where they share;
for everybody else, known here or not, the same card says how to go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from flask import Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import ehr_accounts
from fhir_server.identity.ehr_accounts import PENDING_FOR, Arrival, Result
from fhir_server.identity.ehr_launch import SCOPE_AGAIN, Clinician, clinician_of, launched_of
from fhir_server.identity.openid import OpenIdError
from fhir_server.interactions.audit_strangers import record_stranger
from fhir_server.interactions.perform import record_refused_sign_in
from fhir_server.operations import arriving
from fhir_server.signin import agreement, entering, relying_party, sign_in_problems
from fhir_server.signin.forms import message, page
from fhir_server.signin.relying_party import Proved, RelyingParty
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import logins
from fhir_server.store.logins import PendingLink

_AGREEMENT, _PATIENT, _HOME = "/launch/agreement", "/launch/patient", "/patients"
_SHOWN = "your hospital's system"
_LAUNCH = re.compile(r"[\x21-\x7e]{1,2048}")


def launch() -> BaseResponse:
    """Take a browser that a hospital's system sent here, and send it there to prove who uses it."""
    issuer, token = _single("iss"), _single("launch")
    party = next((each for each in relying_party.ehr_parties() if each.provider.issuer == issuer.rstrip("/")), None)
    # INVARIANT: only a listed address is ever asked anything: whoever names another learns only that it is not listed.
    if party is None or not _LAUNCH.fullmatch(token):
        record_stranger(web.context(), FhirError(Kind.UNAUTHENTICATED, "A launch from a system that is not listed"))
        return message(
            "We do not know this system",
            "This service can be opened from the systems of some hospitals. The one that you came from is not one of "
            "them, or it did not say what to open. Sign in here, or ask the people who look after your system.",
            status=403,
            link=("Sign in", "/sign-in"),
        )
    return _begin(party, {"aud": party.provider.issuer, "launch": token}, _HOME)


@web.require("professional")
def again() -> BaseResponse:
    """Ask for a fresh proof at the hospital's system that somebody came from."""
    person, here = web.signed_in(), web.context()
    parties = relying_party.ehr_parties() if person else ()
    with here.store.read() as session:
        theirs = [
            each for each in parties if person and logins.link_to(session, each.provider.issuer, person.account.id)
        ]
    if len(theirs) != 1:
        text = "Your account is not opened from a hospital's system. Use your password."
        return message("Prove who you are another way", text, status=404, link=("Go back", "/sign-in/again"))
    more = {"aud": theirs[0].provider.issuer, "scope": SCOPE_AGAIN}
    return _begin(theirs[0], more, web.safe_next(request.args.get("next")), fresh=True)


def callback(name: str) -> BaseResponse:
    """Take the browser back: let its user in, ask somebody new to accept the agreement, or refuse."""
    client = f"ehr-{name}"
    party = relying_party.party(client)
    if party.provider.ehr is None:
        raise FhirError(Kind.NOT_FOUND, "This way to sign in is not set up here")
    here = web.context()
    try:
        proved = party.finish()
        access_token, base = str(proved.tokens["access_token"]), party.provider.issuer
        clinician = clinician_of(proved.claims, base, access_token, here.now())
        launched = None if proved.attempt.fresh else launched_of(proved.tokens, base, access_token)
        came = arriving.arrive(here, party.provider, str(proved.claims["sub"]), clinician)
    except OpenIdError as error:
        return sign_in_problems.page_of(error, _SHOWN, client)
    if came.arrival.result in {Result.REFUSED, Result.NO_EMAIL}:
        record_refused_sign_in(here, came.arrival.account, client_id=client, description=came.arrival.reason)
        return _refusal(came.arrival)
    kept = ehr_accounts.written(launched)
    if came.arrival.result is Result.TERMS:
        token = _keep(party, proved, came.practitioner, clinician, kept)
        return relying_party.keep(redirect(_AGREEMENT, 303), token)
    account = came.arrival.account
    if account is None:
        raise FhirError(Kind.CONFLICT, "Somebody changed this account just now")
    if proved.attempt.fresh and not entering.is_signed_in_as(account):
        reason = "Somebody else than who is signed in proved who they are"
        record_refused_sign_in(here, account, client_id=client, description=reason)
        return _refusal(Arrival(Result.REFUSED))
    # INVARIANT: an emergency access needs a fresh proof, which a session at the hospital of this morning is not.
    # A proof for what they are at already changes nothing else.
    at = "" if proved.attempt.fresh else came.organization
    entering.vouched(account, client, proved.proved_at, organization=at)
    if not kept:
        return redirect(proved.attempt.return_to, 303)
    return relying_party.keep(redirect(_PATIENT, 303), _keep(party, proved, came.practitioner, clinician, kept))


def show_agreement() -> Response:
    """Ask somebody new to accept agreement and policy."""
    return _agreement() if _waiting() else _gone()


def accept_agreement() -> BaseResponse:
    """Make the account and begin its first session."""
    here, waiting = web.context(), _waiting()
    party = next(
        (each for each in relying_party.ehr_parties() if waiting and each.provider.issuer == waiting.issuer), None
    )
    if waiting is None or party is None:
        return _gone()
    if wrong := agreement.missing():
        return _agreement(wrong)
    client = party.provider.name
    try:
        arrival = arriving.open_account(here, party.provider, relying_party.kept(), web.acceptance())
    except OpenIdError as error:
        return sign_in_problems.page_of(error, _SHOWN, client)
    if arrival.account is None:
        return relying_party.keep(_gone(), "")
    # INVARIANT: reading an agreement is no proof of who somebody is: that was given before, we do not say when.
    web.start_session(arrival.account, client, proved_at=here.now() - PENDING_FOR)
    with here.store.write() as session:
        token = ehr_accounts.keep(session, waiting) if waiting.launched else ""
    return relying_party.keep(redirect(_PATIENT if token else _HOME, 303), token)


@web.require("professional")
def patient() -> BaseResponse:
    """Open the record of the launched person, or say how to go on."""
    person, waiting, here = web.signed_in(), _waiting(), web.context()
    launched = ehr_accounts.read(waiting.launched) if waiting else None
    if person is None or waiting is None or launched is None or person.account.reference != waiting.person:
        return redirect(_HOME, 303)
    found = arriving.find_patient(here, person.principal, launched.nhs_number, launched.birth_date)
    if found:
        return redirect(f"{_HOME}/{found}", 303)
    born = date.fromisoformat(launched.birth_date)
    number = launched.nhs_number
    card = {
        "shown": f"{number[:3]} {number[3:6]} {number[6:]}",
        "born": f"{born.day} {born:%B %Y}",
    }
    answers = {"nhs-number": number, "born-day": born.day, "born-month": born.month, "born-year": born.year}
    # INVARIANT: the page of a look-up, to the letter: what the hospital knows anyway, nothing of any record here.
    return Response(render_template("portal/professional/card.html", card=card, answers=answers))


def _begin(party: RelyingParty, more: Mapping[str, str], target: str, *, fresh: bool = False) -> BaseResponse:
    try:
        return party.begin(return_to=target, fresh=fresh, more=more)
    except OpenIdError as error:
        return sign_in_problems.page_of(error, _SHOWN, party.provider.name)


def _keep(party: RelyingParty, proved: Proved, practitioner: str, clinician: Clinician, launched: str) -> str:
    here = web.context()
    waiting = PendingLink(
        party.provider.issuer,
        str(proved.claims["sub"]),
        practitioner,
        clinician.shown,
        clinician.email,
        "",
        _HOME,
        here.now() + PENDING_FOR,
        launched,
    )
    with here.store.write() as session:
        return ehr_accounts.keep(session, waiting)


def _waiting() -> PendingLink | None:
    here = web.context()
    return ehr_accounts.pending(here.store, relying_party.kept(), here.now())


def _agreement(wrong: dict[str, str] | None = None) -> Response:
    return page("ehr-launch-agreement", errors=wrong)


def _single(name: str) -> str:
    found = request.args.getlist(name)
    return found[0] if len(found) == 1 else ""


def _gone() -> Response:
    return message(
        "This step is over",
        "It took too long, was done already, or began in another browser. Open this service from your hospital's "
        "system again.",
        status=410,
    )


def _refusal(arrival: Arrival) -> Response:
    if arrival.result is Result.NO_EMAIL:
        return message(
            "We need a work e-mail address that is yours alone",
            "Your hospital's system did not tell us your work e-mail address, or somebody else has an account with it. "
            "Ask the people who look after your system to put it right, or ask us for an account.",
            status=409,
            link=("Ask for an account", "/contact/account"),
        )
    # INVARIANT: one text, whatever of the person, their role or their account does not fit.
    return message(
        "You cannot open this service from your hospital's system",
        "Either your role at the hospital has ended, or we know you from somewhere else. If you should have access, "
        "ask the person at your hospital who looks after this service, or contact us.",
        status=403,
        link=("Contact us", "/contact"),
    )
