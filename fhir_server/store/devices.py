"""Remembered devices as rows: the SHA-256 of a random token in a browser, bound to one account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from fhir_server.store.account_tables import remembered_device
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us


@dataclass(frozen=True, slots=True)
class Device:
    """A browser that its person said to remember.

    Attributes:
        name: Kind of browser and system, such as `Firefox on Windows`.
        expires_at: From here on it counts no more.
    """

    id: str
    account_id: str
    name: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


def add(session: Session, new: Device, token_hash: str) -> None:
    """Store a device."""
    session.connection.execute(
        insert(remembered_device),
        {
            "id": new.id,
            "account_id": new.account_id,
            "token_hash": token_hash,
            "name": new.name,
            "created_at": to_us(new.created_at),
            "last_used_at": to_us(new.last_used_at),
            "expires_at": to_us(new.expires_at),
        },
    )


def use(session: Session, account_id: str, token_hashes: Sequence[str], now: datetime) -> bool:
    """Return whether one of these tokens is that of a device of the account, and note its use."""
    row = remembered_device.c
    statement = update(remembered_device).where(
        row.account_id == account_id, row.token_hash.in_(token_hashes), row.expires_at > to_us(now)
    )
    return session.connection.execute(statement.values(last_used_at=to_us(now))).rowcount > 0


def of_account(session: Session, account_id: str, now: datetime) -> tuple[Device, ...]:
    """Return the devices of an account that still count, the one used last first."""
    row = remembered_device.c
    statement = select(remembered_device).where(row.account_id == account_id, row.expires_at > to_us(now))
    return tuple(
        Device(
            id=found.id,
            account_id=found.account_id,
            name=found.name,
            created_at=from_us(found.created_at),
            last_used_at=from_us(found.last_used_at),
            expires_at=from_us(found.expires_at),
        )
        for found in session.connection.execute(statement.order_by(row.last_used_at.desc(), row.id))
    )


def remove(session: Session, account_id: str, device_id: str = "") -> int:
    """Forget one device of an account, or all of them; return how many."""
    statement = delete(remembered_device).where(remembered_device.c.account_id == account_id)
    if device_id:
        statement = statement.where(remembered_device.c.id == device_id)
    return session.connection.execute(statement).rowcount


def prune(session: Session, before: datetime) -> int:
    """Forget devices that stopped counting before an instant; return how many."""
    statement = delete(remembered_device).where(remembered_device.c.expires_at < to_us(before))
    return session.connection.execute(statement).rowcount
