"""Codes beside a link: how often one may be wrong, and what then. The one place for every kind of invitation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeVar

from fhir_server.store.database import Session
from fhir_server.store.keys import hash64

WRONG_TRIES = 5
LOCKED_FOR = timedelta(minutes=15)


class Verdict(Enum):
    """How a try ended; UNUSABLE covers every kind of dead link."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"
    """Locked before this try: whatever was typed was not looked at."""
    LOCKED_NOW = "locked-now"
    """This was the last wrong try of the row."""
    UNUSABLE = "unusable"


class Guarded(Protocol):
    """Something that a code opens."""

    @property
    def id(self) -> str:
        """Return its id."""
        ...

    @property
    def locked_until(self) -> datetime | None:
        """Return until when no try counts."""
        ...


_G = TypeVar("_G", bound=Guarded)


class Rows(Protocol):
    """Where wrong tries are counted: a module of `store`."""

    def count_failure(self, session: Session, invitation_id: str, /) -> int:
        """Count a wrong try; return how many there are since the last lock."""
        ...

    def lock(self, session: Session, invitation_id: str, until: datetime, /) -> None:
        """Let no try count until an instant."""
        ...


def judged(
    session: Session, rows: Rows, find: Callable[[], _G | None], is_right: Callable[[_G], bool], now: datetime
) -> tuple[Verdict, _G | None]:
    """Judge one try and count it where it was wrong.

    Args:
        session: A write transaction.
        rows: Where tries of this kind are counted.
        find: Returns what the link leads to, None where it is dead; asked again once the row is locked.
        is_right: Whether what was typed opens it.
        now: Aware UTC.
    """
    found = find()
    if found is None:
        return Verdict.UNUSABLE, None
    # INVARIANT: counted under the row's own lock: guesses sent side by side are counted one by one, and a right one
    # that comes after the fifth wrong one is refused like the rest.
    session.lock(hash64(f"tries:{found.id}"))
    found = find()
    if found is None:
        return Verdict.UNUSABLE, None
    if found.locked_until is not None and found.locked_until > now:
        return Verdict.LOCKED, found
    if is_right(found):
        return Verdict.RIGHT, found
    if rows.count_failure(session, found.id) < WRONG_TRIES:
        return Verdict.WRONG, found
    rows.lock(session, found.id, now + LOCKED_FOR)
    return Verdict.LOCKED_NOW, found
