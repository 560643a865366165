"""The end of a transaction that wrote: what follows from it is done, then everything written is checked."""

from __future__ import annotations

from fhir_server.interactions import appointment_requests, deaths, writing
from fhir_server.interactions.job import Job


def finish(job: Job) -> None:
    """Do what follows from what was written, insert what waits, and check every written row against its gate.

    Raises:
        FhirError: FORBIDDEN (403) when a new row is not one that the caller may write; the transaction is rolled back.
    """
    if job.pending.lives:
        deaths.settle(job)
    appointment_requests.settle(job)
    writing.finish(job)
