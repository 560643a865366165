"""Who asked lately: a program that asks again is not looked up again while nothing has changed that says who it is.

INVARIANT: who is taken from here is a guess until the epoch that it was looked up in (`Principal.as_of`) is found to be
that of the snapshot in which its request is answered: `confirm`, before anything is disclosed. So a token that is
revoked, a role that ends or an account that is closed counts in the next request, as if each had looked; what the clock
alone ends counts after a second at most.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.store.database import Session, Store

_KNOWN_FOR: Final = timedelta(seconds=1)


class Outdated(Exception):  # noqa: N818 - no error of the caller's: the request starts anew
    """What says who a caller is has changed since it was looked up."""


class Callers:
    """The callers of one process that asked in the last second."""

    def __init__(self, store: Store, most: int = 10_000) -> None:
        """Know nobody, and never more than so many."""
        self._store = store
        self._most = most
        self._known: dict[bytes, tuple[Principal, datetime]] = {}

    def of(self, token: str, now: datetime) -> Principal:
        """Return who a bearer token stands for, as of some epoch; `forget` it where that has passed.

        Raises:
            FhirError: UNAUTHENTICATED, as `tokens.resolve`.
        """
        name = tokens.hash_of(token)
        found = self._known.get(name)
        if found is not None and found[1] > now:
            return found[0]
        with self._store.read() as session:
            as_of = session.epoch()
            principal, expires_at = tokens.resolved(session, token, now)
        known = replace(principal, as_of=as_of)
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[name] = known, min(now + _KNOWN_FOR, expires_at)
        return known

    def forget(self, token: str) -> None:
        """Look this one up when it asks again."""
        self._known.pop(tokens.hash_of(token), None)


def confirm(session: Session, principal: Principal) -> None:
    """Make sure that a caller who was remembered is still who it was, in the snapshot of this session.

    Raises:
        Outdated: It may not be.
    """
    if principal.as_of is not None and principal.as_of != session.epoch():
        raise Outdated
