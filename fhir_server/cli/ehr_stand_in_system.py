"""The stand-in for a hospital's record system: who is signed in there, one launch, tokens, and three resources.

INVARIANT: strict where SMART App Launch 2.2 is: what it lets through, our client was never tested on.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from fhir_server.cli.stand_in_client import Client, RefusedError, check_client, s256
from fhir_server.cli.stand_in_keys import signing_key

ASSERTION_ALGORITHM = "RS384"
SIGNED_WITH = "RS256"
_CODE_S, _TOKEN_S = 60, 300
_SCOPES = {"launch", "openid", "fhirUser", "patient/Patient.r"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid authorization request; `user` and `patient` are logical ids, "" for no patient."""

    redirect_uri: str
    nonce: str
    challenge: str
    user: str
    patient: str
    issued_at: float


@dataclass(slots=True)
class Hospital:
    """Everything that the stand-in remembers, in memory only.

    Attributes:
        url: Its root; FHIR is below `/fhir`.
        staff: Practitioner and PractitionerRole resources by `Type/id`; changed when somebody leaves.
        patients: Patient resources by id.
    """

    url: str
    client: Client
    staff: dict[str, dict[str, Any]]
    patients: dict[str, dict[str, Any]]
    clock: Callable[[], float] = time.time
    key: RSAKey = field(default_factory=lambda: signing_key(SIGNED_WITH))
    signed_in: str = ""
    _launches: dict[str, tuple[str, str]] = field(default_factory=dict)
    _codes: dict[str, Asked] = field(default_factory=dict)
    _tokens: dict[str, Asked] = field(default_factory=dict)
    _jtis: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def fhir_base(self) -> str:
        """Return the FHIR base URL: the `iss` of a launch."""
        return f"{self.url}/fhir"

    def launch(self, role: str, patient: str) -> str:
        """Sign a member of staff in, with a patient open; return the launch token."""
        made = secrets.token_urlsafe(16)
        self.signed_in = role
        self._launches[made] = (role, patient)
        return made

    def authorize(self, sent: Mapping[str, str]) -> str:
        """Return a code for a request whose user is signed in already.

        Raises:
            RefusedError: With the error of RFC 6749 §4.1.2.1.
        """
        scopes = set(sent.get("scope", "").split())
        if sent.get("response_type") != "code" or not {"openid", "fhirUser"} <= scopes <= _SCOPES:
            raise RefusedError("invalid_scope", "code, with openid and fhirUser and what is supported here")
        if sent.get("aud") != self.fhir_base:
            raise RefusedError("invalid_request", "aud must be the FHIR base URL")
        if sent.get("code_challenge_method") != "S256" or not sent.get("code_challenge") or not sent.get("state"):
            raise RefusedError("invalid_request", "state and code_challenge with S256 are needed")
        role, patient = self.signed_in, ""
        if "launch" in scopes:
            # A launch is for one app to redeem once.
            role, patient = self._launches.pop(sent.get("launch", ""), ("", ""))
        if not role:
            raise RefusedError("access_denied", "The launch is unknown or used, or nobody is signed in")
        made = secrets.token_urlsafe(24)
        asked = Asked(sent["redirect_uri"], sent.get("nonce", ""), sent["code_challenge"], role, patient, self.clock())
        with self._lock:
            self._codes[made] = asked
        return made

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a token request.

        Raises:
            RefusedError: With the error of RFC 6749 §5.2.
        """
        now = self.clock()
        with self._lock:
            check_client(form, self.client, f"{self.url}/token", ASSERTION_ALGORITHM, now=now, used=self._jtis)
            found = self._codes.pop(form.get("code", ""), None)
        is_right = (
            found is not None
            and form.get("grant_type") == "authorization_code"
            and found.issued_at + _CODE_S > now
            and form.get("redirect_uri") == found.redirect_uri
            and hmac.compare_digest(s256(form.get("code_verifier", "")), found.challenge)
        )
        if found is None or not is_right:
            raise RefusedError("invalid_grant", "The code is unknown, used or too old, or is another request's")
        access_token = secrets.token_urlsafe(24)
        self._tokens[access_token] = found
        claims = {
            "iss": self.url,
            "sub": f"user-{found.user.rpartition('/')[2]}",
            "aud": self.client.client_id,
            "iat": int(now),
            "exp": int(now) + _TOKEN_S,
            "auth_time": int(now),
            "nonce": found.nonce,
            "fhirUser": f"{self.fhir_base}/{found.user}",
        }
        header = {"alg": SIGNED_WITH, "typ": "JWT", "kid": self.key.kid}
        answer = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": _TOKEN_S,
            "scope": "launch openid fhirUser patient/Patient.r",
            "id_token": jwt.encode(header, claims, self.key, algorithms=[SIGNED_WITH]),
        }
        return answer | ({"patient": found.patient} if found.patient else {})

    def read(self, access_token: str, resource_type: str, logical_id: str) -> dict[str, Any]:
        """Return a resource that a token opens: its user's own, and the patient of the launch.

        Raises:
            RefusedError: 401 without a token, 404 for anything else.
        """
        asked = self._tokens.get(access_token)
        if asked is None or asked.issued_at + _TOKEN_S < self.clock():
            raise RefusedError("invalid_token", "The access token is unknown or has expired", 401)
        if resource_type == "Patient" and logical_id == asked.patient:
            return self.patients[logical_id]
        own = self.staff[asked.user]
        wanted = f"{resource_type}/{logical_id}"
        if wanted not in {asked.user, own.get("practitioner", {}).get("reference")}:
            raise RefusedError("not_found", "There is no such resource", 404)
        return self.staff[wanted]
