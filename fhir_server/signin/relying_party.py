"""We as relying party of an OpenID Provider: authorization code, PKCE S256, `private_key_jwt`, by Authlib.

A browser goes out with `state`, and only that browser comes back with it: its cookie holds a random token from which
nonce and code verifier follow. What comes back is checked by `identity.openid_*` before anybody believes it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import orjson
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from flask import Flask, current_app, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import codes, limits, openid_tokens, openid_wire
from fhir_server.identity.openid import OpenIdError, Problem, Provider, Secrets, secrets_of
from fhir_server.identity.openid_provider import Publications
from fhir_server.identity.openid_tokens import Expected
from fhir_server.signin.provider_client import Assertion, Wire
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import logins
from fhir_server.store.logins import LoginAttempt

EXTENSION = "relying-parties"
ATTEMPT_FOR = timedelta(minutes=60)
"""How long a person may take at the provider; proving an identity takes its time."""
PENDING_FOR = timedelta(minutes=30)
_KEPT = timedelta(days=1)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_BEARER = re.compile(r"[\x21-\x7e]{1,8192}")
_STARTS = limits.Limit("provider-start", 120, timedelta(minutes=15))
"""Per address; a hospital shares one."""
_SAID_NO = frozenset(
    {"access_denied", "login_required", "sso_login_required", "interaction_required", "consent_required"}
)


@dataclass(frozen=True, slots=True)
class Proved:
    """A person whom the provider vouches for, and the attempt that they came back from.

    Attributes:
        claims: Of the ID token, every one checked.
        userinfo: About the same person; empty for an EHR.
        proved_at: When they proved themselves to the provider.
        tokens: The answer of the token endpoint, with the access token and, of an EHR, the context of the launch.
    """

    claims: Mapping[str, Any]
    userinfo: Mapping[str, Any]
    attempt: LoginAttempt
    proved_at: datetime
    tokens: Mapping[str, Any] = field(default_factory=dict, repr=False)


def install(app: Flask, providers: Sequence[Provider]) -> None:
    """Let people sign in with these providers."""
    app.extensions[EXTENSION] = {provider.name: RelyingParty(provider) for provider in providers}
    app.jinja_env.globals["sign_in_with"] = tuple(provider.name for provider in providers if provider.ehr is None)
    app.jinja_env.globals["ehr_launches"] = any(provider.ehr is not None for provider in providers)


def ehr_parties() -> tuple[RelyingParty, ...]:
    """Return our side of every hospital's system that may launch the portal."""
    found: Mapping[str, RelyingParty] = current_app.extensions.get(EXTENSION, {})
    return tuple(each for each in found.values() if each.provider.ehr is not None)


def party(name: str) -> RelyingParty:
    """Return our side of a provider.

    Raises:
        FhirError: NOT_FOUND (404) where the deployment has not registered there.
    """
    found = current_app.extensions.get(EXTENSION, {}).get(name)
    if found is None:
        raise FhirError(Kind.NOT_FOUND, "This way to sign in is not set up here")
    return cast("RelyingParty", found)


