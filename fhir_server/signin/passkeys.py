"""Sign in, or prove once more who one is, with a passkey. Needs JavaScript; every other way works without."""

from __future__ import annotations

from flask import Response, jsonify
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import passkeys
from fhir_server.identity.second_proof import Purpose
from fhir_server.interactions.perform import record_refused_sign_in
from fhir_server.signin import entering
from fhir_server.signin.forms import field, page

_REFUSED = "That passkey did not work. Try again, or sign in with your password"
_LONGEST_CREDENTIAL = 20_000


def options() -> tuple[Response, int]:
    """Answer with what the browser has to ask its devices for (JSON)."""
    here = web.context()
    asked = passkeys.begin(here.store, web.current().relying_party, address=here.address, now=here.now())
    if asked is None:
        return jsonify(message="Too many tries. Wait 15 minutes and try again"), 429
    return jsonify(token=asked.token, options=asked.options), 200


def prove() -> BaseResponse:
    """Judge what the device signed; let its person in, or go on with their session."""
    here = web.context()
    target = web.safe_next(field("next"))
    person = web.signed_in() if field("again") else None
    credential = field("credential", _LONGEST_CREDENTIAL)
    account = passkeys.prove(here.store, web.current().relying_party, field("token"), credential, here.now())
    if account is not None and (person is None or person.account.id == account.id):
        return entering.enter(account, Purpose.STEP_UP if person else Purpose.SIGN_IN, target)
    record_refused_sign_in(
        here,
        person.account if person else None,
        client_id=entering.CLIENT,
        description="The passkey was not accepted",
    )
    name, where = ("sign-in-again", "password") if person else ("sign-in", "email")
    return page(name, errors={where: _REFUSED}, status=403, next=target)
