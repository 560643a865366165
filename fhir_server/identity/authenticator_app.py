"""An authenticator app as second proof: TOTP (RFC 6238), six digits every 30 seconds, each code taken once."""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime

import pyotp

from fhir_server.identity import codes
from fhir_server.identity.vault import Vault
from fhir_server.store import authenticators
from fhir_server.store.accounts import Account
from fhir_server.store.authenticators import Authenticator
from fhir_server.store.database import Session

STEP_S = 30
_STEPS = (-1, 0, 1)
"""RFC 6238 §5.2: clocks differ, and people type slowly; one step either way."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """What an app has to be told.

    Attributes:
        secret: The shared secret, base32, in groups of four for people who type it.
        uri: The same as `otpauth:` URI, for a QR code.
    """

    secret: str
    uri: str


def begin(session: Session, vault: Vault, account: Account, *, issuer: str, now: datetime) -> SetUp:
    """Return the secret of an app that is being set up: the same until it is confirmed or given up."""
    known = authenticators.of_account(session, account.id, confirmed=False)
    secret = vault.opened(known.sealed_secret, account.id) if known else ""
    if not secret:
        secret = pyotp.random_base32()
        sealed = vault.seal(secret, account.id)
        authenticators.begin(session, Authenticator(str(uuid.uuid4()), account.id, sealed, now, None, 0))
    uri = pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=account.email, issuer_name=issuer)
    return SetUp(" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)), uri)


def confirm(session: Session, vault: Vault, account_id: str, typed: str, now: datetime) -> bool:
    """Use the app that is being set up from now on, if it shows the right code."""
    pending = authenticators.of_account(session, account_id, confirmed=False)
    if pending is None or not _take(session, vault, pending, typed, now):
        return False
    authenticators.confirm(session, pending, now)
    return True


def verify(session: Session, vault: Vault, account_id: str, typed: str, now: datetime) -> bool:
    """Return whether a code is right, and take it: it and all earlier ones are worth nothing afterwards."""
    known = authenticators.of_account(session, account_id, confirmed=True)
    return known is not None and _take(session, vault, known, typed, now)


def _take(session: Session, vault: Vault, known: Authenticator, typed: str, now: datetime) -> bool:
    code = codes.plain_digits(typed).encode("utf-8", "surrogatepass")
    secret = vault.opened(known.sealed_secret, known.account_id)
    if not secret:
        return False
    totp, present = pyotp.TOTP(secret, interval=STEP_S), int(now.timestamp()) // STEP_S
    shown = {present + offset: totp.generate_otp(present + offset) for offset in _STEPS}
    right = [step for step, each in shown.items() if hmac.compare_digest(each.encode(), code)]
    # INVARIANT: the step is taken by one statement that refuses it a second time, however many requests come at once.
    return bool(right) and authenticators.advance(session, known.id, right[0])


def remove(session: Session, account_id: str) -> bool:
    """Use no app any more; False where there was none."""
    return authenticators.remove(session, account_id)
