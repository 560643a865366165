"""Devices that their person said to remember: for 30 days the password is enough on them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from fhir_server.identity import codes
from fhir_server.store import devices
from fhir_server.store.database import Session
from fhir_server.store.devices import Device

__all__ = ["FOR", "Device", "forget", "is_known", "known", "remember"]

FOR = timedelta(days=30)


def remember(session: Session, account_id: str, name: str, now: datetime) -> str:
    """Return the token that a browser keeps; it is worth something together with this account's password only."""
    token = codes.new_token()
    device = Device(str(uuid.uuid4()), account_id, name, now, now, now + FOR)
    devices.add(session, device, codes.token_hash(token))
    return token


def is_known(session: Session, account_id: str, tokens: Sequence[str], now: datetime) -> bool:
    """Return whether a browser that holds these tokens is remembered for an account."""
    return bool(tokens) and devices.use(session, account_id, [codes.token_hash(token) for token in tokens], now)


def known(session: Session, account_id: str, now: datetime) -> tuple[Device, ...]:
    """Return the devices that are remembered for an account, the one used last first."""
    return devices.of_account(session, account_id, now)


def forget(session: Session, account_id: str, device_id: str = "") -> int:
    """Forget one device of an account, or all of them; return how many."""
    return devices.remove(session, account_id, device_id)
