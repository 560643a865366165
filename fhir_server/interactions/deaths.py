"""What follows from `Patient.deceased[x]`, whoever wrote it: accounts close with it and open again if it was wrong.

A hospital's feed and the service desk write the same element over the same road, so nothing else has to know of either.
The record itself, its log and what professionals see of it stay as they are.
"""

from __future__ import annotations

from typing import Final

from fhir_server.interactions import audit
from fhir_server.interactions.job import Job
from fhir_server.interactions.suspension import Suspended, as_service, resume, suspend
from fhir_server.store import accounts, carers, closures, emergencies, events, invitations
from fhir_server.store.closures import Closed
from fhir_server.store.instants import to_us
from fhir_server.store.keys import reference_key

_NAME: Final = "A recorded death"


def settle(job: Job) -> None:
    """Close or open what belongs to the people whose Patient this transaction changed."""
    for patient_id, is_dead in job.pending.lives.items():
        person = f"Patient/{patient_id}"
        if is_dead == closures.is_closed(job.session, person, Closed.DEATH):
            continue
        service = as_service(job, _NAME)
        if is_dead:
            _close(service, patient_id)
        else:
            closures.reopen(job.session, person, Closed.DEATH, job.context.now())
            resume(service, patient_id, Suspended.DEATH)
        action = "close-accounts" if is_dead else "reopen-accounts"
        told = audit.administration_event(
            service.principal, job.context, action=action, description=f"of {person}", status=200
        )
        events.append(job.session, [told])


def _close(job: Job, patient_id: str) -> None:
    """Close the person's accounts and what family and carers have of the record, at once."""
    session, now, person = job.session, job.context.now(), f"Patient/{patient_id}"
    closures.close_person(session, person, Closed.DEATH, now)
    for account in accounts.by_reference(session, person):
        closures.close(session, account, person, Closed.DEATH, now)
    invitations.cancel_others(session, person, now)
    for waiting in carers.waiting(session, person):
        carers.cancel_for(session, waiting.reference, now)
    family = emergencies.people_permitted(session, reference_key("Patient", patient_id), to_us(now), later=True)
    for related in family:
        _end_caring(job, person, related)
    if family:
        suspend(job, patient_id, Suspended.DEATH, family)


def _end_caring(job: Job, person: str, related: str) -> None:
    """Close a carer's account that was for this record alone; of another one, end what apps have of this record."""
    session, now = job.session, job.context.now()
    for account in accounts.by_reference(session, related):
        elsewhere = {*carers.links(session, account.id), account.reference} - {related, ""}
        if elsewhere:
            closures.end_apps(session, account.id, now, patient=person)
        else:
            closures.close(session, account, person, Closed.DEATH, now)
