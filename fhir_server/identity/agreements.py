"""User agreement and privacy policy: which versions are in force, what somebody accepted, when they are asked again.

INVARIANT: a person who has not accepted what is in force opens nothing; their account stays, whatever they answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session


@dataclass(frozen=True, slots=True)
class Terms:
    """Versions of both texts, such as `2026-11`."""

    agreement: str = "2026-11"
    privacy: str = "2026-11"


SHIPPED: Final = Terms()
"""The versions of the texts that come with the server."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What somebody said who opens an account: the terms they accepted, and the language they read them in."""

    terms: Terms = SHIPPED
    language: str = ""


def is_current(account: Account, terms: Terms) -> bool:
    """Return whether somebody accepted the very versions that are in force."""
    return (account.agreement_version, account.privacy_version) == (terms.agreement, terms.privacy)


def accept(session: Session, account: Account, terms: Terms, now: datetime) -> None:
    """Keep which versions somebody accepted and when; what they accepted before is in the audit log."""
    accounts.accept(session, account.id, terms.agreement, terms.privacy, now)
