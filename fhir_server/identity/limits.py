"""How often something may be tried, counted in the database so that the limits hold across workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.identity import reading
from fhir_server.store import devices, pending_proofs, rate_limits
from fhir_server.store.database import Session


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` tries of one kind per window."""

    name: str
    count: int
    window: timedelta


_QUARTER = timedelta(minutes=15)
_HOUR = timedelta(hours=1)

SIGN_IN_HERE = Limit("sign-in-here", 10, _QUARTER)
"""Per account and address: somebody guessing one password."""
SIGN_IN_ACCOUNT = Limit("sign-in-account", 40, _QUARTER)
"""Per account: guessing from many addresses."""
SIGN_IN_ADDRESS = Limit("sign-in-address", 200, _QUARTER)
"""Per address: trying many accounts; a hospital shares one address."""
REGISTER_ADDRESS = Limit("register-address", 60, _QUARTER)
MISMATCH = Limit("mismatch", 5, timedelta(days=1))
"""Per NHS number: details that are not the record's, typed by coordinators."""
LINK_CODE_ADDRESS = Limit("link-code-address", 20, _QUARTER)
CONTACT_ADDRESS = Limit("contact-address", 5, _HOUR)
"""Per address: messages and requests to the service desk."""
CONTACT_ALL = Limit("contact-all", 200, _HOUR)
"""Everybody together: what a service desk could ever read."""
CONTACT_EMAIL = Limit("contact-email", 3, timedelta(days=1))
"""Per e-mail address: answers to it, so that nobody floods somebody else's mailbox."""
RENEW_LINK = Limit("renew-link", 3, _HOUR)
RENEW_ADDRESS = Limit("renew-address", 20, _HOUR)
RECOVER_ACCOUNT = Limit("recover-account", 3, _HOUR)
RECOVER_ADDRESS = Limit("recover-address", 20, _HOUR)
SECOND_PROOF = Limit("second-proof", 20, _HOUR)
"""Per account: wrong second proofs, however many sign-ins they are spread over."""
TEXT_CODE = Limit("text-code", 6, _HOUR)
"""Per number: codes by text message."""
TEXT_CODE_ADDRESS = Limit("text-code-address", 60, _HOUR)
PASSKEY_ADDRESS = Limit("passkey-address", 200, _QUARTER)
CHANGE_EMAIL = Limit("change-email", 5, _HOUR)
CURRENT_PASSWORD = Limit("current-password", 10, _QUARTER)
RESET_REQUEST = Limit("reset-request", 30, _HOUR)
"""Per member of the service desk."""
RESET_ADDRESS = Limit("reset-address", 60, _QUARTER)
APP_ADDRESS = Limit("app-address", 10, _HOUR)
"""Per address: apps registered without an account (RFC 7591)."""
APP_OWNER = Limit("app-owner", 30, _HOUR)
"""Per developer: apps registered and key tests."""
EMERGENCY_SEARCH = Limit("emergency-search", 10, _HOUR)
"""Per professional: numbers and dates of birth that match nobody."""


def allow(session: Session, now: datetime, *tries: tuple[Limit, str]) -> bool:
    """Count a try against every limit; False when one of them is used up."""
    counts = [(limit, rate_limits.hit(session, f"{limit.name}:{key}", limit.window, now)) for limit, key in tries]
    return all(count <= limit.count for limit, count in counts)


def give_back(session: Session, *tries: tuple[Limit, str]) -> None:
    """Take a try back that succeeded."""
    for limit, key in tries:
        rate_limits.refund(session, f"{limit.name}:{key}")


def forget(session: Session, *tries: tuple[Limit, str]) -> None:
    """Take every try of these back, as the service desk does for somebody it has spoken to."""
    for limit, key in tries:
        rate_limits.forget(session, f"{limit.name}:{key}")


def prune(session: Session, now: datetime) -> int:
    """Forget counters of windows, proofs and devices long over, and marks of readers long gone; return how many."""
    yesterday = now - timedelta(days=1)
    over = pending_proofs.prune(session, yesterday) + devices.prune(session, yesterday)
    return over + rate_limits.prune(session, yesterday) + reading.prune(session, now)
