"""Instants as the store keeps them: integer microseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Return an aware instant as microseconds since the epoch."""
    return (instant - _EPOCH) // _MICROSECOND


def from_us(value: int) -> datetime:
    """Return microseconds since the epoch as an aware UTC instant."""
    return _EPOCH + value * _MICROSECOND


def maybe_from_us(value: int | None) -> datetime | None:
    """Return microseconds as an aware UTC instant, None as None."""
    return None if value is None else from_us(value)
