"""Passkeys (WebAuthn Level 3): register one, and sign in with it alone.

A passkey is two proofs in one, for the device asks for a finger, a face or a PIN before it signs: user verification is
required. The challenge is a row that is used up before the answer is looked at, so that an answer is good once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    bytes_to_base64url,
    parse_authentication_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from fhir_server.identity import codes, limits
from fhir_server.store import accounts, passkeys, pending_proofs
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.passkeys import Passkey
from fhir_server.store.pending_proofs import PendingProof

__all__ = [
    "MOST",
    "Passkey",
    "RelyingParty",
    "Request",
    "add",
    "begin",
    "made_by",
    "of_account",
    "prove",
    "remove",
    "rename",
]

MOST = 20
"""Passkeys of one account."""
_LASTS = timedelta(minutes=10)
_REGISTER, _PROVE = "passkey-register", "passkey-prove"
_LONGEST_NAME = 60
# What the library raises beside its own exceptions when an answer is not what it says: any of them is a refusal.
_REFUSALS = (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks for a passkey: it signs for no other host.

    Attributes:
        id: Host name of the server.
        origin: Scheme, host and port that browsers reach it by.
        name: Shown by the device.
    """

    id: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class Request:
    """What the browser has to do: `options` in JSON for its WebAuthn interface; `token` comes back with the answer."""

    token: str
    options: str


def begin(
    store: Store, party: RelyingParty, *, account: Account | None = None, address: str = "", now: datetime
) -> Request | None:
    """Ask for a new passkey for an account or, without one, for any passkey that its person has for this server.

    None where this address asked too often.
    """
    with store.write() as session:
        if not limits.allow(session, now, (limits.PASSKEY_ADDRESS, address)):
            return None
        token = codes.new_token()
        if account is None:
            asked = generate_authentication_options(
                rp_id=party.id, user_verification=UserVerificationRequirement.REQUIRED
            )
            challenge, options = asked.challenge, options_to_json(asked)
        else:
            wanted = generate_registration_options(
                rp_id=party.id,
                rp_name=party.name,
                user_id=account.id.encode(),
                user_name=account.email,
                user_display_name=account.name,
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
                ),
                exclude_credentials=[
                    PublicKeyCredentialDescriptor(base64url_to_bytes(known.credential_id))
                    for known in passkeys.of_account(session, account.id)
                ],
            )
            challenge, options = wanted.challenge, options_to_json(wanted)
        pending_proofs.add(
            session,
            PendingProof(
                codes.token_hash(token),
                account.id if account else "",
                _REGISTER if account else _PROVE,
                "",
                now,
                now + _LASTS,
                challenge=bytes_to_base64url(challenge),
            ),
        )
    return Request(token, options)


def made_by(
    store: Store, party: RelyingParty, account: Account, token: str, credential: str, *, name: str, now: datetime
) -> Passkey | None:
    """Return the passkey that a device made for an account, to be added; None where the answer does not hold."""
    asked = _asked(store, token, _REGISTER, now)
    if asked is None or asked.account_id != account.id:
        return None
    try:
        made = verify_registration_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(asked.challenge),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except _REFUSALS:
        return None
    return Passkey(
        credential_id=bytes_to_base64url(made.credential_id),
        account_id=account.id,
        public_key=bytes_to_base64url(made.credential_public_key),
        sign_count=made.sign_count,
        name=_plain_name(name),
        created_at=now,
    )


def add(session: Session, new: Passkey) -> bool:
    """Keep a new passkey; False where its account has as many as it may.

    Raises:
        FhirError: CONFLICT (409, from the enclosing transaction) where the credential is known already.
    """
    if len(passkeys.of_account(session, new.account_id)) >= MOST:
        return False
    passkeys.add(session, new)
    return True


def prove(store: Store, party: RelyingParty, token: str, credential: str, now: datetime) -> Account | None:
    """Return whose passkey signed the challenge; None for every reason why the answer does not hold.

    Refused: another challenge, origin or host, a challenge used before, no user verification, a signature counter that
    does not grow (a copied key), an account that is closed.
    """
    asked = _asked(store, token, _PROVE, now)
    if asked is None:
        return None
    try:
        answer = parse_authentication_credential_json(credential)
        with store.read() as session:
            known = passkeys.by_id(session, bytes_to_base64url(answer.raw_id))
        if known is None:
            return None
        handle = answer.response.user_handle
        if handle is not None and handle != known.account_id.encode():
            return None
        found = verify_authentication_response(
            credential=answer,
            expected_challenge=base64url_to_bytes(asked.challenge),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=base64url_to_bytes(known.public_key),
            credential_current_sign_count=known.sign_count,
            require_user_verification=True,
        )
    except _REFUSALS:
        return None
    with store.write() as session:
        account = accounts.by_id(session, known.account_id)
        if account is None or not account.active or not passkeys.used(session, known, found.new_sign_count, now):
            return None
    return account


def of_account(session: Session, account_id: str) -> tuple[Passkey, ...]:
    """Return the passkeys of an account, oldest first."""
    return passkeys.of_account(session, account_id)


def rename(session: Session, account_id: str, credential_id: str, name: str) -> bool:
    """Give a passkey another name; False where it is none of the account's."""
    return passkeys.rename(session, account_id, credential_id, _plain_name(name))


def remove(session: Session, account_id: str, credential_id: str = "") -> int:
    """Forget one passkey of an account, or all of them; return how many."""
    return passkeys.remove(session, account_id, credential_id)


def _asked(store: Store, token: str, purpose: str, now: datetime) -> PendingProof | None:
    hashed = codes.token_hash(token)
    with store.write() as session:
        asked = pending_proofs.live(session, hashed, purpose, now)
        return asked if asked is not None and pending_proofs.use(session, hashed, now) else None


def _plain_name(typed: str) -> str:
    shown = " ".join("".join(c for c in typed if c.isprintable()).split())
    return shown[:_LONGEST_NAME] or "Passkey"