class RelyingParty:
    """One registration, and what its provider publishes."""

    def __init__(self, provider: Provider) -> None:
        """Ask nothing yet: the provider may be down when we start."""
        self.provider = provider
        self.published = Publications(provider.issuer, is_ehr=provider.ehr is not None)

    def begin(
        self, *, return_to: str, vtr: Sequence[str] = (), fresh: bool = False, more: Mapping[str, str] | None = None
    ) -> BaseResponse:
        """Send this browser to the provider.

        Args:
            return_to: Path of this site to go on to afterwards.
            vtr: Acceptable vectors of trust, where the registration's own are not meant.
            fresh: Ask the person to prove themselves anew, whatever session the provider has.
            more: Further parameters of the authorization request.

        Raises:
            OpenIdError: UNAVAILABLE or UNTRUSTED, as `Publications.metadata`.
            FhirError: THROTTLED (429).
        """
        here = web.context()
        endpoint = self.published.metadata().authorization_endpoint
        browser, state = _browser_token() or secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        wanted = tuple(vtr) or self.provider.vtr
        now = here.now()
        attempt = LoginAttempt(_hash(browser), self.provider.name, " ".join(wanted), fresh, return_to, now)
        with here.store.write() as session:
            if not limits.allow(session, now, (_STARTS, here.address)):
                raise FhirError(Kind.THROTTLED, "Too many tries. Wait 15 minutes and try again")
            logins.forget_before(session, now - _KEPT)
            logins.start(session, _hash(state), attempt)
        url = self._authorization_url(endpoint, state, secrets_of(browser, state), attempt, more or {})
        response = redirect(url, 303)
        _cookie(response, _cookie_name(), browser, ATTEMPT_FOR)
        return response

    def finish(self) -> Proved:
        """Return whom the provider vouches for in the request that it sent this browser back with.

        Raises:
            OpenIdError: In every other case; the attempt is used up then too.
        """
        here = web.context()
        now = here.now()
        state, browser = _single("state"), _browser_token()
        with here.store.write() as session:
            attempt = logins.take(session, _hash(state), _hash(browser), now) if state and browser else None
        if attempt is None or attempt.provider != self.provider.name or attempt.started_at + ATTEMPT_FOR <= now:
            raise OpenIdError(Problem.STALE, "The state is unknown, used, too old or of another browser")
        code, bound = self._code(), secrets_of(browser, state)
        tokens = self._tokens(code, bound.code_verifier, now)
        expected = Expected(
            issuer=self.published.metadata().issuer,
            client_id=self.provider.client_id,
            algorithms=self.provider.algorithms,
            nonce=bound.nonce,
            access_token=tokens["access_token"],
            asked_at=attempt.started_at,
            now=here.now(),
            vtr=tuple(attempt.vtr.split()),
            fresh=attempt.fresh,
        )
        claims = openid_tokens.verified(tokens.get("id_token"), self.published.key, expected)
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        endpoint = self.published.metadata().userinfo_endpoint
        userinfo = openid_wire.document(endpoint, headers=headers) if endpoint else {}
        return Proved(claims, userinfo, attempt, openid_tokens.authenticated_at(claims, now), tokens)

    def _authorization_url(
        self, endpoint: str, state: str, bound: Secrets, attempt: LoginAttempt, further: Mapping[str, str]
    ) -> str:
        more = {**further, "nonce": bound.nonce}
        if attempt.vtr:
            more["vtr"] = orjson.dumps(attempt.vtr.split()).decode()
        if attempt.fresh:
            more |= {"prompt": "login", "max_age": "0"}
        client = self._client(self.published.metadata().token_endpoint, web.context().now())
        url, _ = client.create_authorization_url(endpoint, state=state, code_verifier=bound.code_verifier, **more)
        return cast("str", url)

    def _code(self) -> str:
        """Return the authorization code of this request (RFC 6749 §4.1.2, RFC 9207 §2.4)."""
        if any(len(request.args.getlist(name)) > 1 for name in request.args):
            raise OpenIdError(Problem.UNTRUSTED, "A parameter is there twice")
        issuer, error, code = request.args.get("iss"), request.args.get("error"), request.args.get("code", "")
        # INVARIANT: before anything is sent anywhere: a code of one provider must not be shown to another (mix-up).
        published = self.published.metadata()
        if issuer != published.issuer and (issuer is not None or published.says_issuer):
            raise OpenIdError(Problem.UNTRUSTED, "The answer is another provider's: its iss is not the one we asked")
        if error is not None:
            if error in _SAID_NO:
                raise OpenIdError(Problem.DECLINED, "The provider or the person declined")
            raise OpenIdError(Problem.UNAVAILABLE, "The provider answered with an error")
        if not _BEARER.fullmatch(code):
            raise OpenIdError(Problem.UNTRUSTED, "The answer has neither code nor error")
        return code

    def _tokens(self, code: str, code_verifier: str, now: datetime) -> Mapping[str, Any]:
        """Redeem a code (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        endpoint = self.published.metadata().token_endpoint
        client = self._client(endpoint, now)
        try:
            tokens: Mapping[str, Any] = client.fetch_token(
                endpoint,
                grant_type="authorization_code",
                code=code,
                redirect_uri=self.provider.redirect_uri,
                code_verifier=code_verifier,
            )
        except OAuth2Error as error:
            if error.error == "invalid_grant":
                raise OpenIdError(Problem.STALE, "The code is unknown, used or too old") from error
            raise OpenIdError(Problem.UNAVAILABLE, "The provider refused our request for tokens") from error
        except ValueError as error:
            raise OpenIdError(Problem.UNAVAILABLE, "The token endpoint answered no JSON object") from error
        kind, access_token = tokens.get("token_type"), tokens.get("access_token")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise OpenIdError(Problem.UNTRUSTED, "The access token is no bearer token")
        if not isinstance(access_token, str) or not _BEARER.fullmatch(access_token):
            raise OpenIdError(Problem.UNTRUSTED, "There is no access token")
        return tokens

    def _client(self, token_endpoint: str, now: datetime) -> OAuth2Client:
        provider = self.provider
        client = OAuth2Client(
            Wire(),
            client_id=provider.client_id,
            token_endpoint_auth_method=Assertion.name,
            scope=provider.scope,
            redirect_uri=provider.redirect_uri,
            code_challenge_method="S256",
        )
        client.register_client_auth_method(Assertion(provider, token_endpoint, now))
        return client


def keep(response: BaseResponse, token: str) -> BaseResponse:
    """Let the browser keep the token of its next step, or (with "") forget it."""
    if token:
        _cookie(response, _step_cookie(), token, PENDING_FOR)
    else:
        response.delete_cookie(_step_cookie(), path="/", secure=web.current().is_https, httponly=True, samesite="Lax")
    return response


def kept() -> str:
    """Return the token of this browser's next step, "" where it has none."""
    found = request.cookies.get(_step_cookie(), "")
    return found if _TOKEN.fullmatch(found) else ""


def _single(name: str) -> str:
    found = request.args.getlist(name)
    return found[0] if len(found) == 1 else ""


def _hash(token: str) -> str:
    return codes.token_hash(token)


def _cookie_name() -> str:
    return "__Host-login" if web.current().is_https else "login"


def _browser_token() -> str:
    found = request.cookies.get(_cookie_name(), "")
    return found if _TOKEN.fullmatch(found) else ""


def _step_cookie() -> str:
    return "__Host-login-step" if web.current().is_https else "login-step"


def _cookie(response: BaseResponse, name: str, token: str, lifetime: timedelta) -> None:
    secure = web.current().is_https
    # INVARIANT: Lax, not Strict: the provider sends the browser back from another site.
    response.set_cookie(name, token, max_age=lifetime, path="/", secure=secure, httponly=True, samesite="Lax")
