"""Who is signed in: an opaque random token in a cookie, its SHA-256 in the store, idle and absolute limits.

INVARIANT: only pages read the cookie. `/fhir` and the token endpoints take bearer tokens and client credentials, so
that no other site can make a browser act there.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar, cast
from urllib.parse import urlencode

from flask import Response, g, redirect, request
from flask import session as form_state
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response as BaseResponse

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.identity import carers
from fhir_server.interactions.perform import record_administration, record_sign_in
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, logins, sessions
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.web.browsers import browser_name
from fhir_server.web.extension import context, current

ACTING_AS = "acting-as"
"""Cookie with the id of the RelatedPerson that somebody who cares for others is now: a wish, never a right."""
FRESH_FOR = timedelta(minutes=10)
"""So long after a proof something that needs a fresh one may be done."""
WARN_BEFORE = timedelta(minutes=2)
"""So long before its end a session's person is warned (WCAG 2.2.1 asks for 20 seconds at least)."""
_SEEN_EVERY = timedelta(seconds=30)
_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The person of the present request.

    Attributes:
        principal: Who asks, for the road.
        account: The account signed in with.
        session_id: Stable id of the session; the cookie's token is another value and is never shown to a page.
        auth_time: When the person last proved who they are, aware UTC.
        started_at: When the session began; the absolute limit counts from here.
        ends_at: When the session ends unless there is another request.
        is_final: Whether no request but a new proof can put that end off.
    """

    principal: Principal
    account: Account
    session_id: str
    auth_time: datetime
    started_at: datetime
    ends_at: datetime
    is_final: bool

    @property
    def csrf_token(self) -> str:
        """Return the value of the form field `csrf_token`."""
        return cast("str", generate_csrf())


def signed_in() -> SignedIn | None:
    """Return who is signed in, None where nobody is or the session has run out."""
    if "signed_in" not in g:
        g.signed_in = _resolve()
    return cast("SignedIn | None", g.signed_in)


def require(*roles: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R | BaseResponse]]:
    """Let only signed-in people of these roles open a page; no role means anybody signed in.

    Others are sent to `/sign-in`, and back to the page afterwards.

    Raises:
        FhirError: FORBIDDEN (403 page) when the person has another role.
    """

    def decorate(view: Callable[_P, _R]) -> Callable[_P, _R | BaseResponse]:
        @functools.wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R | BaseResponse:
            person = signed_in()
            if person is None:
                back = request.full_path.rstrip("?") if request.method == "GET" else "/"
                return redirect(f"/sign-in?{urlencode({'next': back})}", 303)
            if roles and person.account.role not in roles:
                raise FhirError(Kind.FORBIDDEN, "Your account cannot use this page")
            return view(*args, **kwargs)

        return guarded

    return decorate


def require_fresh(within: timedelta = FRESH_FOR) -> Callable[[Callable[_P, _R]], Callable[_P, _R | BaseResponse]]:
    """Let a page open only soon after its person proved who they are; others prove it again and come back.

    For what a stolen session must not be enough for. Put it inside `require`, which says who may open the page.
    """

    def decorate(view: Callable[_P, _R]) -> Callable[_P, _R | BaseResponse]:
        @functools.wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R | BaseResponse:
            return ask_again(within) or view(*args, **kwargs)

        return guarded

    return decorate


def ask_again(within: timedelta = FRESH_FOR) -> BaseResponse | None:
    """Return the way to a fresh proof where the last one is too old, None where it will do."""
    person = signed_in()
    if person is not None and is_fresh(person, within):
        return None
    # A form that came too late is not kept: its page is shown anew, to be sent again.
    back = request.full_path.rstrip("?") if request.method == "GET" else request.path
    return redirect(f"/sign-in/again?{urlencode({'next': back})}", 303)


def is_fresh(person: SignedIn, within: timedelta = FRESH_FOR) -> bool:
    """Return whether somebody proved who they are within a time."""
    return context().now() - person.auth_time <= within


def start_session(
    account: Account,
    client_id: str,
    *,
    proved_at: datetime | None = None,
    organization: str = "",
    also: Callable[[Session], None] | None = None,
) -> SignedIn:
    """Begin a new session for somebody who has just proved who they are; an open one of this browser ends.

    Args:
        account: Theirs.
        client_id: By which way they came in, for the AuditEvent, which is there if and only if the session is.
        proved_at: When they proved it, where that was before now.
        organization: Whom a professional works for, "" for the organisation of the account.
        also: Does what goes with it, in the same transaction.
    """
    end_session()
    here = context()
    now, session_id, token = here.now(), here.new_id(), secrets.token_urlsafe(32)
    with here.store.write() as session:
        whose = {"account_id": account.id, "device": browser_name(), "organization": organization}
        sessions.start(session, session_id, _hash(token), **whose, now=now)
        _entered(session, account, client_id, session_id, proved_at)
        if also is not None:
            also(session)
    return _adopt(token)


def rotate(client_id: str, *, proved_at: datetime | None = None) -> SignedIn:
    """Give the present session a new token and `auth_time` now, after its person proved again who they are.

    Arguments as for `start_session`.
    """
    person = signed_in()
    if person is None:
        raise FhirError(Kind.UNAUTHENTICATED, "Sign in first")
    here = context()
    token = secrets.token_urlsafe(32)
    with here.store.write() as session:
        sessions.rotate(session, person.session_id, _hash(token), here.now())
        _entered(session, person.account, client_id, person.session_id, proved_at)
    return _adopt(token)


def _entered(session: Session, account: Account, client_id: str, session_id: str, proved_at: datetime | None) -> None:
    here = context()
    if proved_at is not None:
        # INVARIANT: what needs a fresh proof counts from when the person gave one, not from when we were told.
        logins.proved_at(session, session_id, proved_at)
    accounts.signed_in(session, account.id, here.now())
    record_sign_in(here, session, account, client_id=client_id)


def end_session() -> None:
    """End the session of this browser, where there is one, and what lives only as long as it."""
    person = signed_in()
    if person is not None:
        here = context()
        for hook in current().on_sign_out:
            hook(here, person)
        with here.store.write() as session:
            sessions.end(session, person.session_id, here.now())
            record_sign_in(here, session, person.account, client_id=tokens.PORTAL, started=False)
    form_state.clear()
    g.session_token = ""
    g.signed_in = None


def work_for(person: SignedIn, organization: str) -> None:
    """Let somebody work for another organisation of theirs from the next request on; an emergency access ends first."""
    here, about = context(), f"account {person.account.id} {organization}"
    for hook in current().on_sign_out:
        hook(here, person)
    with here.store.write() as session:
        sessions.work_for(session, person.session_id, organization)
        record_administration(here, session, person.principal, action="choose-organisation", description=about)


@contextmanager
def end_others(person: SignedIn, session_id: str = "") -> Iterator[Session]:
    """End one other session of somebody, or all others, and what lives only as long.

    In the block goes what belongs to it, such as the AuditEvent: it runs in the same transaction.
    """
    here = context()
    with here.store.write() as session:
        ended = sessions.end_all(session, person.account.id, here.now(), but=person.session_id, only=session_id)
        yield session
    for other in ended:
        for hook in current().on_sign_out:
            hook(here, replace(person, session_id=other))


def set_cookie(response: Response) -> Response:
    """Give the browser the token of a session begun in this request, or take away the one that ended."""
    token = g.get("session_token")
    if token is None:
        return response
    extension = current()
    name, secure = extension.session_cookie, extension.is_https
    if token:
        response.set_cookie(name, token, path="/", secure=secure, httponly=True, samesite="Lax")
    elif name in request.cookies:
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="Lax")
    return response


def _adopt(token: str) -> SignedIn:
    # INVARIANT: the form cookie starts anew with the session: a CSRF token planted before sign-in is worth nothing.
    form_state.clear()
    g.pop("csrf_token", None)
    g.session_token = token
    found = g.signed_in = _look_up(token)
    if found is None:
        raise FhirError(Kind.UNAUTHENTICATED, "This account cannot sign in")
    return found


def glance() -> SignedIn | None:
    """Return who is signed in, but do not count this request as one of theirs: to ask how long is left is no use."""
    token = request.cookies.get(current().session_cookie, "")
    return _look_up(token, seen=False) if token else None


def _resolve() -> SignedIn | None:
    token = request.cookies.get(current().session_cookie, "")
    return _look_up(token) if token else None


def _look_up(token: str, *, seen: bool = True) -> SignedIn | None:
    extension = current()
    here = context()
    now = here.now()
    with here.store.read() as session:
        found = sessions.live(
            session,
            _hash(token),
            seen_after=now - extension.session_idle,
            started_after=now - extension.session_max,
        )
        if found is None:
            return None
        # Of a person with several parts: which of them is theirs now. The choice counts only as long as it is one.
        account = carers.acting(session, found.account, request.cookies.get(ACTING_AS, ""))
        principal = tokens.for_account(session, account, found.auth_time, found.id, now, working_for=found.organization)
    seen_at = found.last_seen_at
    if seen and now - seen_at > _SEEN_EVERY:
        with here.store.write() as session:
            sessions.seen(session, found.id, now)
        seen_at = now
    idle_end, last_end = seen_at + extension.session_idle, found.started_at + extension.session_max
    return SignedIn(
        principal,
        account,
        found.id,
        found.auth_time,
        found.started_at,
        ends_at=min(idle_end, last_end),
        is_final=last_end <= idle_end,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
