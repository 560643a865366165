"""What somebody chose for an app before, shown when it asks again.

INVARIANT: nobody is spared the question by it, and what was not allowed before is never ticked for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from authlib.oauth2.rfc6749 import OAuth2Request

from fhir_server import web
from fhir_server.language import spoken_day
from fhir_server.smart.narrowing import USER_LEVELS, Enforceable, narrow
from fhir_server.smart.rfc6749_authorization_code import Yes
from fhir_server.smart.wording import Item, scopes_of
from fhir_server.store import oauth_choices
from fhir_server.store.database import Session
from fhir_server.store.oauth_choices import Choice
from fhir_server.web.language import code


@dataclass(frozen=True, slots=True)
class Remembered:
    """How the boxes of the page begin.

    Attributes:
        ticked: Form values of those that are ticked: all, where the app never asked before.
        new: Form values of what the app did not ask for before.
        decided_at: When the person last chose, aware UTC; None where they never did.
    """

    ticked: frozenset[str]
    new: frozenset[str] = frozenset()
    decided_at: datetime | None = None

    @property
    def day(self) -> str:
        """Return when the person last chose as it is read, "" where they never did."""
        return spoken_day(self.decided_at.date(), code()) if self.decided_at else ""


def of(request: OAuth2Request, account_id: str, items: tuple[Item, ...]) -> Remembered:
    """Return how the boxes begin for what the app asks now; with `prompt=consent` as if it never asked before."""
    asks_afresh = "consent" in request.payload.data.get("prompt", "").split()
    with web.context().store.read() as session:
        last = None if asks_afresh else oauth_choices.last(session, account_id, request.client.get_client_id())
    if last is None:
        return Remembered(frozenset(item.value for item in items))
    enforceable = request.client.enforceable
    ticked, known = (
        frozenset(item.value for item in items if _covers(scope, scopes_of(item, request.scope), enforceable))
        for scope in (last.granted, last.asked)
    )
    return Remembered(ticked, frozenset(item.value for item in items) - known - ticked, last.decided_at)


def keep(session: Session, request: OAuth2Request, yes: Yes, now: datetime) -> None:
    """Remember what the person chose, in place of what they chose before."""
    client_id = request.client.get_client_id()
    oauth_choices.remember(session, yes.account_id, client_id, Choice(request.scope, yes.scope, now))


def _covers(before: str, scopes: tuple[str, ...], enforceable: Enforceable) -> bool:
    """Return whether scopes are no wider than those of before."""
    return all(narrow(scope, before, levels=USER_LEVELS, enforceable=enforceable) == scope for scope in scopes)
