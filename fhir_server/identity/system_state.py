"""What an administrator looks after: registered systems, messages under way, background jobs. Nobody's record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhir_server.store import job_runs, messages, oauth_clients
from fhir_server.store.database import Store
from fhir_server.store.job_runs import JobRun
from fhir_server.store.messages import Trouble
from fhir_server.store.oauth_clients import Client

__all__ = ["Client", "JobRun", "Systems", "Trouble", "jobs", "last_verification", "systems"]

_MOST_TROUBLES: Final = 20


@dataclass(frozen=True, slots=True)
class Systems:
    """What is registered and what waits.

    Attributes:
        clients: Apps and systems of organisations.
        waiting_count: Messages that are not delivered yet.
        oldest_at: Since when the one that waits longest does, None where none waits.
        troubles: The newest messages whose delivery met an error.
    """

    clients: tuple[Client, ...]
    waiting_count: int
    oldest_at: datetime | None
    troubles: tuple[Trouble, ...]


def systems(store: Store) -> Systems:
    """Return what is registered and what waits."""
    with store.read() as session:
        return Systems(
            oauth_clients.clients(session),
            messages.waiting_count(session),
            messages.oldest_waiting_at(session),
            messages.troubles(session, _MOST_TROUBLES),
        )


def jobs(store: Store) -> tuple[JobRun, ...]:
    """Return the last run of every background job, by name."""
    with store.read() as session:
        return job_runs.every(session)


def last_verification(store: Store) -> JobRun | None:
    """Return when the audit log was last verified, None where nobody did."""
    with store.read() as session:
        return job_runs.last(session, job_runs.AUDIT_VERIFY)
