"""A small application with the real authorization server, store and people, and clients that talk to it."""

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Blueprint, Flask, g
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from werkzeug.test import TestResponse

from fhir_server import web
from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.identity.agreements import SHIPPED
from fhir_server.interactions.model import Context
from fhir_server.smart import authority, registry
from fhir_server.smart.routes import blueprint
from fhir_server.spec.definitions import Definitions, load
from fhir_server.spec.outcome import FhirError
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from fhir_server.store.database import Store
from fhir_server.store.recorder import Recorder
from tests.server import Clock

BASE = "http://localhost"
FHIR = f"{BASE}/fhir"
TOKEN = f"{BASE}/oauth/token"
CALLBACK = "https://app.example/callback"
VERIFIER = "a-verifier-of-more-than-forty-three-characters-0123456789"
STATE = "state-of-the-app"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "launch/patient openid fhirUser offline_access patient/Observation.rs patient/Condition.read"


@cache
def definitions() -> Definitions:
    return load()


@cache
def ec_key() -> ECKey:
    return ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384", "kid": "ec-1"}, private=True)


@cache
def rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS384", "kid": "rsa-1"}, private=True)


def public_jwks(*keys: ECKey | RSAKey) -> str:
    return json.dumps(KeySet(list(keys)).as_dict(private=False))


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class World:
    app: Flask
    store: Store
    clock: Clock
    programs: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.programs = self.app.test_client(use_cookies=False)

    def close(self) -> None:
        self.store.close()

    # ---------------------------------------------------------------- people and clients

    def person(self, reference: str = "Patient/1", role: str = "patient", name: str = "Ada Byron") -> Account:
        account = Account(
            id=str(uuid.uuid4()),
            email=f"{uuid.uuid4()}@example.org",
            name=name,
            role=role,
            reference=reference,
            organization="",
            may_break_glass=role == "professional",
            active=True,
            created_at=self.clock(),
            agreement_version=SHIPPED.agreement,
            privacy_version=SHIPPED.privacy,
        )
        with self.store.write() as session:
            accounts.add(session, account, accounts.Secrets("", ""))
        return account

    def browser(self, account: Account | None = None) -> FlaskClient:
        client = self.app.test_client()
        if account is not None:
            with self.app.test_request_context():
                web.start_session(account, "portal")
                client.set_cookie("session", g.session_token)
        return client

    def client(self, **registration: Any) -> tuple[str, str]:
        values: dict[str, Any] = {"name": "Growth Chart", "kind": "public", "redirect_uris": [CALLBACK]}
        values |= {"scope": registry.APP_SCOPE, "now": self.clock()} | registration
        with self.store.write() as session:
            client_id, secret = registry.register_client(session, **values)
        return client_id, secret or ""

    def backend(self, **registration: Any) -> str:
        values: dict[str, Any] = {"name": "EPR", "kind": "jwks", "redirect_uris": [], "scope": "system/*.cruds"}
        values |= {"organization": "Organization/trust", "jwks": public_jwks(ec_key(), rsa_key())} | registration
        return self.client(**values)[0]

    # ---------------------------------------------------------------- the code flow

    def request(self, client_id: str, /, **changes: str | None) -> dict[str, str]:
        values: dict[str, str | None] = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": STATE,
            "aud": FHIR,
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (values | changes).items() if value is not None}

    def ask(self, browser: FlaskClient, request: Mapping[str, str]) -> TestResponse:
        return browser.get("/oauth/authorize?" + urlencode(request))

    def decide(
        self, browser: FlaskClient, page: TestResponse, *, untick: tuple[str, ...] = (), **changes: Any
    ) -> TestResponse:
        form = fields(page.text)
        form["allow"] = [value for value in form.get("allow", []) if value not in untick]
        return browser.post("/oauth/decision", data=form | {"decision": "allow"} | changes)

    def code(self, client_id: str, account: Account, *, untick: tuple[str, ...] = (), **changes: str | None) -> str:
        browser = self.browser(account)
        page = self.ask(browser, self.request(client_id, **changes))
        assert page.status_code == 200, page.text
        # Whoever was asked before finds what is new not ticked.
        boxes = re.findall(r'<input[^>]*\bname="allow"[^>]*\bvalue="([^"]*)"', page.text)
        every = [unescape(value) for value in boxes if unescape(value) not in untick]
        answer = answered(self.decide(browser, page, allow=every))
        return answer["code"]

    def redeem(self, client_id: str, code: str, /, **changes: Any) -> TestResponse:
        form: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "client_id": client_id,
            "code_verifier": VERIFIER,
        }
        return self.token({name: value for name, value in (form | changes).items() if value is not None})

    def login(self, client_id: str, account: Account, **changes: Any) -> dict[str, Any]:
        response = self.redeem(client_id, self.code(client_id, account, **changes))
        assert response.status_code == 200, response.text
        return dict(response.json or {})

    def refresh(self, client_id: str, refresh_token: str, **changes: str) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
        return self.token(form | changes)

    def token(self, form: Mapping[str, Any], **headers: str) -> TestResponse:
        return self.programs.post("/oauth/token", data=form, headers=headers)

    # ---------------------------------------------------------------- backend services

    def assertion(
        self,
        client_id: str,
        *,
        key: ECKey | RSAKey | None = None,
        header: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        signer = key or ec_key()
        algorithm = "ES384" if isinstance(signer, ECKey) else "RS384"
        claims: dict[str, Any] = {
            "iss": client_id,
            "sub": client_id,
            "aud": TOKEN,
            "exp": int(self.clock().timestamp()) + 240,
            "jti": str(uuid.uuid4()),
        }
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        full = {"alg": algorithm, "kid": signer.kid, "typ": "JWT"} | dict(header or {})
        full = {name: value for name, value in full.items() if value is not None}
        return jwt.encode(full, claims, signer, algorithms=[full["alg"]])

    def system_token(self, assertion: str, scope: str = "system/*.cruds", **changes: Any) -> TestResponse:
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        return self.token({name: value for name, value in (form | changes).items() if value is not None})

    def refusal(self, assertion: str, **changes: str) -> str:
        """Return in which words a client's assertion is refused, as it has to be."""
        response = self.system_token(assertion, **changes)
        assert response.status_code == 401, response.text
        body = response.json or {}
        assert body["error"] == "invalid_client"
        return str(body["error_description"])

    # ---------------------------------------------------------------- what a token is worth

    def principal(self, token: str) -> Principal:
        with self.store.read() as session:
            return tokens.resolve(session, token, self.clock())

    def is_alive(self, token: str) -> bool:
        """Return whether a token opens anything."""
        try:
            self.principal(token)
        except FhirError:
            return False
        return True


def make_world(url: str, keys: Path) -> World:
    store = Store(url)
    clock = Clock()
    app = Flask("smart-tests")
    app.testing = True
    base = Context(
        store=store,
        definitions=definitions(),
        now=clock,
        new_id=lambda: str(uuid.uuid4()),
        fhir_base=FHIR,
        recorder=Recorder(store),
    )
    web.install(app, web.Web(base=base, base_url=BASE, secret_key="x" * 32))
    app.register_blueprint(Blueprint("pages", "fhir_server.portal", template_folder="templates"))
    app.jinja_env.globals["asset"] = lambda name: f"/assets/{name}"
    authority.install(app, keys, private_hosts={"127.0.0.1", "localhost"})
    app.register_blueprint(blueprint)
    return World(app, store, clock)


def fields(page: str) -> dict[str, Any]:
    """Return the form fields of the consent page as a browser would send them with every box as it is."""
    form: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        attributes = {name: unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', tag)}
        kind = attributes.get("type")
        if kind == "hidden":
            form[attributes["name"]] = attributes["value"]
        elif kind in {"checkbox", "radio"} and " checked" in tag:
            form.setdefault(attributes["name"], []).append(attributes["value"])
    return form


def answered(response: TestResponse) -> dict[str, str]:
    """Return the parameters that the browser carries back to the app."""
    assert response.status_code == 303, response.text
    assert response.location.startswith(CALLBACK), response.location
    return {name: values[0] for name, values in parse_qs(urlsplit(response.location).query).items()}
