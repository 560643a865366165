"""What the authorization server keeps between requests, and how the composition root gives it to an application."""

from __future__ import annotations

import logging
from collections.abc import Container
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from flask import Flask, current_app
from joserfc.jwk import KeySet

from fhir_server import web
from fhir_server.access.dpop import Proof
from fhir_server.identity.client_keys import ClientKeys
from fhir_server.search import scopes
from fhir_server.smart import keys
from fhir_server.smart.brands import Brands
from fhir_server.smart.client import ASSERTION_METHOD
from fhir_server.smart.keys import KeyFolder
from fhir_server.smart.rfc6749_authorization_code import CodeGrant
from fhir_server.smart.rfc6749_client_credentials import SystemGrant
from fhir_server.smart.rfc6749_refresh import RefreshGrant
from fhir_server.smart.rfc7009 import Revocation
from fhir_server.smart.rfc7523 import authenticate
from fhir_server.smart.rfc7636 import RequiredS256
from fhir_server.smart.rfc7662 import Introspection
from fhir_server.smart.server import Here, Server
from fhir_server.store.database import Session

_EXTENSION = "smart"


@dataclass(frozen=True, slots=True)
class Authority:
    """The authorization server of one process.

    Attributes:
        signing: Keys of ID tokens.
        client_keys: Public keys of clients.
        registration: Anybody may register a client, which then waits for an administrator (RFC 7591).
        brands: What apps show people who look for this server.
    """

    signing: KeyFolder
    client_keys: ClientKeys = field(default_factory=ClientKeys)
    registration: bool = False
    brands: Brands = field(default_factory=Brands)


def install(
    app: Flask,
    key_directory: Path,
    *,
    private_hosts: Container[str] = (),
    registration: bool = False,
    brands: Brands | None = None,
) -> None:
    """Give an application its authorization server; the first start makes its signing key.

    Args:
        app: The application.
        key_directory: Where the signing keys are.
        private_hosts: Hosts of clients' key addresses that may lead into private networks.
        registration: Anybody may register a client, which then waits for an administrator (RFC 7591).
        brands: What apps show people who look for this server; without it nothing is published.
    """
    # Authlib writes whole token responses at DEBUG; tokens never go to a log.
    logging.getLogger("authlib").setLevel(logging.INFO)
    app.extensions[_EXTENSION] = Authority(
        keys.load_or_create(key_directory), ClientKeys(private_hosts=private_hosts), registration, brands or Brands()
    )


def current() -> Authority:
    """Return the authorization server of the application that is answering."""
    return cast("Authority", current_app.extensions[_EXTENSION])


def here() -> Here:
    """Return what an endpoint knows about the server, at this instant."""
    context = web.context()
    return Here(
        base_url=web.current().base_url,
        fhir_base=context.fhir_base,
        enforceable=partial(scopes.enforceable, context.definitions, context.fhir_base),
        signing=current().signing.current(),
        now=context.now(),
        session_max=web.current().session_max,
    )


def server(session: Session, at: Here, client_keys: KeySet | None = None, proof: Proof | None = None) -> Server:
    """Return the authorization server of one request, inside one transaction."""
    made = Server(session, at, client_keys, proof)
    made.register_client_auth_method(ASSERTION_METHOD, authenticate(made))
    made.register_grant(CodeGrant, [RequiredS256()])
    made.register_grant(RefreshGrant)
    made.register_grant(SystemGrant)
    made.register_endpoint(Revocation)
    made.register_endpoint(Introspection)
    return made
