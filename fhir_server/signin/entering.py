"""From the first proof to the session: whether a second one is needed, what is under way, and the way in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import urlencode

from flask import Response, after_this_request, redirect
from flask import request as incoming
from flask import session as form_state
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import remembered, second_proof
from fhir_server.identity.second_proof import Need, Purpose, Way
from fhir_server.interactions.perform import record_sign_in
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.web.acting import send_code

CLIENT = "portal"
_TOKEN, _PURPOSE = "proof", "proof-for"
_MOST_DEVICE_TOKENS = 4
"""So many people may be remembered on one device: a family shares a tablet."""
_MISSING = "The password was right, the second proof is missing"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A sign-in, or a fresh proof of somebody who is signed in, that waits for its second part."""

    token: str
    purpose: Purpose
    account: Account
    need: Need


def after_password(account: Account, purpose: Purpose, target: str) -> BaseResponse:
    """Let somebody in whose password was right, or ask them for a second proof."""
    here = web.context()
    now = here.now()
    person = web.signed_in() if purpose is Purpose.STEP_UP else None
    with here.store.write() as session:
        need = second_proof.need(session, account, web.current().second_factor)
        # What needs a fresh proof needs the whole of it: a remembered device may be the one that was left unlocked.
        is_enough = purpose is Purpose.SIGN_IN and need.may_remember
        is_known = is_enough and remembered.is_known(session, account.id, _device_tokens(), now)
        is_asked = need.demanded and not is_known and (bool(need.ways) or purpose is Purpose.SIGN_IN)
        token = ""
        if is_asked:
            detail = person.session_id if person else ""
            token = second_proof.begin(session, account.id, purpose, now, detail=detail)
            record_sign_in(here, session, account, succeeded=False, client_id=CLIENT, description=_MISSING)
    if not is_asked:
        return enter(account, purpose, target)
    form_state[_TOKEN], form_state[_PURPOSE] = token, purpose.value
    if not need.ways:
        return redirect(f"/sign-in/set-up?{urlencode({'next': target})}", 303)
    if need.ways[0] is Way.TEXT:
        send_code(token, purpose)
    return redirect(f"/sign-in/proof?{urlencode({'next': target})}", 303)


def under_way() -> UnderWay | None:
    """Return what waits for a second proof in this browser, None where nothing does (any more)."""
    token = str(form_state.get(_TOKEN, ""))
    purpose = Purpose.STEP_UP if form_state.get(_PURPOSE) == Purpose.STEP_UP.value else Purpose.SIGN_IN
    here = web.context()
    with here.store.read() as session:
        found = second_proof.under_way(session, token, purpose, here.now())
        account = accounts.by_id(session, found.account_id) if found else None
        if found is None or account is None or not account.active:
            return None
        need = second_proof.need(session, account, web.current().second_factor)
    if purpose is Purpose.STEP_UP:
        person = web.signed_in()
        if person is None or person.session_id != found.detail:
            return None
    return UnderWay(token, purpose, account, need)


def enter(account: Account, purpose: Purpose, target: str, *, remember: bool = False) -> BaseResponse:
    """Begin the session, or go on with the present one under a new token; then go to `target`."""
    if purpose is Purpose.STEP_UP:
        web.rotate(CLIENT)
    elif remember:
        web.start_session(account, CLIENT, also=partial(_remember_device, account))
    else:
        web.start_session(account, CLIENT)
    return redirect(target, 303)


def vouched(account: Account, client_id: str, proved_at: datetime, *, organization: str = "") -> None:
    """Begin the session of somebody whom a provider vouches for; go on with the one they have here, on a new proof.

    Args:
        account: Theirs.
        client_id: The provider.
        proved_at: When they proved to the provider who they are.
        organization: Whom they work for, as the provider is that organisation's; "" where it is nobody's.
    """
    if not is_signed_in_as(account):
        web.start_session(account, client_id, proved_at=proved_at, organization=organization)
        return
    person = web.rotate(client_id, proved_at=proved_at)
    if organization not in {"", person.principal.organization}:
        web.work_for(person, organization)


def is_signed_in_as(account: Account) -> bool:
    """Return whether this browser has a session of an account."""
    present = web.signed_in()
    return present is not None and present.account.id == account.id


def _remember_device(account: Account, session: Session) -> None:
    token = remembered.remember(session, account.id, web.browser_name(), web.context().now())
    _keep_device_token(token)


def _device_tokens() -> list[str]:
    kept = incoming.cookies.get(web.current().device_cookie, "")
    return [token for token in kept.split(".") if token][:_MOST_DEVICE_TOKENS]


def _keep_device_token(token: str) -> None:
    tokens = [token, *_device_tokens()][:_MOST_DEVICE_TOKENS]
    extension = web.current()

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            extension.device_cookie,
            ".".join(tokens),
            max_age=remembered.FOR,
            path="/",
            secure=extension.is_https,
            httponly=True,
            samesite="Lax",
        )
        return response
