"""The values of the composition root as one Flask extension, and the `Context` of a request made from them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from flask import Request, current_app, g, request

from fhir_server.identity.agreements import SHIPPED, Terms
from fhir_server.identity.client_limits import ClientLimits
from fhir_server.identity.passkeys import RelyingParty
from fhir_server.identity.second_proof import Demand
from fhir_server.identity.vault import Vault
from fhir_server.interactions.model import Context
from fhir_server.language import DEFAULT

if TYPE_CHECKING:
    from fhir_server.web.session import SignedIn

EXTENSION = "fhir"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Web:
    """What the front doors need to know.

    Attributes:
        base: Context without a request; `context` fills in request id and address.
        base_url: Public root, without a trailing slash; the only source of absolute links.
        secret_key: Signs the form cookie.
        brand_name: Shown on every page.
        brand_logo: URL path of a logo, or "".
        session_idle: A session ends after this long without a request.
        session_max: A session ends after this long in any case.
        child_until_years: What a child shares with a parent ends at this birthday.
        terms: Versions of user agreement and privacy policy that are in force.
        language: Of pages for whoever asks for none that we speak.
        second_factor: Of whom a second proof is demanded (`identity.second_proof.Demand`).
        client_limits: How often clients may ask; None counts nothing.
        settings: Every setting as an administrator may see it: name, value (secrets masked), source, meaning.
        on_sign_out: Called with the request's context before a session ends (an emergency access ends with it).
    """

    base: Context
    base_url: str
    secret_key: str = field(repr=False)
    brand_name: str = "Care Information Exchange"
    brand_logo: str = ""
    session_idle: timedelta = timedelta(minutes=30)
    session_max: timedelta = timedelta(hours=12)
    child_until_years: int = 16
    terms: Terms = SHIPPED
    language: str = DEFAULT
    second_factor: Demand = Demand.WHEN_SET_UP
    client_limits: ClientLimits | None = None
    settings: tuple[tuple[str, str, str, str], ...] = field(default=(), repr=False)
    on_sign_out: tuple[Callable[[Context, SignedIn], None], ...] = ()

    @property
    def is_https(self) -> bool:
        """Return whether browsers reach the server over TLS."""
        return self.base_url.startswith("https://")

    @property
    def session_cookie(self) -> str:
        """Return the name of the session cookie; `__Host-` binds it to this host where browsers allow that."""
        return "__Host-session" if self.is_https else "session"

    @property
    def device_cookie(self) -> str:
        """Return the name of the cookie of remembered devices."""
        return "__Host-device" if self.is_https else "device"

    @property
    def vault(self) -> Vault:
        """Return what seals and hashes people's second proofs."""
        return Vault(self.secret_key)

    @property
    def relying_party(self) -> RelyingParty:
        """Return who asks for passkeys: host and origin of the base URL."""
        parts = urlsplit(self.base_url)
        return RelyingParty(parts.hostname or "", f"{parts.scheme}://{parts.netloc}", self.brand_name)

    def context(self, incoming: Request) -> Context:
        """Return the context of a request."""
        found = self.base.live() if self.base.live else self.base.definitions
        return replace(self.base, request_id=request_id(), address=incoming.remote_addr or "", definitions=found)


def current() -> Web:
    """Return the extension of the application that is answering."""
    return cast("Web", current_app.extensions[EXTENSION])


def context() -> Context:
    """Return the context of the present request, made once."""
    made = g.get("context")
    if made is None:
        made = g.context = current().context(request)
    return cast("Context", made)


def request_id() -> str:
    """Return the id of the present request: the caller's `X-Request-Id` where it is harmless, else a new one."""
    known = g.get("request_id")
    if known is None:
        known = g.request_id = id_of(request, current().base)
    return cast("str", known)


def id_of(incoming: Request, base: Context) -> str:
    """Return the id of a request: the caller's `X-Request-Id` where it is harmless, else a new one."""
    offered = incoming.headers.get("X-Request-Id", "")
    return offered if _REQUEST_ID.fullmatch(offered) else base.new_id()
