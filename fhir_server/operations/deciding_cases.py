"""Decide a case about a person's records: the decision, what it brings about and its AuditEvents in one transaction.

The page of the service desk and the administration API both come through `decide`.
"""

from __future__ import annotations

from typing import Any

from fhir_server.access.principal import Principal
from fhir_server.identity import person_cases
from fhir_server.identity.person_cases import CaseKind, PersonCase
from fhir_server.interactions import finishing, writing
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import record_administration
from fhir_server.interactions.suspension import record
from fhir_server.operations import merging
from fhir_server.operations.merging import Pair
from fhir_server.operations.service_acts import service_job
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import person_cases as rows
from fhir_server.store import resources
from fhir_server.store.accounts import Account


def decide(context: Context, principal: Principal, account: Account, case_id: str, *, approved: bool) -> PersonCase:
    """Agree to a proposal and carry it out, or turn it down.

    Raises:
        FhirError: As `identity.person_cases.decide` and `merging.merge`; then nothing has happened.
    """
    with context.store.write() as session:
        case = person_cases.decide(session, account, case_id, approved=approved, now=context.now())
        if approved:
            _carry_out(service_job(session, principal, context), case)
        action = "approve-person-case" if approved else "refuse-person-case"
        record_administration(context, session, principal, action=action, description=case.about)
    return case


def _carry_out(job: Job, case: PersonCase) -> None:
    patient_id, other_id = (each.partition("/")[2] for each in (case.patient, case.other))
    if case.kind is CaseKind.MERGE:
        detail = merging.merge(job, Pair(patient_id, other_id))
        rows.keep_detail(job.session, case.id, detail)
        done = Interaction(Code.OPERATION, type="Patient", id=patient_id, operation="merge")
    elif case.kind is CaseKind.UNMERGE:
        merged = rows.last_done(job.session, CaseKind.MERGE, case.patient)
        merging.unmerge(job, Pair(patient_id, other_id), merged.detail if merged else "")
        done = Interaction(Code.OPERATION, type="Patient", id=patient_id, operation="unmerge")
    else:
        _record_life(job, patient_id, case)
        done = Interaction(Code.UPDATE, type="Patient", id=patient_id)
    finishing.finish(job)
    record(job, done, 200)


def _record_life(job: Job, patient_id: str, case: PersonCase) -> None:
    """Write or take out the death; what follows from it follows from the element, whoever writes it."""
    old = resources.current(job.session, "Patient", patient_id)
    if old is None or old.content is None:
        raise FhirError(Kind.CONFLICT, "The record is not there any more")
    patient: dict[str, Any] = json.decode(old.content, len(old.content) + 1)
    for name in ("deceasedBoolean", "_deceasedBoolean", "deceasedDateTime", "_deceasedDateTime"):
        patient.pop(name, None)
    if case.kind is CaseKind.DEATH:
        patient["deceasedDateTime"] = case.day
    writing.replace_version(job, old, patient)
