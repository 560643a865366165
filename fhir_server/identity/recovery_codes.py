"""Recovery codes: ten on paper, each good for one sign-in where phone or key is lost."""

from __future__ import annotations

import secrets
from datetime import datetime

from fhir_server.identity.codes import ALPHABET, plain_code
from fhir_server.identity.vault import Vault
from fhir_server.store import authenticators
from fhir_server.store.database import Session

COUNT = 10
_GROUPS, _GROUP_CHARACTERS = 3, 4
"""Twelve characters of 32 are 60 bits."""


def renew(session: Session, vault: Vault, account_id: str, now: datetime) -> tuple[str, ...]:
    """Return new codes in place of all earlier ones; they can be shown this once only."""
    made = tuple(
        "-".join("".join(secrets.choice(ALPHABET) for _ in range(_GROUP_CHARACTERS)) for _ in range(_GROUPS))
        for _ in range(COUNT)
    )
    hashes = [vault.hashed(plain_code(code), account_id) for code in made]
    authenticators.replace_recovery_codes(session, account_id, hashes, now)
    return made


def use(session: Session, vault: Vault, account_id: str, typed: str, now: datetime) -> bool:
    """Use a code up, however it is spaced and cased; False where it is none, or used."""
    return authenticators.use_recovery_code(session, account_id, vault.hashed(plain_code(typed), account_id), now)


def left(session: Session, account_id: str) -> int:
    """Return how many codes are left."""
    return authenticators.recovery_code_count(session, account_id)
