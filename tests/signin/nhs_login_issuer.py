"""An OpenID Provider over real HTTP that lies on demand: every part of its answers can be changed by a test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.answering import answering

Json = dict[str, Any]
NUMBER, BORN, FAMILY = "9434765919", "1984-03-15", "O'Neill-Smith"
PERSON = {
    "nhs_number": NUMBER,
    "birthdate": BORN,
    "family_name": FAMILY,
    "identity_proofing_level": "P9",
}


@cache
def rsa_key(name: str, bits: int = 2048) -> RSAKey:
    """Return a key of this run."""
    with warnings.catch_warnings(action="ignore"):  # one that is too short is what a test asks for
        made = RSAKey.generate_key(bits)
        return RSAKey.import_key(made.as_dict(private=True) | {"kid": name})


@dataclass
class Issuer:
    """What the provider answers, to be changed before a browser comes back.

    Attributes:
        claims: Put over those of the ID token; None removes one.
        userinfo: Put over those of userinfo; None removes one.
        metadata: Put over the configuration; None removes one.
        header: Put over the ID token's header; None removes one.
        tokens: Put over the token endpoint's answer; None removes one.
        answer: Put over the parameters of the redirect; None removes one.
        key: What signs ID tokens.
        published: The JWK Set.
        raw: Path → (status, headers, body) instead of any answer of that path.
        delay_s: Path → seconds between the bytes of its answer.
    """

    url: str = ""
    claims: Json = field(default_factory=dict)
    userinfo: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    header: Json = field(default_factory=dict)
    tokens: Json = field(default_factory=dict)
    answer: Json = field(default_factory=dict)
    key: Any = field(default_factory=lambda: rsa_key("one"))
    published: list[Json] = field(default_factory=lambda: [rsa_key("one").as_dict(private=False)])
    raw: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    delay_s: dict[str, float] = field(default_factory=dict)
    sign: Callable[[Json, Json], str] | None = None
    now: Callable[[], float] = time.time
    asked: Json = field(default_factory=dict)
    forms: list[Json] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def redirect(self, location: str) -> str:
        """Take a browser that was sent here; return the path and query that it is sent back with."""
        parts = urlsplit(location)
        self.asked = dict(parse_qsl(parts.query))
        answer = changed({"code": "code-1", "state": self.asked["state"]}, self.answer)
        pairs = [
            (name, item) for name, value in answer.items() for item in (value if isinstance(value, list) else [value])
        ]
        return f"{urlsplit(self.asked['redirect_uri']).path}?{urlencode(pairs)}"

    def respond(self, path: str, form: Json) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        self.requests.append(path)
        if path in self.raw:
            return self.raw[path]
        found: Json
        if path == "/.well-known/openid-configuration":
            names = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
            found = {f"{name}_endpoint": f"{self.url}/{part}" for name, part in names.items()}
            found |= {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
            found = changed(found, self.metadata)
        elif path == "/jwks":
            found = {"keys": self.published}
        elif path == "/token":
            self.forms.append(form)
            found = changed(self._tokens(), self.tokens)
        elif path == "/userinfo":
            base = {"sub": "person-1", "email": "bea@example.org", "email_verified": True, "given_name": "Béatrice"}
            found = changed(base | PERSON, self.userinfo)
        else:
            return 404, {}, b""
        status = 400 if "error" in found else 200
        return status, {"Content-Type": "application/json"}, json.dumps(found).encode()

    def _tokens(self) -> Json:
        now = int(self.now())
        vectors = json.loads(self.asked.get("vtr", '[""]'))
        claims: Json = {
            "iss": self.url,
            "sub": "person-1",
            "aud": "client-1",
            "exp": now + 3600,
            "iat": now,
            "auth_time": now,
            "nonce": self.asked.get("nonce"),
            "vot": vectors[0],
            "vtm": f"{self.url}/trustmark/localhost",
        }
        claims = changed(claims | PERSON, self.claims)
        header = changed({"alg": "RS512", "typ": "JWT", "kid": "one"}, self.header)
        signed = self.sign(header, claims) if self.sign else self.signed(header, claims)
        return {"access_token": "access-1", "token_type": "Bearer", "expires_in": 300, "id_token": signed}

    def signed(self, header: Json, claims: Json) -> str:
        """Sign as the header says."""
        return jwt.encode(header, claims, self.key, algorithms=[header["alg"]])


def changed(base: Json, over: Json) -> Json:
    """Return a mapping with another put over it; None removes."""
    return {name: value for name, value in (base | over).items() if value is not None}


def unsigned(header: Json, claims: Json) -> str:
    """Return a token without a signature."""
    return ".".join([part(header | {"alg": "none"}), part(claims), ""])


def signed_with_public_key(header: Json, claims: Json) -> str:
    """Return a token whose MAC key is the provider's public key (algorithm confusion)."""
    pem = rsa_key("one").as_pem(private=False)
    signing_input = f"{part(header | {'alg': 'HS256'})}.{part(claims)}"
    mac = hmac.new(pem, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def tampered(header: Json, claims: Json) -> str:
    """Return a token whose claims were changed after it was signed."""
    head, _, signature = jwt.encode(header, claims, rsa_key("one"), algorithms=["RS512"]).split(".")
    return ".".join([head, part(claims | {"sub": "person-1", "admin": True}), signature])


def part(value: Json) -> str:
    """Return one part of a compact JWS."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def with_mac(header: Json, claims: Json) -> str:
    """Return a token with a MAC by the client id, which everybody knows."""
    key = OctKey.import_key("client-1" * 8)
    return jwt.encode(header | {"alg": "HS512"}, claims, key, algorithms=["HS512"])


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        found = parse_qs(self.rfile.read(length).decode(), keep_blank_values=True)
        self._answer({name: values[0] if len(values) == 1 else values for name, values in found.items()})

    def _answer(self, form: Json) -> None:
        path = urlsplit(self.path).path
        status, headers, body = self.issuer.respond(path, form)
        delay_s = self.issuer.delay_s.get(path, 0.0)
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for start in range(0, len(body), 1 if delay_s else len(body) or 1):
                time.sleep(delay_s)
                self.wfile.write(body[start : start + (1 if delay_s else len(body))])
                self.wfile.flush()
        except OSError:
            return

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Serve a provider on a free port of this machine."""
    issuer = Issuer()
    handler = type("Handler", (_Handler,), {"issuer": issuer})
    listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listener.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{listener.server_port}"
    with answering(listener):
        yield issuer
