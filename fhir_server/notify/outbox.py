"""Queue a message with its cause, and deliver what is due."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from fhir_server.notify.rendering import Letterhead, render
from fhir_server.notify.templates import Notice
from fhir_server.notify.transports import Delivery, Transport, UndeliverableError
from fhir_server.store import accounts, messages
from fhir_server.store.database import Session, Store

_LOG = logging.getLogger(__name__)
_LEASE = timedelta(minutes=2)
_FIRST_WAIT = timedelta(seconds=2)
_LONGEST_WAIT = timedelta(hours=1)
_ATTEMPTS = 48
_SAMPLE = Letterhead("", "")


def queue(session: Session, notice: Notice, to: str, now: datetime, *, language: str = "", **details: str) -> None:
    """Queue a message in the transaction of its cause: sent if, and only if, that commits.

    Args:
        session: The transaction of the cause.
        notice: Which message.
        to: E-mail address or mobile number.
        now: Aware UTC.
        language: To write it in; where it is left out, the one that the account at this address chose.
        details: A value for each placeholder of the template; control characters are dropped.

    Raises:
        LookupError: When a placeholder has no value, before anything is queued.
    """
    safe = {name: "".join(c for c in value if c.isprintable()) for name, value in details.items()}
    render(notice.kind, safe, _SAMPLE)
    new = messages.QueuedMessage(str(uuid.uuid4()), notice.channel, to, notice.kind, safe, now, 0, language)
    messages.add(session, new)


def deliver_due(
    store: Store, transports: Mapping[str, Transport], letterhead: Letterhead, now: Callable[[], datetime]
) -> int:
    """Deliver every message that is due, each on its own; return how many went out.

    A failed try waits twice as long as the one before, up to an hour; after about two days the message is abandoned.
    """
    with store.read() as session:
        if not messages.any_due(session, now()):
            return 0
    with store.write() as session:
        taken = messages.lease(session, now(), _LEASE)
    return sum(_deliver(store, transports, letterhead, message, now) for message in taken)


def _deliver(
    store: Store,
    transports: Mapping[str, Transport],
    letterhead: Letterhead,
    message: messages.QueuedMessage,
    now: Callable[[], datetime],
) -> bool:
    try:
        rendered = render(message.kind, message.details, letterhead, _language(store, message))
        sent_at = now()
        transports[message.channel].send(
            Delivery(
                message.id,
                message.recipient,
                rendered.subject,
                rendered.body,
                message.kind,
                sent_at,
                is_repeat=message.attempt_count > 1,
            )
        )
    except Exception as error:  # noqa: BLE001 - one message must not hold up the others, whatever is wrong with it
        _failed(store, message, error, now())
        return False
    with store.write() as session:
        messages.sent(session, message.id, now())
    return True


def _language(store: Store, message: messages.QueuedMessage) -> str:
    """Return the language of a message: its cause's word, else the receiver's choice; "" where neither says."""
    if message.language:
        return message.language
    with store.read() as session:
        return accounts.language_at(session, message.recipient)


def _failed(store: Store, message: messages.QueuedMessage, error: Exception, now: datetime) -> None:
    hopeless = isinstance(error, UndeliverableError | LookupError) or message.attempt_count >= _ATTEMPTS
    _LOG.warning("message %s (%s), try %d: %s", message.id, message.kind, message.attempt_count, type(error).__name__)
    reason = type(error).__name__
    with store.write() as session:
        if hopeless:
            messages.abandon(session, message.id, now, reason)
        else:
            wait = min(_FIRST_WAIT * 2 ** min(message.attempt_count - 1, 20), _LONGEST_WAIT)
            messages.retry(session, message.id, now + wait, reason)
