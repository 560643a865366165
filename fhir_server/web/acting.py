"""Who changes something about an account in this request: the change and its AuditEvent in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from flask import abort

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.identity import carers, second_proof
from fhir_server.identity.second_proof import Purpose
from fhir_server.interactions.audit_strangers import record_act
from fhir_server.interactions.model import Context
from fhir_server.interactions.perform import record_administration
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.web.extension import context, current
from fhir_server.web.session import SignedIn, signed_in


@dataclass(frozen=True, slots=True)
class Actor:
    """The person of this request."""

    person: SignedIn
    context: Context

    @property
    def account(self) -> Account:
        """Return the account as it was when the request began."""
        return self.person.account

    @property
    def now(self) -> datetime:
        """Return the instant of the clock, aware UTC."""
        return self.context.now()

    @contextmanager
    def act(self, action: str, description: str = "") -> Iterator[Session]:
        """Run one transaction that makes a change and its AuditEvent: neither is there without the other.

        Args:
            action: What is done, such as `change-password`.
            description: To what: ids and kinds, no secret; the person's own account where it is left out.
        """
        with self.context.store.write() as session:
            yield session
            self.record(session, action, description)

    def record(self, session: Session, action: str, description: str = "", *, status: int = 200) -> None:
        """Write the AuditEvent of a change, or with a `status` from 400 on of a refusal, in the same transaction."""
        record_administration(
            self.context,
            session,
            self.person.principal,
            action=action,
            description=description or f"account {self.account.id}",
            status=status,
        )


def parts(person: SignedIn, context: Context) -> tuple[Principal, ...]:
    """Return whoever is signed in as each caller that their account stands for: themselves, then as carer of each.

    INVARIANT: each part is a caller of its own, so that what several may see is never seen by one. Whom a professional
    chose to work for, they work for with apps as well.
    """
    now = context.now()
    with context.store.read() as session:
        found = carers.identities(session, person.account.id) or (person.account,)
        return tuple(
            person.principal
            if each.reference == person.principal.subject
            else tokens.for_account(session, each, person.auth_time, person.session_id, now)
            for each in found
        )


def note(session: Session, action: str, description: str, *, reason: str = "") -> None:
    """Write the AuditEvent of an act of whoever is signed in, or of somebody who is not, in its transaction.

    Args:
        session: The transaction.
        action: What was done, or was not.
        description: To what: ids and kinds, no secret.
        reason: Why it was refused, a fixed sentence of ours; "" where it was done.
    """
    if signed_in() is None:
        record_act(context(), session, action, description, reason=reason)
    else:
        actor().record(session, action, description, status=403 if reason else 200)


def send_code(token: str, purpose: Purpose) -> None:
    """Send a code by text message for a proof under way, with its AuditEvent; the caller answers the same in any case.

    Args:
        token: What names the proof.
        purpose: What the proof is for.
    """
    here = context()

    def noted(session: Session, account: Account) -> None:
        note(session, "send-proof-code", f"account {account.id} {purpose}")

    second_proof.send_text(
        here.store, current().vault, token, purpose, address=here.address, now=here.now(), noted=noted
    )


def actor() -> Actor:
    """Return who is signed in; aborts with 401 where nobody is."""
    person = signed_in()
    if person is None:
        abort(401)
    return Actor(person, context())
