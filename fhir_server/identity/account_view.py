"""How an account is protected at present, in one value: what its person sees on the account page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.identity import recovery_codes
from fhir_server.store import authenticators, devices, passkeys, sessions
from fhir_server.store.accounts import Account
from fhir_server.store.database import Store
from fhir_server.store.devices import Device
from fhir_server.store.passkeys import Passkey
from fhir_server.store.sessions import PortalSession

__all__ = ["Device", "Passkey", "PortalSession", "Protection", "protection"]


@dataclass(frozen=True, slots=True)
class Protection:
    """What an account is signed in with, and where it is.

    Attributes:
        app_since: When the authenticator app was set up, None without one.
        recovery_code_count: Codes left.
        passkeys: Oldest first.
        devices: Remembered ones, the one used last first.
        sessions: Those that have not ended, the one used last first.
    """

    app_since: datetime | None
    recovery_code_count: int
    passkeys: tuple[Passkey, ...]
    devices: tuple[Device, ...]
    sessions: tuple[PortalSession, ...]


def protection(
    store: Store, account: Account, now: datetime, *, session_idle: timedelta, session_max: timedelta
) -> Protection:
    """Return how an account is protected now."""
    with store.read() as session:
        app = authenticators.of_account(session, account.id, confirmed=True)
        return Protection(
            app.confirmed_at if app else None,
            recovery_codes.left(session, account.id),
            passkeys.of_account(session, account.id),
            devices.of_account(session, account.id, now),
            sessions.of_account(session, account.id, seen_after=now - session_idle, started_after=now - session_max),
        )
