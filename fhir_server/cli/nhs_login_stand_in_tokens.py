"""The stand-in's rules: who the client is, one code for one exchange, tokens with the documented claims and times.

INVARIANT: strict where NHS login is documented to be: what it lets through, our client was never tested on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from fhir_server.cli.stand_in_client import Client, RefusedError, check_client, s256
from fhir_server.cli.stand_in_keys import signing_key
from seed_data.nhs_login import NhsLoginPerson

ALGORITHM = "RS512"
CODE_S, ACCESS_TOKEN_S, ID_TOKEN_S = 60, 300, 3_600
DEFAULT_VTR = ("P9.Cp.Cd", "P9.Cp.Ck", "P9.Cm")
LEVELS = ("P0", "P5", "P9")
SCOPES = ("openid", "profile", "profile_extended", "email", "phone")


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid authorization request."""

    redirect_uri: str
    state: str
    nonce: str
    scopes: tuple[str, ...]
    vtr: tuple[str, ...]
    code_challenge: str


@dataclass(frozen=True, slots=True)
class Granted:
    """What a code stands for."""

    asked: Asked
    person: NhsLoginPerson
    level: str
    issued_at: float


@dataclass(slots=True)
class Issuer:
    """Everything the stand-in remembers, for one process and in memory only."""

    url: str
    client: Client
    people: Sequence[NhsLoginPerson]
    clock: Callable[[], float] = time.time
    key: RSAKey = field(default_factory=lambda: signing_key(ALGORITHM))
    _codes: dict[str, Granted] = field(default_factory=dict)
    _used: dict[str, str] = field(default_factory=dict)
    _jtis: set[str] = field(default_factory=set)
    _tokens: dict[str, tuple[Mapping[str, Any], float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def person(self, key: str) -> NhsLoginPerson:
        """Return who was chosen.

        Raises:
            RefusedError: Nobody of that name.
        """
        for person in self.people:
            if person.key == key:
                return person
        raise RefusedError("invalid_request", "No such person")

    def code(self, asked: Asked, person: NhsLoginPerson, level: str) -> str:
        """Return a code for one exchange within a minute."""
        made = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[made] = Granted(asked, person, level, self.clock())
        return made

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a token request (RFC 6749 §4.1.3).

        Raises:
            RefusedError: With the error code of RFC 6749 §5.2.
        """
        self._check_client(form)
        if form.get("grant_type") != "authorization_code":
            raise RefusedError("unsupported_grant_type", "grant_type must be authorization_code")
        code = form.get("code", "")
        with self._lock:
            found = self._codes.pop(code, None)
            if found is None:
                # A code that comes twice was stolen by one of the two: what the first got is dead as well.
                self._tokens.pop(self._used.pop(code, ""), None)
                raise RefusedError("invalid_grant", "The code is unknown or was used")
        if found.issued_at + CODE_S <= self.clock():
            raise RefusedError("invalid_grant", "The code has expired")
        if form.get("redirect_uri") != found.asked.redirect_uri:
            raise RefusedError("invalid_grant", "redirect_uri is not the one of the authorization request")
        challenge = s256(form.get("code_verifier", ""))
        if not hmac.compare_digest(challenge, found.asked.code_challenge):
            raise RefusedError("invalid_grant", "code_verifier does not match")
        return self._tokens_for(code, found)

    def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """Return the claims of an access token.

        Raises:
            RefusedError: `invalid_token` (401).
        """
        with self._lock:
            found = self._tokens.get(access_token)
        if found is None or found[1] <= self.clock():
            raise RefusedError("invalid_token", "The access token is unknown or has expired", 401)
        return found[0]

    def _check_client(self, form: Mapping[str, str]) -> None:
        with self._lock:
            check_client(form, self.client, f"{self.url}/token", ALGORITHM, now=self.clock(), used=self._jtis)

    def _tokens_for(self, code: str, found: Granted) -> dict[str, Any]:
        now, person, scopes = int(self.clock()), found.person, found.asked.scopes
        vector = next(vector for vector in found.asked.vtr if _level(vector) <= LEVELS.index(found.level))
        subject = str(hashlib.sha256(person.key.encode()).hexdigest()[:32])
        common = {
            "iss": self.url,
            "sub": subject,
            "aud": self.client.client_id,
            "iat": now,
            "auth_time": now,
            "vot": vector,
            "vtm": f"{self.url}/trustmark/localhost",
        }
        profile = {
            "nhs_number": person.nhs_number,
            "birthdate": person.birthdate,
            "family_name": person.family_name,
            "identity_proofing_level": found.level,
        }
        shared = profile if "profile" in scopes else {}
        access = {"exp": now + ACCESS_TOKEN_S, "jti": secrets.token_hex(16), "scope": " ".join(scopes)}
        access_token = self._signed(common | access)
        id_token = self._signed(
            common | shared | {"exp": now + ID_TOKEN_S, "jti": secrets.token_hex(16), "nonce": found.asked.nonce}
        )
        more: dict[str, dict[str, Any]] = {
            "profile_extended": {"given_name": person.given_name},
            "email": {"email": person.email, "email_verified": True},
            "phone": {"phone_number": person.phone_number, "phone_number_verified": True},
        }
        claims: dict[str, Any] = {"iss": self.url, "aud": self.client.client_id, "sub": subject} | shared
        for scope in scopes:
            claims |= more.get(scope, {})
        self._remember(code, access_token, claims)
        return {
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": ACCESS_TOKEN_S,
            "scope": " ".join(scopes),
            "id_token": id_token,
        }

    def _remember(self, code: str, access_token: str, claims: Mapping[str, Any]) -> None:
        with self._lock:
            self._tokens[access_token] = (claims, self.clock() + ACCESS_TOKEN_S)
            self._used[code] = access_token

    def _signed(self, claims: Mapping[str, Any]) -> str:
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self.key.kid}
        return jwt.encode(header, dict(claims), self.key, algorithms=[ALGORITHM])


def is_enough(vtr: Sequence[str], level: str) -> bool:
    """Return whether a level meets one of the vectors."""
    return any(_level(vector) <= LEVELS.index(level) for vector in vtr)


def vectors(text: str) -> tuple[str, ...]:
    """Read `vtr`.

    Raises:
        RefusedError: It is not a JSON array of vectors that NHS login supports.
    """
    try:
        found = json.loads(text) if text else list(DEFAULT_VTR)
    except ValueError as error:
        raise RefusedError("invalid_request", "vtr must be a JSON array") from error
    if not isinstance(found, list) or not found:
        raise RefusedError("invalid_request", "vtr must be a JSON array")
    known = {f"{level}.{rest}" for level in LEVELS for rest in ("Cp.Cd", "Cp.Ck", "Cm")} | {"P0.Cp"}
    if not all(isinstance(vector, str) and vector in known for vector in found):
        raise RefusedError("invalid_request", "vtr holds a vector that is not supported")
    return tuple(found)


def _level(vector: str) -> int:
    return LEVELS.index(vector.partition(".")[0])
