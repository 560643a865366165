"""Sign in with NHS CIS2: invited professionals, in a role that their organisation holds for them here (nhs.md §3)."""

from __future__ import annotations

from flask import redirect, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity.openid import OpenIdError
from fhir_server.identity.openid_professionals import enter, professional_of
from fhir_server.identity.openid_tokens import agreed
from fhir_server.interactions.perform import record_refused_sign_in
from fhir_server.signin import entering, relying_party, sign_in_problems
from fhir_server.signin.forms import message

NAME = "cis2"
CALLBACK = "/cis2/callback"
SCOPE = "openid profile nhsperson nationalrbacaccess associatedorgs selectedrole"
ALGORITHMS = ("RS256", "RS512")
_SHOWN = "NHS CIS2"
_SHARED_CLAIMS = ("nhsid_useruid", "selected_roleid")


def start() -> BaseResponse:
    """Send the browser to CIS2; `again=1` asks for a new proof."""
    target, fresh = web.safe_next(request.args.get("next")), request.args.get("again") == "1"
    try:
        return relying_party.party(NAME).begin(return_to=target, fresh=fresh)
    except OpenIdError as error:
        return sign_in_problems.page_of(error, _SHOWN, NAME)


def callback() -> BaseResponse:
    """Take the browser back from CIS2 and let an invited professional in."""
    party = relying_party.party(NAME)
    here = web.context()
    try:
        proved = party.finish()
        person = professional_of(proved.claims, agreed(proved.claims, proved.userinfo, _SHARED_CLAIMS))
    except OpenIdError as error:
        return sign_in_problems.page_of(error, _SHOWN, NAME)
    try:
        account = enter(here.store, person, here.now())
    except OpenIdError as error:
        record_refused_sign_in(here, None, client_id=NAME, description=error.detail)
        return _not_invited()
    # INVARIANT: an emergency access needs a fresh proof, which a session at CIS2 of this morning is not.
    entering.vouched(account, NAME, proved.proved_at)
    return redirect(proved.attempt.return_to, 303)


def _not_invited() -> BaseResponse:
    # INVARIANT: one text, whoever is unknown here: the person, their role or their account.
    return message(
        "You do not have access with this role",
        "Your organisation has not given you access to this service in the role that you chose. "
        "Choose another role at NHS CIS2, or ask for access.",
        status=403,
        link=("Ask for access", "/contact"),
    )
